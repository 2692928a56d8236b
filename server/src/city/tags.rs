//! The classes and speeds of streets, as in the OpenStreetMap wiki: "Key:highway", "Key:maxspeed".

use super::{map::StreetClass, osm::Tags};

/// Returns the class of a way that is built for cars or buses, regardless of access, or `None` for any other way.
pub(super) fn car_class(tags: &Tags) -> Option<StreetClass> {
    Some(match tags.get("highway")? {
        "motorway" | "motorway_link" | "trunk" | "trunk_link" => StreetClass::Motorway,
        "primary" | "primary_link" => StreetClass::Primary,
        "secondary" | "secondary_link" => StreetClass::Secondary,
        "tertiary" | "tertiary_link" => StreetClass::Tertiary,
        "residential" | "unclassified" | "living_street" | "road" => StreetClass::Residential,
        "service" | "busway" => StreetClass::Service,
        _ => return None,
    })
}

/// Returns the free-flow speed: the posted limit, else a typical speed in a town.
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

/// Parses "50", "50 km/h" or "30 mph". Returns `None` for words and for implausible speeds.
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
        assert_eq!(car_class(&tags("highway=busway")), Some(StreetClass::Service));
        for other in ["highway=footway", "highway=construction", "railway=tram"] {
            assert_eq!(car_class(&tags(other)), None, "{other}");
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
