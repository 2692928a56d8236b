//! Tests of files as publishers and tools write them: boxes, features, compressions, other formats, and positions at
//! the limits of coordinates.

use super::{map_builder::MapBuilder, *};

/// Loads the test map with this name from `server/tests/maps`.
pub(super) fn made(name: &str) -> Result<City, CityError> {
    City::load(format!("{}/tests/maps/{name}.osm.pbf", env!("CARGO_MANIFEST_DIR")))
}

/// A street of two nodes.
fn street(from: (f64, f64), to: (f64, f64)) -> MapBuilder {
    MapBuilder::default().node(1, from.0, from.1).node(2, to.0, to.1).street(1, &[1, 2], "Street")
}

fn words(city: Result<City, CityError>) -> String {
    city.err().expect("a refusal").problem.to_string()
}

#[test]
fn a_header_box_that_cannot_be_believed_gives_way_to_the_streets() {
    for (name, expected) in
        [("bbox-zero", "holds no street"), ("bbox-world", "is far larger than the streets")]
    {
        let city = made(name).expect("a map");
        let HeaderBoxUse::Ignored { why, .. } = city.report().header_box else {
            panic!("{:?}", city.report())
        };
        assert_eq!(why, expected, "{name}");
        let (sw, ne) = (city.bounds().south_west(), city.bounds().north_east());
        assert!(
            p(52.5, 13.3).distance_m(sw) < 500.0 && p(52.538, 13.357).distance_m(ne) < 500.0,
            "{sw:?} {ne:?}"
        );
        assert_eq!(city.map().streets.len(), 40, "{name}");
    }
    assert_eq!(made("twin-streets").expect("a map").report().header_box, HeaderBoxUse::Used);
}

#[test]
fn boxes_of_all_kinds_leave_the_streets_on_the_map() {
    let far = f64::from(i32::MAX);
    for edges in [
        [0.0, 0.0, 0.0, 0.0],
        [-90.0, -180.0, 90.0, 180.0],
        [53.0, 14.0, 52.0, 13.0],
        [52.0, 179.0, 53.0, -179.0],
        [-far, -far, far, far],
        [52.5, 13.3, 52.5, 13.3],
        [52.0, 13.0, 53.0, 14.0],
    ] {
        let city = street((52.5, 13.3), (52.51, 13.3)).boxed(edges).city().expect("a map");
        assert!(city.bounds().contains(p(52.5, 13.3)) && city.bounds().contains(p(52.51, 13.3)), "{edges:?}");
        assert_eq!(city.map().streets.len(), 1, "{edges:?}");
        let (sw, ne) = (city.bounds().south_west(), city.bounds().north_east());
        assert!(sw.distance_m(ne) < 5_000.0 && ne.lng() > sw.lng(), "{edges:?}: {sw:?} {ne:?}");
    }
}

#[test]
fn streets_are_still_cut_at_a_box_that_can_be_believed() {
    let long = MapBuilder::default()
        .node(1, 52.5, 13.3)
        .node(2, 52.501, 13.3)
        .node(3, 52.502, 13.3)
        .node(4, 52.6, 13.3)
        .street(1, &[1, 2, 3, 4], "Street")
        .boxed([52.499, 13.299, 52.503, 13.301]);
    let city = long.city().expect("a map");
    assert_eq!(city.report().header_box, HeaderBoxUse::Used);
    assert!((city.bounds().north_east().lat() - 52.503).abs() < 1e-9, "{:?}", city.bounds());
}

#[test]
fn places_of_nodes_are_read_from_ways() {
    let (in_ways, in_nodes) = (made("locations-on-ways").expect("a map"), made("bbox-zero").expect("a map"));
    assert!((in_ways.report().kept_km - in_nodes.report().kept_km).abs() < 1e-9);
    assert_eq!(in_ways.report().kept_streets, 40);
}

#[test]
fn a_compression_that_is_not_supported_is_named_with_the_remedy() {
    assert_eq!(
        words(made("lzma-blobs")),
        "the map is compressed with lzma, which is not supported: use a file with zlib, as \"osmium cat IN -o OUT.osm.pbf\" \
         writes"
    );
}

#[test]
fn a_feature_that_is_not_supported_is_named_with_the_remedy() {
    let map = || street((52.5, 13.3), (52.51, 13.3));
    let history = words(map().requiring("HistoricalInformation").city());
    assert!(history.contains("HistoricalInformation") && history.contains("osmium time-filter"), "{history}");
    let unknown = words(map().requiring("Sparkles").city());
    assert!(unknown.contains("Sparkles") && unknown.contains("osmium cat"), "{unknown}");
    for feature in
        ["Sort.Type_then_ID", "Sort.Geographic", "Has_Metadata", "timestamp=2024-01-01T00:00:00Z", "Sparkles"]
    {
        assert!(map().requiring("DenseNodes").optionally(feature).city().is_ok(), "{feature}");
    }
}

