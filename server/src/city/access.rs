//! The access rules of OpenStreetMap for a taxi: wiki pages "Key:access", "Key:barrier" and "Key:oneway".
//! `docs/maps.md` has them for users.

use super::osm::Tags;

/// The transport modes that include a taxi, the most specific first. A bus is not a taxi: `bus=yes` opens nothing.
const MODES: [&str; 6] = ["taxi", "psv", "motorcar", "motor_vehicle", "vehicle", "access"];

/// The transport modes by which a street that is closed to cars is open to taxis.
const FOR_TAXIS: &[&str] = &["taxi", "psv"];

/// The keys for one-way streets, the most specific first.
const ONE_WAY_KEYS: [&str; 8] = [
    "oneway:taxi",
    "taxi:oneway",
    "oneway:psv",
    "psv:oneway",
    "oneway:motorcar",
    "oneway:motor_vehicle",
    "oneway:vehicle",
    "oneway",
];

/// The values that exclude a taxi, with or without a passenger.
const CLOSED: [&str; 12] = [
    "no",
    "private",
    "permit",
    "residents",
    "employees",
    "agricultural",
    "forestry",
    "emergency",
    "military",
    "service",
    "delivery",
    "use_sidepath",
];

/// The barriers that open for a car, or that a car can pass. All others block the street.
const OPENING_BARRIERS: [&str; 14] = [
    "no",
    "gate",
    "lift_gate",
    "swing_gate",
    "sliding_gate",
    "hampshire_gate",
    "entrance",
    "toll_booth",
    "border_control",
    "checkpoint",
    "sally_port",
    "cattle_grid",
    "height_restrictor",
    "kerb",
];

/// The directions in which a way may be driven, relative to its line of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Both,
    Forward,
    Backward,
}

impl Direction {
    fn of(forward: bool, backward: bool) -> Option<Self> {
        match (forward, backward) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Forward),
            (false, true) => Some(Self::Backward),
            (false, false) => None,
        }
    }
}

/// Returns the directions in which a taxi may drive along a street, or `None` if it may not drive there.
pub(super) fn drivable(tags: &Tags) -> Option<Direction> {
    let is_area = tags.is("area", &["yes"]);
    let is_garage = tags.is("highway", &["service"]) && is_hidden(tags);
    if is_area || is_garage {
        return None;
    }
    let one_way = one_way(tags)?;
    Direction::of(
        one_way != Direction::Backward && is_open(tags, ":forward"),
        one_way != Direction::Forward && is_open(tags, ":backward"),
    )
}

/// Returns the directions of the lanes of a street, regardless of access, or `None` if they change with the time of
/// day.
pub(super) fn one_way(tags: &Tags) -> Option<Direction> {
    let implied = tags.is("junction", &["roundabout", "circular"]) || tags.is("highway", &["motorway"]);
    match ONE_WAY_KEYS.iter().find_map(|key| tags.get(key)) {
        Some("reversible") => None,
        Some("yes" | "true" | "1") => Some(Direction::Forward),
        Some("-1" | "reverse") => Some(Direction::Backward),
        None if implied => Some(Direction::Forward),
        _ => Some(Direction::Both),
    }
}

/// Returns `true` if a taxi on `street` cannot pass the node. A barrier without access tags of its own lets through
/// the modes that the street is reserved for, because it keeps out the others.
pub(super) fn is_barrier(node: &Tags, street: &Tags) -> bool {
    let Some(barrier) = node.get("barrier") else { return false };
    let is_shut = !OPENING_BARRIERS.contains(&barrier) || node.is("locked", &["yes"]);
    let own = access_of(&MODES, node, "").map(is_closed);
    own.unwrap_or_else(|| is_shut && access_of(FOR_TAXIS, street, "").is_none_or(is_closed))
}

/// Returns `true` for a street below another one or inside a building. A passage through a building is not hidden.
pub(super) fn is_hidden(tags: &Tags) -> bool {
    tags.is("tunnel", &["yes"]) || tags.has("indoor")
}

fn is_open(tags: &Tags, direction: &str) -> bool {
    let is_reserved = tags.is("highway", &["busway"]) || tags.is("service", &["emergency_access", "busway"]);
    // The general tags of a reserved street only repeat that it is closed to others. They do not open it to a taxi.
    let modes = if is_reserved { FOR_TAXIS } else { &MODES };
    access_of(modes, tags, direction).map_or(!is_reserved, |value| !is_closed(value))
}

/// Returns the value of the most specific access tag. For each mode, the tag with `direction` comes first.
fn access_of<'a>(modes: &[&str], tags: &'a Tags, direction: &str) -> Option<&'a str> {
    modes.iter().find_map(|mode| tags.get(&format!("{mode}{direction}")).or_else(|| tags.get(mode)))
}

