//! The city: its streets, routes between two places, search by street name, and the geometry that the page draws.
//!
//! Data flows one way: bytes → [`osm`] → [`roads`] → [`router`], [`snap`] and [`places`]; and [`osm`] → [`map`].

mod access;
mod catch_panic;
mod clip;
mod coast;
mod error;
mod extent;
mod formats;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod map;
mod names;
mod osm;
mod places;
mod rings;
mod roads;
mod route;
mod router;
mod snap;
mod tags;
mod title;

use std::{path::Path, time::Duration};

use rides_proto::geo::{Bounds, LatLng};

pub use self::{
    error::{CityError, Problem},
    extent::HeaderBoxUse,
    formats::Format,
    map::{Area, AreaKind, MAX_POINTS, MapData, Rail, RailKind, Street, StreetClass},
    osm::HeaderBox,
    places::Place,
    roads::UnusedStreets,
    route::Route,
    snap::Snapped,
};
use self::{
    extent::{MAX_LATITUDE, NO_STREETS_IN_BOX, checked_box, map_bounds},
    osm::{Osm, are_across_antimeridian},
    places::Places,
    roads::{Roads, for_taxis},
    router::Router,
    snap::SegmentIndex,
    title::title_of,
};
use crate::files;

/// The attribution that the Open Database License requires wherever a person sees the map.
const ATTRIBUTION: &str = "© OpenStreetMap contributors";

/// The longest walk of a rider to a street, in metres. A place that is further away cannot be served.
pub const MAX_WALK_M: f64 = 250.0;

/// The map of central Helsinki, described in `server/data/README.md`.
const HELSINKI: &[u8] = include_bytes!("../../data/helsinki.osm.pbf");

/// A city with its roads, search and map. Immutable; shared in an `Arc`.
pub struct City {
    name: String,
    version: String,
    bounds: Bounds,
    roads: Roads,
    /// The total length of all segments up to and including this one, in metres.
    cumulative_m: Vec<f64>,
    segments: SegmentIndex,
    router: Router,
    places: Places,
    map: MapData,
    report: MapReport,
}

/// The parts of a map file that are used and those that are left out, for the log.
#[derive(Clone, PartialEq, Debug)]
pub struct MapReport {
    /// The use of the box in the header.
    pub header_box: HeaderBoxUse,
    /// The number of street names that are kept.
    pub kept_streets: usize,
    /// The length of all streets that are kept, in kilometres.
    pub kept_km: f64,
    /// The streets that are left out, because no car can reach them and leave again.
    pub left_out: UnusedStreets,
}

impl City {
    /// Returns the embedded city.
    pub fn embedded() -> Self {
        Self::from_pbf("Helsinki", HELSINKI).expect("the embedded map is whole: a test loads it")
    }

