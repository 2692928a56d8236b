//! Points, boxes and lines on Earth, in WGS 84 degrees.

use std::fmt;

/// Mean Earth radius in metres (IUGG).
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point on Earth: finite, latitude in [-90, 90], longitude in [-180, 180].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LatLng {
    lat: f64,
    lng: f64,
}

/// The straight line from one point to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Leg {
    /// The length in metres.
    pub distance_m: f64,
    /// The initial direction: the ratio of `north` to `east` counts, and their unit does not.
    north: f64,
    east: f64,
}

impl Leg {
    /// Returns the initial direction in degrees clockwise from north, in [0, 360).
    pub fn bearing_deg(self) -> f64 {
        bearing_deg(self.north, self.east)
    }
}

/// The largest difference in degrees, of latitude and of longitude, at which a leg is computed as flat.
const FLAT_DEG: f64 = 0.1;
/// The largest latitude at which a leg is computed as flat.
const FLAT_UP_TO_DEG: f64 = 80.0;

/// The coordinate for which two numbers are not a point on Earth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotOnEarth {
    /// Latitude is not a number in [-90, 90].
    Latitude,
    /// Longitude is not a number in [-180, 180].
    Longitude,
}

impl fmt::Display for NotOnEarth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latitude => "latitude must be a number from -90 to 90",
            Self::Longitude => "longitude must be a number from -180 to 180",
        })
    }
}

impl std::error::Error for NotOnEarth {}

impl LatLng {
    /// Returns the point.
    ///
    /// # Errors When a coordinate is not a number in its range. There is no other constructor, so a `LatLng` is always
    /// a point on Earth.
    pub fn new(lat: f64, lng: f64) -> Result<Self, NotOnEarth> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(NotOnEarth::Latitude);
        }
        if !(-180.0..=180.0).contains(&lng) {
            return Err(NotOnEarth::Longitude);
        }
        Ok(Self { lat, lng })
    }

    /// The latitude in degrees north.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// The longitude in degrees east.
    pub fn lng(self) -> f64 {
        self.lng
    }

    /// Returns the point rounded to a microdegree (0.1 m), the precision at which lines are stored and sent.
    pub fn rounded(self) -> Self {
        let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
        Self { lat: round(self.lat), lng: round(self.lng) }
    }

    /// Returns the great-circle distance in metres (haversine).
    pub fn distance_m(self, other: Self) -> f64 {
        let (lat1, lat2) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = (lat2 - lat1) / 2.0;
        let half_lng = (other.lng - self.lng).to_radians() / 2.0;
        let a = half_lat.sin().powi(2) + lat1.cos() * lat2.cos() * half_lng.sin().powi(2);
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }

    /// Returns the initial bearing towards `other` in degrees clockwise from north, in [0, 360).
    pub fn bearing_deg(self, other: Self) -> f64 {
        let (north, east) = self.towards(other);
        bearing_deg(north, east)
    }

    /// Returns the leg to `other`.
    ///
    /// A short leg, for example between two positions of a car, is computed on a flat Earth. That takes a quarter of
    /// the time. The error is less than a hundred-thousandth of the length, and less than a tenth of a degree.
    pub fn leg_to(self, other: Self) -> Leg {
        let (d_lat, d_lng) = (other.lat - self.lat, other.lng - self.lng);
        if d_lat.abs().max(d_lng.abs()) > FLAT_DEG || self.lat.abs() > FLAT_UP_TO_DEG {
            let (north, east) = self.towards(other);
            return Leg { distance_m: self.distance_m(other), north, east };
        }
        let middle = ((self.lat + other.lat) / 2.0).to_radians();
        let (north, east) = (d_lat.to_radians(), d_lng.to_radians() * middle.cos());
        Leg { distance_m: EARTH_RADIUS_M * (north * north + east * east).sqrt(), north, east }
    }

    /// Returns the initial direction of the great circle to `other`, as its components (north, east).
    fn towards(self, other: Self) -> (f64, f64) {
        let (lat1, lat2) = (self.lat.to_radians(), other.lat.to_radians());
        let d_lng = (other.lng - self.lng).to_radians();
        let north = lat1.cos() * lat2.sin() - lat1.sin() * lat2.cos() * d_lng.cos();
        let east = d_lng.sin() * lat2.cos();
        (north, east)
    }

    /// Interpolates linearly in degrees from this point (`t` = 0) to `other` (`t` = 1). Accurate enough for the length
    /// of a street.
    pub fn lerp(self, other: Self, t: f64) -> Self {
        let t = t.clamp(0.0, 1.0);
        Self { lat: self.lat + (other.lat - self.lat) * t, lng: self.lng + (other.lng - self.lng) * t }
    }
}

fn bearing_deg(north: f64, east: f64) -> f64 {
    east.atan2(north).to_degrees().rem_euclid(360.0)
}

