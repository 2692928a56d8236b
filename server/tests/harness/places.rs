//! Locations in the embedded city, and maps made for tests.

use std::sync::LazyLock;

use rand::{SeedableRng as _, rngs::SmallRng};
use rides_proto::{geo::LatLng, v1::Location};
use rides_server::city::City;

/// The embedded city, which servers under test have by default.
pub(crate) static CITY: LazyLock<City> = LazyLock::new(City::embedded);

/// Returns a location on a street. The same `n` gives the same location.
pub(crate) fn place(n: u64) -> Location {
    CITY.random_place(&mut SmallRng::seed_from_u64(n)).at.into()
}

/// The `--map` flag for a map in `server/tests/maps`. Each of these maps has one peculiarity of maps from
/// elsewhere; the README there lists them.
pub(crate) fn test_map_flag(name: &str) -> String {
    format!("--map={}/tests/maps/{name}.osm.pbf", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the location `metres` north of `at`.
pub(crate) fn north_of(at: Location, metres: f64) -> Location {
    Location { lat: at.lat + metres / 111_195.0, ..at }
}

/// The distance in metres.
pub(crate) fn distance_m(a: Location, b: Location) -> f64 {
    let point = |location: Location| LatLng::try_from(location).unwrap();
    point(a).distance_m(point(b))
}

/// A valid location that is far from every street.
pub(crate) const AT_SEA: Location = Location { lat: 0.0, lng: 0.0 };
/// An invalid location: its latitude is not a number.
pub(crate) const NOWHERE: Location = Location { lat: f64::NAN, lng: 0.0 };