/// Returns `true` if all values of a list, for example "agricultural;forestry", exclude a taxi.
fn is_closed(value: &str) -> bool {
    value.split(';').all(|value| CLOSED.contains(&value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Tags {
        text.split_whitespace().filter_map(|tag| tag.split_once('=')).collect()
    }

    #[test]
    fn the_most_specific_access_tag_decides() {
        for (text, expected) in [
            ("highway=residential", true),
            ("access=destination", true),
            ("access=customers", true),
            ("access=permissive", true),
            ("access=private", false),
            ("access=permit", false),
            ("access=delivery", false),
            ("access=agricultural;forestry", false),
            ("access=delivery;destination", true),
            ("access=no motor_vehicle=yes", true),
            ("access=yes motorcar=no", false),
            ("vehicle=no motor_vehicle=destination", true),
            ("area=yes", false),
            ("highway=service tunnel=yes", false),
            ("highway=service tunnel=building_passage", true),
            ("highway=primary tunnel=yes", true),
        ] {
            assert_eq!(drivable(&tags(text)).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_said_of_taxis_comes_before_what_is_said_of_cars() {
        for (text, expected) in [
            ("motor_vehicle=no taxi=yes", true),
            ("motor_vehicle=no taxi=designated", true),
            ("motor_vehicle=no psv=yes", true),
            ("motorcar=no psv=yes", true),
            ("motor_vehicle=no bus=yes", false),
            ("psv=yes taxi=no", false),
            ("psv=no taxi=yes", true),
            ("psv=no", false),
            ("bus=no", true),
            ("access=no bus=designated bicycle=yes", false),
            ("highway=busway", false),
            ("highway=busway access=yes", false),
            ("highway=busway bus=yes", false),
            ("highway=busway psv=yes", true),
            ("highway=busway taxi=yes", true),
            ("highway=service service=drive-through", true),
            ("highway=service service=emergency_access", false),
            ("highway=service service=emergency_access taxi=yes", true),
        ] {
            assert_eq!(drivable(&tags(text)).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn a_restriction_that_holds_at_times_leaves_the_tag_for_all_times() {
        for (key, value, others, expected) in [
            ("motor_vehicle:conditional", "no @ (07:00-19:00)", "", true),
            ("access:conditional", "yes @ (Mo-Fr 08:00-20:00)", "access=no", false),
            ("taxi:conditional", "yes @ (22:00-06:00)", "motor_vehicle=no", false),
            ("oneway:conditional", "yes @ (07:00-09:00)", "", true),
        ] {
            let conditional = [(key, value)].into_iter();
            let others = others.split_whitespace().filter_map(|tag| tag.split_once('='));
            let tags: Tags = conditional.chain(others).collect();
            assert_eq!(drivable(&tags), expected.then_some(Direction::Both), "{key}={value}");
        }
    }

    #[test]
    fn one_ways_are_tagged_or_implied() {
        for (text, expected) in [
            ("highway=primary", Some(Direction::Both)),
            ("oneway=yes", Some(Direction::Forward)),
            ("oneway=-1", Some(Direction::Backward)),
            ("oneway=alternating", Some(Direction::Both)),
            ("oneway=reversible", None),
            ("junction=roundabout", Some(Direction::Forward)),
            ("highway=motorway", Some(Direction::Forward)),
            ("highway=motorway oneway=no", Some(Direction::Both)),
            ("oneway=yes oneway:taxi=no", Some(Direction::Both)),
            ("oneway=yes oneway:psv=no", Some(Direction::Both)),
            ("oneway=yes psv:oneway=no", Some(Direction::Both)),
            ("oneway=yes oneway:bus=no", Some(Direction::Forward)),
            ("oneway=yes oneway:bicycle=no", Some(Direction::Forward)),
            ("oneway:motor_vehicle=yes", Some(Direction::Forward)),
        ] {
            assert_eq!(drivable(&tags(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_street_may_be_closed_in_one_direction() {
        for (text, expected) in [
            ("motor_vehicle:forward=no", Some(Direction::Backward)),
            ("motor_vehicle:backward=no", Some(Direction::Forward)),
            ("motor_vehicle:forward=no taxi:forward=yes", Some(Direction::Both)),
            ("motor_vehicle=no taxi:forward=yes", Some(Direction::Forward)),
            ("oneway=yes motor_vehicle:forward=no", None),
        ] {
            assert_eq!(drivable(&tags(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_barrier_stands_in_the_way_unless_it_opens() {
        for (text, expected) in [
            ("barrier=bollard", true),
            ("barrier=block", true),
            ("barrier=chain", true),
            ("barrier=jersey_barrier", true),
            ("barrier=cycle_barrier", true),
            ("barrier=yes", true),
            ("barrier=gate", false),
            ("barrier=lift_gate", false),
            ("barrier=toll_booth", false),
            ("barrier=cattle_grid", false),
            ("barrier=gate locked=yes", true),
            ("barrier=gate access=private", true),
            ("barrier=gate access=no taxi=yes", false),
            ("barrier=lift_gate motor_vehicle=permit", true),
            ("barrier=bollard motor_vehicle=yes", false),
            ("barrier=bollard access=no psv=yes", false),
            ("barrier=bollard bicycle=yes foot=yes", true),
            ("barrier=bus_trap bus=yes", true),
            ("highway=crossing access=no", false),
        ] {
            assert_eq!(is_barrier(&tags(text), &tags("highway=residential")), expected, "{text}");
        }
    }

    #[test]
    fn a_barrier_on_a_street_for_taxis_keeps_the_others_out() {
        for (node, street, expected) in [
            ("barrier=bollard", "motor_vehicle=no taxi=yes", false),
            ("barrier=bollard", "motor_vehicle=no psv=designated", false),
            ("barrier=bollard", "motor_vehicle=no bus=yes", true),
            ("barrier=bollard", "taxi=no", true),
            ("barrier=bollard motor_vehicle=no", "motor_vehicle=no taxi=yes", true),
        ] {
            assert_eq!(is_barrier(&tags(node), &tags(street)), expected, "{node} on {street}");
        }
    }
}