/// A box on Earth with its edges: `south <= north` and `west <= east`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    south_west: LatLng,
    north_east: LatLng,
}

impl Bounds {
    /// Returns the box, or `None` if the corners are the wrong way round.
    pub fn new(south_west: LatLng, north_east: LatLng) -> Option<Self> {
        (south_west.lat <= north_east.lat && south_west.lng <= north_east.lng)
            .then_some(Self { south_west, north_east })
    }

    /// Returns the smallest box around the points, or `None` if there are no points.
    pub fn around(points: impl IntoIterator<Item = LatLng>) -> Option<Self> {
        points.into_iter().fold(None, |bounds, p| match bounds {
            None => Some(Self { south_west: p, north_east: p }),
            Some(Self { south_west: sw, north_east: ne }) => Some(Self {
                south_west: LatLng { lat: sw.lat.min(p.lat), lng: sw.lng.min(p.lng) },
                north_east: LatLng { lat: ne.lat.max(p.lat), lng: ne.lng.max(p.lng) },
            }),
        })
    }

    /// The corner with the least latitude and longitude.
    pub fn south_west(self) -> LatLng {
        self.south_west
    }

    /// The corner with the greatest latitude and longitude.
    pub fn north_east(self) -> LatLng {
        self.north_east
    }

    /// Returns `true` if `point` is inside the box or on its edge.
    pub fn contains(self, point: LatLng) -> bool {
        (self.south_west.lat..=self.north_east.lat).contains(&point.lat)
            && (self.south_west.lng..=self.north_east.lng).contains(&point.lng)
    }

    /// The middle of the box.
    pub fn center(self) -> LatLng {
        self.south_west.lerp(self.north_east, 0.5)
    }
}

/// Returns the length of a line in metres.
pub fn length_m(line: &[LatLng]) -> f64 {
    line.windows(2).map(|pair| pair[0].distance_m(pair[1])).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    #[test]
    fn only_points_on_earth_are_points() {
        assert_eq!(LatLng::new(f64::NAN, 0.0), Err(NotOnEarth::Latitude));
        assert_eq!(LatLng::new(90.1, 0.0), Err(NotOnEarth::Latitude));
        assert_eq!(LatLng::new(0.0, f64::INFINITY), Err(NotOnEarth::Longitude));
        assert_eq!(LatLng::new(0.0, -180.5), Err(NotOnEarth::Longitude));
        assert!(LatLng::new(-90.0, 180.0).is_ok());
    }

    #[test]
    fn a_minute_of_latitude_is_a_nautical_mile() {
        let d = p(60.0, 25.0).distance_m(p(60.0 + 1.0 / 60.0, 25.0));
        assert!((d - 1853.0).abs() < 1.0, "{d}");
    }

    #[test]
    fn bearings_go_clockwise_from_north() {
        let here = p(60.0, 25.0);
        for (there, expected) in
            [(p(60.1, 25.0), 0.0), (p(60.0, 25.01), 90.0), (p(59.9, 25.0), 180.0), (p(60.0, 24.99), 270.0)]
        {
            let got = here.bearing_deg(there);
            assert!((got - expected).abs() < 0.1, "{got} for {expected}");
        }
    }

    proptest! {
        #[test]
        fn a_leg_is_as_long_as_its_distance_and_goes_where_its_bearing_does(
            lat in -90.0..=90.0f64,
            lng in -180.0..=180.0f64,
            north in -0.15..0.15f64,
            east in -0.15..0.15f64,
        ) {
            let here = p(lat, lng);
            let there = p((lat + north).clamp(-90.0, 90.0), (lng + east).clamp(-180.0, 180.0));
            let leg = here.leg_to(there);
            let distance = here.distance_m(there);
            prop_assert!((leg.distance_m - distance).abs() <= 1e-5 * distance + 1e-6, "{leg:?}, {distance} m");
            let turned = (leg.bearing_deg() - here.bearing_deg(there) + 180.0).rem_euclid(360.0) - 180.0;
            prop_assert!(turned.abs() < 0.1 || distance < 0.01, "{leg:?}, by {turned}");
        }
    }

    #[test]
    fn a_leg_over_the_date_line_is_a_short_one() {
        let (west, east) = (p(10.0, 179.99), p(10.0, -179.99));
        let leg = west.leg_to(east);
        assert!((leg.distance_m - 2_190.0).abs() < 1.0, "{leg:?}");
        assert!((leg.bearing_deg() - 90.0).abs() < 0.1, "{leg:?}");
    }

    #[test]
    fn bounds_keep_their_order() {
        assert!(Bounds::new(p(1.0, 1.0), p(0.0, 2.0)).is_none());
        let b = Bounds::around([p(60.0, 25.0), p(60.2, 24.8)]).expect("two points");
        assert!(b.contains(p(60.1, 24.9)) && b.contains(p(60.0, 24.8)) && !b.contains(p(60.3, 24.9)));
    }
}