    /// Reads an .osm.pbf file. The name of the city is taken from the file name: `oulu-latest.osm.pbf` is "Oulu".
    ///
    /// Blocks the thread, for seconds with a large file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a map that can be used.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CityError> {
        let path = path.as_ref();
        let bytes = files::read(path).map_err(Problem::Unreadable);
        bytes
            .and_then(|bytes| Self::new(&title_of(path), &bytes))
            .map_err(|problem| CityError { map: path.display().to_string(), problem })
    }

    /// Reads the bytes of an .osm.pbf file. `name` is the display name of the city.
    ///
    /// # Errors
    /// When the bytes are not a map that can be used.
    pub fn from_pbf(name: &str, bytes: &[u8]) -> Result<Self, CityError> {
        Self::new(name, bytes).map_err(|problem| CityError { map: name.into(), problem })
    }

    fn new(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let osm = Osm::parse(bytes)?;
        let UsedStreets { roads, bounds, report } = UsedStreets::of(&osm)?;
        let map = MapData::new(&osm, bounds);
        let segments = SegmentIndex::new(&roads, bounds);
        let sums = roads.segments.iter().scan(0.0, |sum, segment| {
            *sum += segment.length_m;
            Some(*sum)
        });
        Ok(Self {
            name: name.into(),
            version: map.digest(),
            bounds,
            cumulative_m: sums.collect(),
            report,
            places: Places::new(&osm, &roads, &segments, bounds),
            segments,
            router: Router::new(&roads),
            roads,
            map,
        })
    }

    /// The display name, for example "Helsinki".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The attribution that must be shown with the map.
    pub fn attribution(&self) -> &'static str {
        ATTRIBUTION
    }

    /// A hash of [`City::map`] that is the same in every build.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The parts of the file that are used and those that are left out.
    pub fn report(&self) -> &MapReport {
        &self.report
    }

    /// The bounds of the map: the streets and a margin around them.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The geometry that the page draws.
    pub fn map(&self) -> &MapData {
        &self.map
    }

    /// Returns the nearest point on a drivable street, at any distance.
    pub fn snap(&self, point: LatLng) -> Snapped {
        // There is always a nearest segment: a city has at least one.
        let (segment, part) = self.segments.nearest(point).unwrap_or((0, 0.0));
        let mut snapped = Snapped::on(&self.roads, segment, part, Some(point));
        if snapped.street.is_empty() {
            snapped.street = self.segments.name_near(&self.roads, snapped.at);
        }
        snapped
    }

    /// Returns the fastest route, or `None` if no route connects the places, for example in different cities.
    pub fn route(&self, from: &Snapped, to: &Snapped) -> Option<Route> {
        route::route(&self.roads, &self.router, from, to)
    }

    /// Returns the duration of the fastest route. Cheaper than [`City::route`], because it builds no line.
    pub fn drive_time(&self, from: &Snapped, to: &Snapped) -> Option<Duration> {
        route::drive_time(&self.roads, &self.router, from, to)
    }

    /// Returns a random place on a drivable street, uniform over the length of the streets.
    pub fn random_place(&self, rng: &mut impl rand::Rng) -> Snapped {
        let total = self.cumulative_m.last().copied().unwrap_or_default();
        let metre = rng.random::<f64>() * total;
        let segment =
            self.cumulative_m.partition_point(|end| *end <= metre).min(self.roads.segments.len() - 1);
        let length = self.roads.segments[segment].length_m;
        // A segment between two nodes at the same point has no length.
        let part = if length > 0.0 { 1.0 - (self.cumulative_m[segment] - metre) / length } else { 0.0 };
        Snapped::on(&self.roads, segment, part.clamp(0.0, 1.0), None)
    }

    /// Returns streets that a rider can be driven to and of which a name matches `query`, best first. Ignores case
    /// and accents.
    pub fn find_places(&self, query: &str, limit: usize) -> Vec<Place> {
        self.places.find(query, limit)
    }
}

/// The streets of a file that are used.
struct UsedStreets {
    roads: Roads,
    bounds: Bounds,
    report: MapReport,
}

impl UsedStreets {
    fn of(osm: &Osm) -> Result<Self, Problem> {
        let ways = for_taxis(osm);
        let points: Vec<_> = ways.iter().flat_map(|(way, _)| osm.known_points(&way.nodes)).collect();
        if points.is_empty() && !ways.is_empty() {
            return Err(Problem::NoNodes);
        }
        let mut believed = osm.header_box.map(|header_box| checked_box(header_box, &points));
        let (mut roads, mut left_out) = Roads::new(osm, &ways, believed.and_then(Result::ok));
        if roads.nodes.is_empty() && matches!(believed, Some(Ok(_))) {
            believed = Some(Err(NO_STREETS_IN_BOX));
            (roads, left_out) = Roads::new(osm, &ways, None);
        }
        let streets = Bounds::around(roads.nodes.iter().copied()).ok_or(Problem::NoStreets)?;
        let (south_west, north_east) = (streets.south_west(), streets.north_east());
        if are_across_antimeridian(south_west, north_east) {
            return Err(Problem::Antimeridian);
        }
        if south_west.lat() < -MAX_LATITUDE || north_east.lat() > MAX_LATITUDE {
            return Err(Problem::TooNearThePole);
        }
        let (bounds, header_box) = map_bounds(streets, osm.header_box.zip(believed));
        let (kept_streets, kept_km) = (roads.streets().len(), roads.km());
        let report = MapReport { header_box, kept_streets, kept_km, left_out };
        Ok(Self { roads, bounds, report })
    }
}

#[cfg(test)]
mod tests;
