//! Tests of a whole city on the embedded map, which `server/data/README.md` describes. The modules use small made
//! maps, each with one peculiarity of real files.

use std::{collections::HashSet, io::Read as _, sync::LazyLock, thread};

use flate2::read::ZlibDecoder;
use petgraph::{
    algo::dijkstra,
    graph::{DiGraph, NodeIndex},
};
use proptest::prelude::*;
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rides_proto::geo::length_m;

use super::{
    clip::tests::p,
    fuzz::{Blob, BlobHeader, pack},
    *,
};

mod access;
mod islands;
mod map_builder;
mod names;
mod reading;

static CITY: LazyLock<City> = LazyLock::new(City::embedded);

/// A point on the map or a little outside of it.
fn anywhere() -> impl Strategy<Value = LatLng> {
    (60.160..60.183f64, 24.930..24.958f64).prop_map(|(lat, lng)| p(lat, lng))
}

fn problem(bytes: &[u8]) -> Problem {
    match City::from_pbf("test", bytes) {
        Ok(_) => panic!("{} bad bytes were accepted as a city", bytes.len()),
        Err(error) => error.problem,
    }
}

#[test]
fn helsinki_has_what_the_file_is_known_to_hold() {
    let osm = Osm::parse(HELSINKI).expect("whole");
    assert_eq!((osm.nodes.len(), osm.ways.len(), osm.multipolygons.len()), (24_260, 5_130, 110));
    let buildings = osm.ways.iter().filter(|way| way.tags.has("building")).count();
    assert_eq!(buildings, 433);

    let for_cars: Vec<_> = osm.ways.iter().filter(|way| tags::car_class(&way.tags).is_some()).collect();
    let km =
        for_cars.iter().flat_map(|way| osm.pieces(&way.nodes)).map(|line| length_m(&line)).sum::<f64>() / 1e3;
    assert_eq!(for_cars.len(), 1_002);
    assert!((km - 32.7).abs() < 0.05, "{km} km");
    let names: HashSet<_> = for_cars.iter().filter_map(|way| way.tags.get("name")).collect();
    assert_eq!(names.len(), 74);
}

/// The file has 2,114 connected nodes of streets that are built for cars. Fewer are used: closed streets, garages,
/// and one-way streets that leave the map and do not return are left out.
#[test]
fn most_of_helsinki_can_be_driven() {
    let km = CITY.cumulative_m.last().copied().unwrap_or_default() / 1e3;
    assert!((20.0..28.0).contains(&km), "{km} km");
    assert!(CITY.roads.segments.iter().all(|s| s.length_m < 250.0 && s.from != s.to));
    for s in &CITY.roads.segments {
        let kmh = s.length_m / f64::from(s.millis) * 3_600.0;
        assert!(s.length_m < 5.0 || (4.9..51.0).contains(&kmh), "{kmh} km/h over {} m", s.length_m);
    }
}

#[test]
fn the_map_holds_every_kind_of_thing_inside_its_bounds() {
    let map = CITY.map();
    for class in [StreetClass::Primary, StreetClass::Residential, StreetClass::Service, StreetClass::Footway]
    {
        assert!(map.streets.iter().filter(|street| street.class == class).count() > 50, "{class:?}");
    }
    let areas = |kind| map.areas.iter().filter(|area| area.kind == kind).count();
    let counts = [AreaKind::Water, AreaKind::Park, AreaKind::Square, AreaKind::Building].map(areas);
    assert!(counts[0] >= 4 && counts[1] > 100 && counts[2] > 20 && counts[3] > 400, "{counts:?}");
    assert!(map.areas.iter().filter(|area| area.rings.len() > 1).count() > 30, "areas with courtyards");
    for kind in [RailKind::Train, RailKind::Subway, RailKind::Tram] {
        assert!(map.rails.iter().any(|rail| rail.kind == kind), "{kind:?}");
    }

    let lines = map.streets.iter().map(|s| &s.line).chain(map.rails.iter().map(|r| &r.line));
    let rings = map.areas.iter().flat_map(|area| &area.rings);
    assert!(lines.clone().all(|line| (2..=MAX_POINTS).contains(&line.len())));
    assert!(rings.clone().all(|ring| ring.len() >= 3));
    let off_map = |point: &&LatLng| CITY.bounds().center().distance_m(**point) > 1_000.0;
    assert_eq!(lines.chain(rings).flatten().find(off_map), None);
}

