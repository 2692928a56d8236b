//! The cars of every benchmark. They drive straight on at 10 m/s and sometimes turn by 90 degrees. Pure, and
//! deterministic for a seed.

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rides_proto::{
    geo::LatLng,
    tiles::{CELL_SIDE, WORLD_SIDE, WorldPoint},
    v1,
};

/// The time between two reports of a car, and between two messages to a viewer, in seconds.
pub(crate) const TICK_SECONDS: f64 = 0.25;
/// The mean number of ticks between two turns of a car.
const TURNS_EVERY: u32 = 40;
const SPEED_MPS: f64 = 10.0;
const EQUATOR_M: f64 = 40_075_017.0;

/// A rectangle on the map that its cars do not leave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Area {
    north_west: WorldPoint,
    south_east: WorldPoint,
    /// The distance that a car drives in a tick at this latitude, in units of the world map.
    step_units: f64,
}

impl Area {
    /// Returns the area between two corners, in degrees.
    ///
    /// # Panics
    /// When a corner is not a valid latitude and longitude.
    pub(crate) fn new(south: f64, west: f64, north: f64, east: f64) -> Self {
        let point = |lat, lng| WorldPoint::of(LatLng::new(lat, lng).expect("areas are constants"));
        let unit_m = EQUATOR_M * south.to_radians().cos() / f64::from(WORLD_SIDE);
        Self {
            north_west: point(north, west),
            south_east: point(south, east),
            step_units: SPEED_MPS * TICK_SECONDS / unit_m,
        }
    }

    /// Returns the viewport of the whole area.
    pub(crate) fn viewport(&self) -> v1::Bounds {
        self.viewport_beyond(0, 0)
    }

    /// Returns a viewport of the whole area and of this many more map cells to the west and to the south.
    pub(crate) fn viewport_beyond(&self, west: u32, south: u32) -> v1::Bounds {
        let nw = WorldPoint { x: self.north_west.x - west * CELL_SIDE, ..self.north_west }.lat_lng();
        let se = WorldPoint { y: self.south_east.y + south * CELL_SIDE, ..self.south_east }.lat_lng();
        v1::Bounds { south: se.lat(), west: nw.lng(), north: nw.lat(), east: se.lng() }
    }

    fn holds(&self, x: f64, y: f64) -> bool {
        let within = |value: f64, from: u32, to: u32| value >= f64::from(from) && value < f64::from(to) + 1.0;
        within(x, self.north_west.x, self.south_east.x) && within(y, self.north_west.y, self.south_east.y)
    }
}

/// Returns central Helsinki and its neighbourhood, 3.3 km on each side: the area that viewers see.
pub(crate) fn downtown() -> Area {
    Area::new(60.155, 24.905, 60.185, 24.965)
}

/// Returns an area of 30 km on each side, east of the area that viewers see.
pub(crate) fn elsewhere() -> Area {
    Area::new(60.10, 25.00, 60.37, 25.54)
}

/// Returns an area without cars.
pub(crate) fn at_sea() -> Area {
    Area::new(59.800, 24.905, 59.830, 24.965)
}

/// Cars in one area.
#[derive(Clone, Debug)]
pub(crate) struct Cars {
    area: Area,
    cars: Vec<Car>,
    random: SmallRng,
}

#[derive(Clone, Copy, Debug)]
struct Car {
    x: f64,
    y: f64,
    /// In degrees clockwise from north.
    heading_deg: f64,
}

impl Cars {
    /// Returns cars with random positions and headings in the area.
    pub(crate) fn new(count: usize, area: Area, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut car = || Car {
            x: random.random_range(f64::from(area.north_west.x)..f64::from(area.south_east.x)),
            y: random.random_range(f64::from(area.north_west.y)..f64::from(area.south_east.y)),
            heading_deg: random.random_range(0.0..360.0),
        };
        let cars = (0..count).map(|_| car()).collect();
        Self { area, cars, random }
    }

    /// Returns the number of cars.
    pub(crate) fn len(&self) -> usize {
        self.cars.len()
    }

    /// Returns the position of a car.
    pub(crate) fn point(&self, index: usize) -> WorldPoint {
        let car = self.cars[index];
        WorldPoint { x: car.x as u32, y: car.y as u32 }
    }

    /// Moves one car by a tick. At the edge of the area it turns around.
    pub(crate) fn drive(&mut self, index: usize) {
        let car = &mut self.cars[index];
        if self.random.random_ratio(1, TURNS_EVERY) {
            let turn = if self.random.random() { 90.0 } else { -90.0 };
            car.heading_deg = (car.heading_deg + turn).rem_euclid(360.0);
        }
        let (east, north) = car.heading_deg.to_radians().sin_cos();
        let (x, y) = (car.x + east * self.area.step_units, car.y - north * self.area.step_units);
        if self.area.holds(x, y) {
            (car.x, car.y) = (x, y);
        } else {
            car.heading_deg = (car.heading_deg + 180.0).rem_euclid(360.0);
        }
    }

    /// Moves all cars by a tick.
    pub(crate) fn drive_all(&mut self) {
        for index in 0..self.cars.len() {
            self.drive(index);
        }
    }

    /// Returns the heading of a car in whole degrees clockwise from north, below 360.
    pub(crate) fn heading(&self, index: usize) -> u32 {
        self.cars[index].heading_deg as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cars_move_at_their_speed_and_stay() {
        let mut cars = Cars::new(300, downtown(), 1);
        let bounds = downtown().viewport();
        for _ in 0..500 {
            let before: Vec<_> = (0..cars.len()).map(|index| cars.point(index).lat_lng()).collect();
            cars.drive_all();
            let mut moved = 0;
            for (index, before) in before.iter().enumerate() {
                let here = cars.point(index).lat_lng();
                assert!((bounds.south..=bounds.north).contains(&here.lat()), "{here:?}");
                assert!((bounds.west..=bounds.east).contains(&here.lng()), "{here:?}");
                assert!(here.distance_m(*before) < SPEED_MPS * TICK_SECONDS + 0.1);
                moved += u32::from(here != *before);
            }
            assert!(moved > 290, "{moved}");
        }
    }

    #[test]
    fn the_same_seed_drives_the_same() {
        let drive = |seed| {
            let mut cars = Cars::new(20, downtown(), seed);
            cars.drive_all();
            (0..20).map(|index| (cars.point(index), cars.heading(index))).collect::<Vec<_>>()
        };
        assert_eq!(drive(5), drive(5));
        assert_ne!(drive(5), drive(6));
    }
}
