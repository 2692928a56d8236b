//! Tests of barriers, and of streets that are open only to taxis.

use super::{map_builder::MapBuilder, reading::made, *};

/// The length of the fastest route between two places, in kilometres.
fn km(city: &City, from: LatLng, to: LatLng) -> f64 {
    city.route(&city.snap(from), &city.snap(to)).expect("connected").distance_m / 1_000.0
}

#[test]
fn a_bollard_makes_the_way_a_detour() {
    let city = made("bollard").expect("a map");
    let km = km(&city, p(50.0035, 10.0), p(50.0035, 10.03));
    assert!((7.3..7.6).contains(&km), "{km} km");
}

#[test]
fn a_street_for_taxis_is_open() {
    let city = made("taxi-yes").expect("a map");
    let km = km(&city, p(50.0035, 10.0), p(50.0035, 10.03));
    assert!((2.9..3.1).contains(&km), "{km} km");
}

/// Two points joined in the north by a lane whose middle node has these tags, and in the south by a long detour.
fn two_streets(tags: &[(&str, &str)]) -> City {
    let map = MapBuilder::default()
        .node(1, 50.0, 10.0)
        .tagged(2, 50.0, 10.005, tags)
        .node(3, 50.0, 10.01)
        .node(4, 49.97, 10.005)
        .street(1, &[1, 2, 3], "Lane")
        .street(2, &[1, 4, 3], "Detour");
    map.city().expect("a map")
}

#[test]
fn both_sides_of_a_barrier_can_be_driven_up_to_it() {
    let city = two_streets(&[("barrier", "block")]);
    let (west, east) = (p(50.0, 10.0049), p(50.0, 10.0051));
    assert!(km(&city, p(50.0, 10.0), west) < 0.4 && km(&city, east, p(50.0, 10.01)) < 0.4);
    assert!(km(&city, west, east) > 6.0);
    assert_eq!(city.report().left_out, UnusedStreets::default());
}

#[test]
fn a_barrier_that_opens_does_not_stand_in_the_way() {
    let (west, east) = (p(50.0, 10.0049), p(50.0, 10.0051));
    for (tags, is_open) in [
        (&[("barrier", "gate")][..], true),
        (&[("barrier", "bollard"), ("motor_vehicle", "yes")], true),
        (&[("barrier", "bollard"), ("access", "no"), ("taxi", "yes")], true),
        (&[("highway", "crossing"), ("access", "no")], true),
        (&[("barrier", "bollard"), ("bus", "yes")], false),
        (&[("barrier", "lift_gate"), ("access", "private")], false),
        (&[("barrier", "jersey_barrier")], false),
    ] {
        assert_eq!(km(&two_streets(tags), west, east) < 1.0, is_open, "{tags:?}");
    }
}

#[test]
fn a_street_that_a_bollard_cuts_off_is_an_island() {
    let map = MapBuilder::default()
        .node(1, 50.0, 10.0)
        .node(2, 50.0, 10.01)
        .tagged(3, 50.0, 10.02, &[("barrier", "bollard")])
        .node(4, 50.0, 10.021)
        .street(1, &[1, 2, 3], "Street")
        .street(2, &[3, 4], "Yard");
    assert_eq!(map.city().expect("a map").report().left_out.streets, ["Yard"]);
}