#[test]
fn a_file_of_another_format_is_named_with_the_remedy() {
    for (file, name, remedy) in [
        (&b"<?xml version='1.0'?><osm/>"[..], "OpenStreetMap XML", "osmium cat"),
        (b"\x1f\x8b\x08\0", "gzip", "osmium cat"),
        (b"BZh9", "bzip2", "osmium cat"),
        (b"PK\x03\x04", "zip", "download"),
        (b"\0\0\x27\x0a", "shapefile", "download"),
        (b"{\"type\":\"FeatureCollection\"}", "GeoJSON", "download"),
        (b"<!DOCTYPE html>", "a web page", "download"),
    ] {
        let words = words(City::from_pbf("test", file));
        assert!(words.contains(name) && words.contains(remedy), "{words}");
    }
}

#[test]
fn a_file_without_streets_or_without_their_nodes_says_which() {
    let no_streets = MapBuilder::default().node(1, 52.5, 13.3).node(2, 52.51, 13.3);
    assert!(words(no_streets.city()).starts_with("the map has no street that cars may drive on"));
    let no_nodes = MapBuilder::default().street(1, &[1, 2], "Street");
    assert!(words(no_nodes.city()).starts_with("the map has streets but not the nodes"));
    let one_way_only = MapBuilder::default().node(1, 52.5, 13.3).node(2, 52.51, 13.3).way(
        1,
        &[1, 2],
        &[("highway", "primary"), ("oneway", "yes")],
    );
    assert!(matches!(one_way_only.city().err().expect("a refusal").problem, Problem::NoStreets));
}

#[test]
fn odd_nodes_and_ways_do_no_harm() {
    let map = street((52.5, 13.3), (52.51, 13.3))
        .node(3, 9e9, -9e9)
        .node(4, 52.52, 13.3)
        .node(4, 52.52, 13.3)
        // At the position of node 2, as in a file that was merged from two extracts.
        .node(5, 52.51, 13.3)
        .street(1, &[1, 2], "Again")
        .street(2, &[1], "One node")
        .street(3, &[], "No node")
        .street(4, &[1, 1, 1], "No length")
        .street(5, &[2, 3, 77, 5], "Nodes that are missing or off the Earth")
        .street(6, &[2, 5], "No length, and it joins two")
        .street(7, &[5, 4], "Far");
    let city = map.city().expect("a map");
    assert_eq!(city.report().left_out.km, 0.0);
    let names: Vec<_> = city.report().left_out.streets.clone();
    assert_eq!(names, [""; 0]);
    let route =
        city.route(&city.snap(p(52.5, 13.3)), &city.snap(p(52.52, 13.3))).expect("a way over both nodes");
    assert!((route.distance_m - 2_224.0).abs() < 5.0, "{} m", route.distance_m);
    let mut rng = SmallRng::seed_from_u64(3);
    assert!((0..1_000).all(|_| city.bounds().contains(city.random_place(&mut rng).at)));
    assert_eq!(city.find_places("again", 8), []);
}

#[test]
fn streets_over_the_antimeridian_are_refused_in_words() {
    let across = street((-16.8, 179.99), (-16.8, -179.99));
    let words = words(across.city());
    assert!(words.contains("antimeridian") && words.contains("osmium extract"), "{words}");
}

#[test]
fn of_islands_on_both_sides_of_the_antimeridian_the_larger_is_the_map() {
    let fiji = street((-17.7, 178.0), (-17.8, 178.0))
        .node(3, -16.8, -179.99)
        .node(4, -16.8, -179.98)
        .street(2, &[3, 4], "Beyond")
        .boxed([-21.0, 177.0, -12.0, -178.0]);
    let city = fiji.city().expect("a map");
    let left_out = &city.report().left_out;
    assert!(left_out.across_antimeridian && left_out.streets == ["Beyond"], "{left_out:?}");
    assert!(city.bounds().north_east().lng() < 178.1 && city.bounds().south_west().lng() > 177.9);
}

#[test]
fn what_lies_over_the_antimeridian_is_not_drawn_around_the_earth() {
    let map = street((-16.8, 179.9), (-16.9, 179.9))
        .node(3, -16.85, 179.95)
        .node(4, -16.85, -179.95)
        .node(5, -16.86, -179.95)
        .node(6, -16.86, 179.95)
        .way(2, &[3, 4], &[("highway", "footway")])
        .way(3, &[3, 4, 5, 6, 3], &[("natural", "water")])
        .boxed([-17.0, 179.8, -16.7, 180.0]);
    let city = map.city().expect("a map");
    assert_eq!((city.map().streets.len(), city.map().areas.len()), (1, 0));
}

#[test]
fn streets_beyond_the_projection_are_refused_in_words() {
    for lat in [85.1, -89.9] {
        let words = words(street((lat, 13.0), (lat, 13.5)).city());
        assert!(words.contains("85°") && words.contains("Web Mercator"), "{words}");
    }
    assert!(street((84.9, 13.0), (84.9, 13.5)).city().is_ok());
}