#[test]
fn the_bay_is_wet_and_the_railway_station_dry() {
    let is_in = |ring: &[LatLng], at: LatLng| {
        let next = ring.iter().cycle().skip(1);
        let crosses = |(a, b): &(&LatLng, &LatLng)| {
            (a.lat() > at.lat()) != (b.lat() > at.lat())
                && at.lng() < a.lng() + (at.lat() - a.lat()) / (b.lat() - a.lat()) * (b.lng() - a.lng())
        };
        ring.iter().zip(next).filter(crosses).count() % 2 == 1
    };
    let is_wet = |at| {
        let water = CITY.map().areas.iter().filter(|area| area.kind == AreaKind::Water);
        water.into_iter().any(|area| area.rings.iter().filter(|ring| is_in(ring, at)).count() % 2 == 1)
    };
    assert!(is_wet(p(60.1767, 24.9470)), "Kaisaniemenlahti");
    assert!(is_wet(p(60.1787, 24.9410)), "Kaisaniemenlahti at the edge of the map");
    assert!(!is_wet(p(60.1782, 24.9470)), "Siltasaari");
    assert!(!is_wet(p(60.1719, 24.9414)), "Helsinki Central");
    assert!(!is_wet(p(60.1699, 24.9522)), "Senaatintori");
}

#[test]
fn the_version_is_the_contents_and_nothing_else() {
    assert_eq!(CITY.version(), City::embedded().version());
    assert_eq!(CITY.version().len(), 16);
    let mut map = CITY.map().clone();
    map.streets[0].name.push('!');
    assert_ne!(CITY.version(), map.digest());
}

#[test]
fn streets_are_found_in_both_languages_without_accents() {
    let first = |query: &str| CITY.find_places(query, 8).first().map(|place| place.name.clone());
    for (query, expected) in [
        ("Mannerheimintie", "Mannerheimintie"),
        ("mannerheimv", "Mannerheimvägen"),
        ("toolon", "Töölönlahdenkatu"),
        ("TÖÖLÖNL", "Töölönlahdenkatu"),
        ("unionsg", "Unionsgatan"),
        ("pohjoisespl", "Pohjoisesplanadi"),
    ] {
        assert_eq!(first(query).as_deref(), Some(expected), "{query}");
    }
    assert_eq!(first("no such street"), None);
    assert_eq!(first("  "), None);
    assert_eq!(CITY.find_places("katu", 5).len(), 5);
}

#[test]
fn every_street_is_found_and_near_one_that_can_be_driven() {
    let places = CITY.find_places("a", usize::MAX);
    // The map has only one node of the 74th street, Karamzininranta, and so no line.
    assert_eq!(places.len(), 73);
    for place in places {
        let snapped = CITY.snap(place.at);
        assert!(snapped.snap_distance_m < 250.0, "{place:?} is {} m off", snapped.snap_distance_m);
        assert!(CITY.bounds().contains(place.at));
    }
}

#[test]
fn random_places_are_on_streets_and_spread_by_length() {
    let mut rng = SmallRng::seed_from_u64(7);
    let places: Vec<_> = (0..4_000).map(|_| CITY.random_place(&mut rng)).collect();
    assert!(places.iter().all(|place| CITY.snap(place.at).snap_distance_m < 0.01));
    let on = |place: &&Snapped| place.street == "Mannerheimintie";
    let metres = |s: &&roads::Segment| CITY.roads.names[s.name as usize].main == "Mannerheimintie";
    let share = CITY.roads.segments.iter().filter(metres).map(|s| s.length_m).sum::<f64>()
        / CITY.cumulative_m.last().expect("streets");
    let drawn = places.iter().filter(on).count() as f64 / places.len() as f64;
    assert!((drawn - share).abs() < 0.02, "{drawn}, expected {share}");
}

#[test]
fn a_lane_without_a_name_goes_by_the_street_it_is_near() {
    let lane = CITY.roads.segments.iter().find(|s| {
        let middle = CITY.roads.point(s, 0.5);
        CITY.roads.names[s.name as usize].main.is_empty()
            && !CITY.segments.name_near(&CITY.roads, middle).is_empty()
    });
    let middle = CITY.roads.point(lane.expect("Helsinki has lanes"), 0.5);
    assert!(!CITY.snap(middle).street.is_empty());
    assert_eq!(CITY.segments.name_near(&CITY.roads, p(0.0, 0.0)), "");
}

