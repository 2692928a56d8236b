//! Names for points on the map, from the streets that the page has loaded. Pure.

use rides_proto::{geo::LatLng, math::cos};

use crate::model::Street;

/// The longest distance from a point to a street that may give it a name.
const REACH_M: f64 = 150.0;
/// The length of a degree of latitude, in metres.
const METRES_PER_DEGREE: f64 = 111_195.0;

/// Returns the name of the nearest named street within 150 m.
pub(super) fn nearest(streets: &[Street], at: LatLng) -> Option<&str> {
    streets
        .iter()
        .filter(|street| !street.name.is_empty())
        .map(|street| (distance_m(&street.line, at), street.name.as_str()))
        .filter(|(metres, _)| *metres <= REACH_M)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// Returns the distance in metres from `at` to the nearest point of `proxied_client`, on the plane that touches Earth
/// at `at`.
fn distance_m(line: &[LatLng], at: LatLng) -> f64 {
    let shrink = cos(at.lat().to_radians());
    let plane = |p: LatLng| {
        ((p.lng() - at.lng()) * shrink * METRES_PER_DEGREE, (p.lat() - at.lat()) * METRES_PER_DEGREE)
    };
    line.windows(2)
        .map(|pair| distance_from_origin(plane(pair[0]), plane(pair[1])))
        .fold(f64::INFINITY, f64::min)
}

fn distance_from_origin((ax, ay): (f64, f64), (bx, by): (f64, f64)) -> f64 {
    let (dx, dy) = (bx - ax, by - ay);
    let length_squared = dx * dx + dy * dy;
    let t = if length_squared > 0.0 { (-(ax * dx + ay * dy) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
    (ax + t * dx).hypot(ay + t * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StreetClass;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn street(name: &str, line: Vec<LatLng>) -> Street {
        Street { class: StreetClass::Residential, name: name.to_owned(), line, one_way: false }
    }

    #[test]
    fn the_nearest_named_street_gives_the_name() {
        let streets = [
            street("", vec![p(60.17, 24.94), p(60.17, 24.95)]),
            street("Near", vec![p(60.1705, 24.94), p(60.1705, 24.95)]),
            street("Nearer at an end only", vec![p(60.171, 24.9452), p(60.18, 24.9452)]),
        ];
        assert_eq!(nearest(&streets, p(60.17, 24.945)), Some("Near"));
    }

    #[test]
    fn far_from_any_street_there_is_no_name() {
        let streets = [street("Far", vec![p(60.18, 24.94), p(60.18, 24.95)])];
        assert_eq!(nearest(&streets, p(60.17, 24.945)), None);
        assert_eq!(nearest(&[], p(60.17, 24.945)), None);
    }

    #[test]
    fn a_distance_is_to_the_segment_and_not_to_its_line() {
        let line = [p(60.17, 24.94), p(60.17, 24.95)];
        assert!((distance_m(&line, p(60.171, 24.945)) - 111.2).abs() < 0.1);
        let beyond = p(60.17, 24.96);
        assert!((distance_m(&line, beyond) - beyond.distance_m(line[1])).abs() < 1.0);
    }
}
