//! Tests of streets that no car can reach, or leave again.

use super::{map_builder::MapBuilder, reading::made, *};

#[test]
fn the_part_that_is_kept_is_the_map_and_the_rest_is_reported() {
    let city = made("one-street").expect("a map");
    let report = city.report();
    assert_eq!((report.kept_streets, report.left_out.streets.as_slice()), (1, &["Cut off".to_owned()][..]));
    assert!(
        (report.kept_km - 0.043).abs() < 0.001 && (report.left_out.km - 0.013).abs() < 0.001,
        "{report:?}"
    );
    let (sw, ne) = (city.bounds().south_west(), city.bounds().north_east());
    assert!((300.0..1_000.0).contains(&sw.distance_m(ne)), "a view of some hundred metres: {sw:?} {ne:?}");
    let names: Vec<_> = city.map().streets.iter().map(|street| street.name.as_str()).collect();
    assert_eq!(names, ["Kept"]);
    let mut rng = SmallRng::seed_from_u64(1);
    assert!((0..100).all(|_| city.bounds().contains(city.random_place(&mut rng).at)));
}

#[test]
fn search_finds_no_street_that_cannot_be_reached() {
    let city = made("one-street").expect("a map");
    assert_eq!(city.find_places("cut off", 8), []);
    let [kept] = &city.find_places("kept", 8)[..] else { panic!("one street") };
    assert!(city.snap(kept.at).snap_distance_m < 0.01);
}

/// The part with the greatest length counts, not the one with the most nodes.
#[test]
fn the_part_with_the_most_metres_is_kept() {
    let mut map = MapBuilder::default().node(1, 50.0, 10.0).node(2, 50.05, 10.0).street(1, &[1, 2], "Long");
    let bends: Vec<i64> = (10..60).collect();
    for (id, bend) in bends.iter().zip(0..) {
        map = map.node(*id, 50.1 + f64::from(bend) * 1e-5, 10.0);
    }
    let city = map.street(2, &bends, "Short").city().expect("a map");
    assert_eq!(city.report().left_out.streets, ["Short"]);
}

#[test]
fn whatever_is_found_can_be_driven_between() {
    for name in ["one-street", "twin-streets", "bollard", "taxi-yes", "names"] {
        let city = made(name).expect("a map");
        let places = city.find_places("e", 40);
        for (from, to) in places.iter().zip(places.iter().skip(1)) {
            let [from, to] = [from, to].map(|place| city.snap(place.at));
            assert!(
                from.snap_distance_m <= MAX_WALK_M && to.snap_distance_m <= MAX_WALK_M,
                "{name}: {from:?} {to:?}"
            );
            assert!(city.route(&from, &to).is_some(), "{name}: {from:?} {to:?}");
        }
    }
}

/// A rider can walk to the closed street from an open one.
#[test]
fn a_closed_street_is_found_if_an_open_one_is_near() {
    let map = |metres_north: f64| {
        let lat = 50.0 + metres_north / 111_195.0;
        MapBuilder::default()
            .node(1, 50.0, 10.0)
            .node(2, 50.0, 10.01)
            .node(3, lat, 10.004)
            .node(4, lat, 10.006)
            .street(1, &[1, 2], "Open")
            .way(2, &[3, 4], &[("highway", "residential"), ("name", "Closed"), ("access", "private")])
            .boxed([49.995, 9.995, 50.005, 10.015])
            .city()
            .expect("a map")
    };
    assert_eq!(map(200.0).find_places("closed", 8).len(), 1);
    assert_eq!(map(300.0).find_places("closed", 8), []);
}

#[test]
fn a_closed_street_is_found_beside_an_open_one_of_its_name_elsewhere() {
    let map = MapBuilder::default()
        .node(1, 50.0, 10.0)
        .node(2, 50.0, 10.01)
        .node(3, 50.001, 10.004)
        .node(4, 50.001, 10.006)
        .node(5, 50.0, 10.08)
        .node(6, 50.0, 10.085)
        .street(1, &[1, 2, 5], "Open")
        .street(2, &[5, 6], "Twin")
        .way(3, &[3, 4], &[("highway", "residential"), ("name", "Twin"), ("access", "private")])
        .boxed([49.99, 9.99, 50.01, 10.1])
        .city()
        .expect("a map");
    assert_eq!(map.find_places("twin", 8).len(), 2);
}