#[test]
fn a_one_way_is_not_driven_backwards() {
    let one_ways = CITY.roads.segments.iter().enumerate().filter(|(_, s)| !s.two_way && s.length_m > 20.0);
    for (i, segment) in one_ways {
        let [early, late] = [0.25, 0.75].map(|part| Snapped::on(&CITY.roads, i, part, None));
        let ahead = CITY.route(&early, &late).expect("connected");
        assert_eq!(ahead.line, [early.at, late.at]);
        let around = CITY.route(&late, &early).expect("connected");
        assert!(around.line.len() > 3 && around.distance_m > segment.length_m, "{around:?}");
        assert_eq!(around.line[1], CITY.roads.nodes[segment.to as usize]);
    }
}

#[test]
fn the_way_to_the_same_place_is_a_point_and_to_another_city_none() {
    let here = CITY.snap(p(60.17, 24.94));
    let route = CITY.route(&here, &here).expect("connected");
    assert_eq!((route.line, route.at_s, route.duration), (vec![here.at], vec![0.0], Duration::ZERO));
    let elsewhere = Snapped { segment: usize::MAX, ..here.clone() };
    assert_eq!(CITY.route(&here, &elsewhere), None);
    assert_eq!(CITY.drive_time(&elsewhere, &here), None);
}

#[test]
fn many_threads_ask_one_city() {
    let (from, to) = (CITY.snap(p(60.165, 24.937)), CITY.snap(p(60.178, 24.951)));
    let alone = CITY.drive_time(&from, &to);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| CITY.drive_time(&from, &to))).collect();
        for answer in asked {
            assert_eq!(answer.join().expect("no panic"), alone);
        }
    });
}

proptest! {
    #[test]
    fn a_snapped_point_is_on_the_street_already(point in anywhere()) {
        let snapped = CITY.snap(point);
        prop_assert!((point.distance_m(snapped.at) - snapped.snap_distance_m).abs() < 1e-6);
        let again = CITY.snap(snapped.at);
        prop_assert!(again.snap_distance_m < 0.01 && snapped.at.distance_m(again.at) < 0.01);
    }

    #[test]
    fn no_street_is_nearer_than_the_snapped_one(point in anywhere()) {
        let snapped = CITY.snap(point);
        let nearest = CITY.roads.segments.iter().flat_map(|s| (0..=10).map(|i| CITY.roads.point(s, f64::from(i) / 10.0)));
        let nearest_m = nearest.map(|at| at.distance_m(point)).fold(f64::INFINITY, f64::min);
        prop_assert!(snapped.snap_distance_m <= nearest_m + 0.5, "{} m, but there is a street at {nearest_m} m", snapped.snap_distance_m);
    }

    #[test]
    fn every_point_on_earth_snaps(lat in -90.0..=90.0f64, lng in -180.0..=180.0f64) {
        prop_assert!(CITY.bounds().contains(CITY.snap(p(lat, lng)).at));
    }

    #[test]
    fn a_route_goes_from_place_to_place_without_jumps(from in anywhere(), to in anywhere()) {
        let (from, to) = (CITY.snap(from), CITY.snap(to));
        let route = CITY.route(&from, &to).expect("connected");
        prop_assert_eq!((route.line.first(), route.line.last()), (Some(&from.at), Some(&to.at)));
        prop_assert_eq!(route.line.len(), route.at_s.len());
        prop_assert_eq!(route.at_s[0], 0.0);
        prop_assert!((route.at_s[route.at_s.len() - 1] - route.duration.as_secs_f64()).abs() < 0.0015);
        prop_assert!(route.at_s.is_sorted());
        prop_assert!(route.line.windows(2).all(|pair| pair[0].distance_m(pair[1]) < 250.0));
        prop_assert_eq!(CITY.drive_time(&from, &to), Some(route.duration));
        prop_assert!(route.distance_m + 0.5 >= from.at.distance_m(to.at));
    }

    #[test]
    fn the_hierarchy_is_as_fast_as_dijkstra_on_the_streets(seed in any::<u64>()) {
        let plain = DiGraph::<(), u32>::from_edges(CITY.roads.arcs());
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut node = || rng.random_range(0..CITY.roads.nodes.len());
        let (from, to) = (node(), node());
        let times = dijkstra(&plain, NodeIndex::new(from), None, |arc| *arc.weight() as usize);
        let path = CITY.router.fastest(vec![(from, 0)], vec![(to, 0)]).expect("connected");
        prop_assert_eq!(Some(path.get_weight()), times.get(&NodeIndex::new(to)).copied());
    }
}

