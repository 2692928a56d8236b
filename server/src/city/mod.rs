//! The city: its streets, the way between two points, and what the page draws. Being written.

use std::time::Duration;

use rides_proto::geo::{Bounds, LatLng};

/// A city, ready to drive in and to draw. Immutable; share it behind an `Arc`.
pub struct City {}

/// A point moved to the nearest drivable street.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapped {
    /// On the street.
    pub at: LatLng,
    /// How far that is from the point asked for, in metres.
    pub off_m: f64,
    /// The street's name; may be empty.
    pub street: String,
    // ... private: which edge, how far along it
}

/// A way by car.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// From start to end, at least one point.
    pub line: Vec<LatLng>,
    /// When each point of `line` is reached, in seconds from the start, never decreasing.
    pub at_s: Vec<f64>,
    /// Metres.
    pub distance_m: f64,
    /// From start to end.
    pub duration: Duration,
}

impl City {
    /// The city that comes with the program.
    pub fn embedded() -> Self {
        unimplemented!()
    }
    /// What the map covers.
    pub fn bounds(&self) -> Bounds {
        unimplemented!()
    }
    /// The nearest point of a drivable street, however far.
    pub fn snap(&self, _point: LatLng) -> Snapped {
        unimplemented!()
    }
    /// The fastest way; `None` when there is none.
    pub fn route(&self, _from: &Snapped, _to: &Snapped) -> Option<Route> {
        unimplemented!()
    }
    /// How long the fastest way takes, without making its line. Cheaper than [`City::route`].
    pub fn drive_time(&self, _from: &Snapped, _to: &Snapped) -> Option<Duration> {
        unimplemented!()
    }
    /// A place on a drivable street, each metre of street as likely as any other.
    pub fn random_place(&self, _rng: &mut impl rand::Rng) -> Snapped {
        unimplemented!()
    }
}
