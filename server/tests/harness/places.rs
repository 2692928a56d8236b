//! Places in the city that comes with the program.

use std::sync::LazyLock;

use rand::{SeedableRng as _, rngs::SmallRng};
use rides_proto::{geo::LatLng, v1::Location};
use rides_server::city::City;

/// The city that servers under test have.
pub(crate) static CITY: LazyLock<City> = LazyLock::new(City::embedded);

/// Place number `n`, on a street.
pub(crate) fn place(n: u64) -> Location {
    CITY.random_place(&mut SmallRng::seed_from_u64(n)).at.into()
}

/// The flag for a map with one thing that maps of strangers have: `server/tests/maps/README.md`.
pub(crate) fn made_map(name: &str) -> String {
    format!("--map={}/tests/maps/{name}.osm.pbf", env!("CARGO_MANIFEST_DIR"))
}

/// Some metres north of `at`.
pub(crate) fn north_of(at: Location, metres: f64) -> Location {
    Location { lat: at.lat + metres / 111_195.0, ..at }
}

/// In metres.
pub(crate) fn distance_m(a: Location, b: Location) -> f64 {
    let point = |location: Location| LatLng::try_from(location).unwrap();
    point(a).distance_m(point(b))
}

/// On Earth, and far from any street of any city.
pub(crate) const AT_SEA: Location = Location { lat: 0.0, lng: 0.0 };
/// No place at all.
pub(crate) const NOWHERE: Location = Location { lat: f64::NAN, lng: 0.0 };