#[test]
fn what_is_no_map_is_said_to_be_none() {
    assert!(matches!(problem(b""), Problem::Empty));
    assert!(matches!(problem(b"abc"), Problem::NotPbf));
    assert!(matches!(problem(&[0; 4_096]), Problem::NotPbf));
    assert!(matches!(problem(&HELSINKI[..HELSINKI.len() - 1]), Problem::Truncated { .. }));
    assert!(matches!(problem(&HELSINKI[..98]), Problem::NoStreets));
    let mut flipped = HELSINKI.to_vec();
    flipped[50_000] ^= 1;
    assert!(matches!(problem(&flipped), Problem::Damaged(_)));
}

#[test]
fn an_error_is_one_line_that_names_the_file() {
    let missing = City::load("no/such/map.osm.pbf").err().expect("not there").to_string();
    assert!(missing.starts_with("no/such/map.osm.pbf: the map cannot be read: "), "{missing}");
    let cut = City::from_pbf("Helsinki", &HELSINKI[..1_000]).err().expect("cut").to_string();
    assert_eq!(
        cut,
        "Helsinki: the map is cut short: its last block ends at byte 90856, the file at byte 1000"
    );
    assert!(!missing.contains('\n'));
}

/// Returns the kinds and uncompressed contents of a file's blobs.
fn unpack(mut file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut blobs = vec![];
    while let Some((len, rest)) = file.split_first_chunk() {
        let (header, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        let header = BlobHeader::decode(header).expect("a header");
        let (blob, rest) = rest.split_at(header.datasize as usize);
        let blob = Blob::decode(blob).expect("a blob");
        let mut raw = vec![];
        ZlibDecoder::new(&*blob.zlib_data).read_to_end(&mut raw).expect("zlib");
        blobs.push((header.kind, raw));
        file = rest;
    }
    blobs
}

#[test]
fn a_file_without_compression_is_the_same_city() {
    let city = City::from_pbf("Helsinki", &pack(&unpack(HELSINKI))).expect("whole");
    assert_eq!(city.version(), CITY.version());
}

#[test]
fn a_relation_with_a_member_of_no_known_kind_is_damage() {
    let strings = b"\x0a\x00\x0a\x04type\x0a\x0cmultipolygon";
    // A relation with id 1, tag type=multipolygon, and one member: role 0, id 1, kind 9.
    let relation = [8, 1, 0x12, 1, 1, 0x1a, 1, 2, 0x42, 1, 0, 0x4a, 1, 2, 0x52, 1, 9];
    let group = [&[0x22, relation.len() as u8], relation.as_slice()].concat();
    let block =
        [&[0x0a, strings.len() as u8], strings.as_slice(), &[0x12, group.len() as u8], &*group].concat();
    let file = pack(&[unpack(HELSINKI).swap_remove(0), ("OSMData".into(), block)]);
    assert!(matches!(problem(&file), Problem::Damaged(_)));
}

#[test]
fn no_truncation_panics_or_passes_for_whole() {
    let mut rng = SmallRng::seed_from_u64(1);
    let ends = (0..300).chain((0..60).map(|_| rng.random_range(0..HELSINKI.len())));
    for end in ends {
        // A file that is cut between two blocks is valid by the format.
        let is_between_blocks = [98, 90_856, 179_215, 265_257].contains(&end);
        assert!(City::from_pbf("cut", &HELSINKI[..end]).is_err() || is_between_blocks, "{end}");
    }
}

#[test]
fn no_damage_panics() {
    let mut rng = SmallRng::seed_from_u64(2);
    let raw = pack(&unpack(HELSINKI));
    for file in [HELSINKI, &raw] {
        for round in 0..25 {
            let mut damaged = file.to_vec();
            for _ in 0..1 << (round % 8) {
                let at = rng.random_range(0..damaged.len());
                damaged[at] ^= 1 << rng.random_range(0..8);
            }
            if let Ok(city) = City::from_pbf("damaged", &damaged) {
                let (from, to) = (city.random_place(&mut rng), city.random_place(&mut rng));
                assert!(city.route(&from, &to).is_some());
            }
        }
    }
}

/// The fuzz target must get to the inside of a block.
#[test]
fn the_fuzz_target_reads_blocks() {
    let [_, block, ..] = &unpack(HELSINKI)[..] else { panic!("blocks") };
    assert!(matches!(problem(&super::fuzz::around(&block.1)), Problem::NoStreets));
}
