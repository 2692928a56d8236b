//! The city: its streets, the way between two points, and what the page draws.
//!
//! Data runs one way: bytes → [`osm`] → [`roads`] → [`router`] and [`snap`]; and [`osm`] → [`map`] and [`places`].

mod clip;
mod coast;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod map;
mod osm;
mod places;
mod quiet;
mod rings;
mod roads;
mod route;
mod router;
mod snap;
mod tags;

use std::{path::Path, time::Duration};

use rides_proto::geo::{Bounds, LatLng};

pub use self::{
    error::{CityError, Problem},
    map::{Area, AreaKind, MAX_POINTS, MapData, Rail, RailKind, Street, StreetClass},
    places::Place,
    route::Route,
    snap::Snapped,
};
use self::{osm::Osm, places::Places, roads::Roads, router::Router, snap::SegmentIndex};
use crate::files;

/// Must stand where a person sees the map: the Open Database License asks for it.
const ATTRIBUTION: &str = "© OpenStreetMap contributors";

/// Central Helsinki; see `server/data/README.md`.
const HELSINKI: &[u8] = include_bytes!("../../data/helsinki.osm.pbf");

/// A city, ready to drive in and to draw. Immutable; share it behind an `Arc`.
pub struct City {
    name: String,
    version: String,
    bounds: Bounds,
    roads: Roads,
    /// Metres of street up to and with each segment.
    street_m: Vec<f64>,
    segments: SegmentIndex,
    router: Router,
    places: Places,
    map: MapData,
}

impl City {
    /// The city that comes with the program.
    pub fn embedded() -> Self {
        Self::from_pbf("Helsinki", HELSINKI).expect("the embedded map is whole: a test loads it")
    }

    /// Reads an .osm.pbf file. The city is called after it: `oulu.osm.pbf` is "Oulu".
    ///
    /// Blocks, for seconds with a large file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CityError> {
        let path = path.as_ref();
        let bytes = files::read(path).map_err(Problem::Unreadable);
        bytes
            .and_then(|bytes| Self::new(&name_of(path), &bytes))
            .map_err(|problem| CityError { map: path.display().to_string(), problem })
    }

    /// Reads the bytes of an .osm.pbf file. `name` is the city's, for people.
    pub fn from_pbf(name: &str, bytes: &[u8]) -> Result<Self, CityError> {
        Self::new(name, bytes).map_err(|problem| CityError { map: name.into(), problem })
    }

    fn new(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let osm = Osm::parse(bytes)?;
        let bounds =
            osm.bounds.or_else(|| Bounds::around(osm.nodes.values().copied())).ok_or(Problem::NoStreets)?;
        let roads = Roads::new(&osm, bounds);
        if roads.segments.is_empty() {
            return Err(Problem::NoStreets);
        }
        let map = MapData::new(&osm, bounds);
        let sums = roads.segments.iter().scan(0.0, |sum, segment| {
            *sum += segment.length_m;
            Some(*sum)
        });
        Ok(Self {
            name: name.into(),
            version: map.digest(),
            bounds,
            street_m: sums.collect(),
            segments: SegmentIndex::new(&roads, bounds),
            router: Router::new(&roads),
            places: Places::new(&osm, bounds),
            roads,
            map,
        })
    }

    /// For people: "Helsinki".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Must stand where a person sees the map.
    pub fn attribution(&self) -> &'static str {
        ATTRIBUTION
    }

    /// Changes when [`City::map`] does: a fingerprint of it, the same in every build.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the map covers.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What the page draws.
    pub fn map(&self) -> &MapData {
        &self.map
    }

    /// The nearest point of a drivable street, however far.
    pub fn snap(&self, point: LatLng) -> Snapped {
        // There is always a nearest one: a city has at least one segment.
        let (segment, part) = self.segments.nearest(point).unwrap_or((0, 0.0));
        let mut snapped = Snapped::on(&self.roads, segment, part, Some(point));
        if snapped.street.is_empty() {
            snapped.street = self.segments.name_near(&self.roads, snapped.at);
        }
        snapped
    }

    /// The fastest way; `None` when there is none, as between places of different cities.
    pub fn route(&self, from: &Snapped, to: &Snapped) -> Option<Route> {
        route::route(&self.roads, &self.router, from, to)
    }

    /// How long the fastest way takes, without making its line. Cheaper than [`City::route`].
    pub fn drive_time(&self, from: &Snapped, to: &Snapped) -> Option<Duration> {
        route::drive_time(&self.roads, &self.router, from, to)
    }

    /// A place on a drivable street, each metre of street as likely as any other.
    pub fn random_place(&self, rng: &mut impl rand::Rng) -> Snapped {
        let total = self.street_m.last().copied().unwrap_or_default();
        let metre = rng.random::<f64>() * total;
        let segment = self.street_m.partition_point(|end| *end <= metre).min(self.roads.segments.len() - 1);
        let length = self.roads.segments[segment].length_m;
        let part = 1.0 - (self.street_m[segment] - metre) / length;
        Snapped::on(&self.roads, segment, part.clamp(0.0, 1.0), None)
    }

    /// Streets whose name matches, in any of its languages, best first. Case and accents do not matter.
    pub fn find_places(&self, query: &str, limit: usize) -> Vec<Place> {
        self.places.find(query, limit)
    }
}

/// "Oulu" for `maps/oulu.osm.pbf`.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.split('.').next().unwrap_or_default();
    let mut letters = stem.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
