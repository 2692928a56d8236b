//! Conversions between the generated messages and the domain types. Every check on a point, box or line from the wire
//! is in this module.

use std::fmt;

use crate::{
    geo::{Bounds, LatLng, NotOnEarth},
    v1,
};

/// The reason for which a box from the wire is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadBounds {
    /// A corner is not on Earth.
    Corner(NotOnEarth),
    /// South is greater than north, or west is greater than east.
    InsideOut,
}

impl fmt::Display for BadBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corner(why) => why.fmt(f),
            Self::InsideOut => f.write_str("south must not exceed north, nor west east"),
        }
    }
}

impl std::error::Error for BadBounds {}

impl TryFrom<v1::Location> for LatLng {
    type Error = NotOnEarth;

    fn try_from(location: v1::Location) -> Result<Self, Self::Error> {
        Self::new(location.lat, location.lng)
    }
}

impl From<LatLng> for v1::Location {
    fn from(point: LatLng) -> Self {
        Self { lat: point.lat(), lng: point.lng() }
    }
}

impl TryFrom<v1::Bounds> for Bounds {
    type Error = BadBounds;

    fn try_from(b: v1::Bounds) -> Result<Self, Self::Error> {
        let south_west = LatLng::new(b.south, b.west).map_err(BadBounds::Corner)?;
        let north_east = LatLng::new(b.north, b.east).map_err(BadBounds::Corner)?;
        Self::new(south_west, north_east).ok_or(BadBounds::InsideOut)
    }
}

impl From<Bounds> for v1::Bounds {
    fn from(b: Bounds) -> Self {
        let (sw, ne) = (b.south_west(), b.north_east());
        Self { south: sw.lat(), west: sw.lng(), north: ne.lat(), east: ne.lng() }
    }
}

/// Encodes a line. `Path` in location.proto describes the format.
pub fn pack_path(line: &[LatLng]) -> v1::Path {
    let mut microdegrees = Vec::with_capacity(line.len() * 2);
    let mut last = (0, 0);
    for point in line {
        let here = ((point.lat() * 1e6).round() as i32, (point.lng() * 1e6).round() as i32);
        microdegrees.extend([here.0 - last.0, here.1 - last.1]);
        last = here;
    }
    v1::Path { microdegrees }
}

/// Decodes a line. Returns `None` if it is malformed: an odd count, or a point that is not on Earth.
pub fn unpack_path(path: &v1::Path) -> Option<Vec<LatLng>> {
    let (pairs, rest) = path.microdegrees.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let mut last = (0i32, 0i32);
    pairs
        .iter()
        .map(|[lat, lng]| {
            last = (last.0.checked_add(*lat)?, last.1.checked_add(*lng)?);
            LatLng::new(f64::from(last.0) / 1e6, f64::from(last.1) / 1e6).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_paths_are_refused() {
        for bad in [vec![1], vec![91_000_000, 0], vec![0, 180_000_000, 0, 1], vec![i32::MAX, 0, 1, 0]] {
            assert_eq!(unpack_path(&v1::Path { microdegrees: bad.clone() }), None, "{bad:?}");
        }
        assert_eq!(unpack_path(&v1::Path::default()), Some(vec![]));
    }

    #[test]
    fn a_box_must_be_the_right_way_round() {
        let b = v1::Bounds { south: 1.0, west: 0.0, north: 0.0, east: 0.0 };
        assert_eq!(Bounds::try_from(b), Err(BadBounds::InsideOut));
        let b = v1::Bounds { south: f64::NAN, ..Default::default() };
        assert_eq!(Bounds::try_from(b), Err(BadBounds::Corner(NotOnEarth::Latitude)));
    }

    proptest! {
        #[test]
        fn a_line_comes_back_to_a_tenth_of_a_metre(line in prop::collection::vec((-90.0..=90.0f64, -180.0..=180.0f64), 0..50)) {
            let line: Vec<_> = line.into_iter().map(|(a, b)| LatLng::new(a, b).expect("on Earth")).collect();
            let back = unpack_path(&pack_path(&line)).expect("well formed");
            prop_assert_eq!(back.len(), line.len());
            for (a, b) in line.iter().zip(&back) {
                prop_assert!((a.lat() - b.lat()).abs() <= 5.1e-7 && (a.lng() - b.lng()).abs() <= 5.1e-7);
            }
        }
    }
}
