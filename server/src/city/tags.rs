//! What OpenStreetMap tags mean to a driver. Meanings: OpenStreetMap wiki, "Key:highway", "Key:access",
//! "Key:oneway", "Key:maxspeed".

use super::{map::StreetClass, osm::Tags};

/// Which way cars may follow a line of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Both,
    Forward,
    Backward,
}

/// The class of a way that is built for cars, whether or not they may use it; `None` for any other.
pub(super) fn car_class(tags: &Tags) -> Option<StreetClass> {
    Some(match tags.get("highway")? {
        "motorway" | "motorway_link" | "trunk" | "trunk_link" => StreetClass::Motorway,
        "primary" | "primary_link" => StreetClass::Primary,
        "secondary" | "secondary_link" => StreetClass::Secondary,
        "tertiary" | "tertiary_link" => StreetClass::Tertiary,
        "residential" | "unclassified" | "living_street" | "road" => StreetClass::Residential,
        "service" => StreetClass::Service,
        _ => return None,
    })
}

/// Whether it is out of sight below a street or inside a house. An archway through a house is not.
pub(super) fn is_hidden(tags: &Tags) -> bool {
    tags.is("tunnel", &["yes"]) || tags.has("indoor")
}

/// Whether anybody's taxi may drive there. Of the access tags the most specific decides; nobody is picked up in
/// the tunnels of garages.
pub(super) fn may_drive(tags: &Tags) -> bool {
    let access = ["motorcar", "motor_vehicle", "vehicle", "access"].iter().find_map(|key| tags.get(key));
    let closed =
        ["no", "private", "agricultural", "forestry", "emergency", "military", "service", "delivery"];
    let is_garage = tags.is("highway", &["service"]) && is_hidden(tags);
    !access.is_some_and(|value| closed.contains(&value)) && !tags.is("area", &["yes"]) && !is_garage
}

/// Which way cars may go.
pub(super) fn direction(tags: &Tags) -> Direction {
    let implied = tags.is("junction", &["roundabout", "circular"]) || tags.is("highway", &["motorway"]);
    match tags.get("oneway") {
        Some("yes" | "true" | "1") => Direction::Forward,
        Some("-1" | "reverse") => Direction::Backward,
        None if implied => Direction::Forward,
        _ => Direction::Both,
    }
}

/// How fast cars go when nothing is in their way: the posted limit, else what is usual in a town.
pub(super) fn speed_kmh(tags: &Tags) -> f64 {
    tags.get("maxspeed").and_then(posted_kmh).unwrap_or(match tags.get("highway") {
        Some("motorway") => 80.0,
        Some("trunk" | "motorway_link") => 60.0,
        Some("primary") => 50.0,
        Some("secondary" | "tertiary" | "trunk_link" | "primary_link" | "secondary_link") => 40.0,
        Some("service" | "living_street") => 20.0,
        _ => 30.0,
    })
}

/// "50", "50 km/h" or "30 mph"; `None` for words, and for numbers that are no speed.
fn posted_kmh(value: &str) -> Option<f64> {
    let (number, factor) = match value.strip_suffix("mph") {
        Some(miles) => (miles, 1.609_344),
        None => (value.strip_suffix("km/h").unwrap_or(value), 1.0),
    };
    let kmh = number.trim().parse::<f64>().ok()? * factor;
    (5.0..=130.0).contains(&kmh).then_some(kmh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Tags {
        text.split_whitespace().filter_map(|tag| tag.split_once('=')).collect()
    }

    #[test]
    fn streets_have_classes_and_footways_none() {
        assert_eq!(car_class(&tags("highway=primary_link")), Some(StreetClass::Primary));
        assert_eq!(car_class(&tags("highway=living_street")), Some(StreetClass::Residential));
        for other in ["highway=footway", "highway=construction", "railway=tram"] {
            assert_eq!(car_class(&tags(other)), None, "{other}");
        }
    }

    #[test]
    fn the_most_specific_access_tag_decides() {
        for (text, expected) in [
            ("highway=residential", true),
            ("access=destination", true),
            ("access=private", false),
            ("access=no motor_vehicle=yes", true),
            ("access=yes motorcar=no", false),
            ("vehicle=no motor_vehicle=destination", true),
            ("area=yes", false),
            ("highway=service tunnel=yes", false),
            ("highway=service tunnel=building_passage", true),
            ("highway=primary tunnel=yes", true),
        ] {
            assert_eq!(may_drive(&tags(text)), expected, "{text}");
        }
    }

    #[test]
    fn one_ways_are_tagged_or_implied() {
        for (text, expected) in [
            ("highway=primary", Direction::Both),
            ("oneway=yes", Direction::Forward),
            ("oneway=-1", Direction::Backward),
            ("junction=roundabout", Direction::Forward),
            ("highway=motorway", Direction::Forward),
            ("highway=motorway oneway=no", Direction::Both),
        ] {
            assert_eq!(direction(&tags(text)), expected, "{text}");
        }
    }

    #[test]
    fn limits_come_in_many_spellings_and_nonsense_is_ignored() {
        for (text, expected) in [
            ("highway=residential", 30.0),
            ("highway=residential maxspeed=40", 40.0),
            ("highway=primary maxspeed=none", 50.0),
            ("highway=primary maxspeed=NaN", 50.0),
            ("highway=primary maxspeed=-3", 50.0),
            ("highway=primary maxspeed=1e9", 50.0),
        ] {
            assert_eq!(speed_kmh(&tags(text)), expected, "{text}");
        }
        let mph: Tags = [("maxspeed", "30 mph")].into_iter().collect();
        assert!((speed_kmh(&mph) - 48.28).abs() < 0.01);
    }
}
