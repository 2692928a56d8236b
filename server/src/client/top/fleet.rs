//! The state of the fleet, built from frames. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use rides_proto::{
    geo::LatLng,
    tiles::Cell,
    v1::{CarState, CellFrame, MapDetail, WatchFleetResponse},
};

/// The time without a report after which a car counts as standing. Frames have only cars that changed.
const STOOD_STILL: Duration = Duration::from_secs(2);

/// The cars in view.
#[derive(Default)]
pub(super) struct FleetView {
    cars: BTreeMap<u32, Car>,
    /// The number of cars in each cell. `None` while the server sends each car instead.
    counts: Option<BTreeMap<u32, u32>>,
    /// The time of the newest message, by the server's clock.
    time: Option<SystemTime>,
}

/// A car in view.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Car {
    /// The number of the car in frames.
    pub number: u32,
    /// The position.
    pub at: LatLng,
    /// The heading in degrees clockwise from north.
    pub heading_deg: f64,
    /// The state.
    pub state: CarState,
    cell: u32,
    tick: u64,
    reported: SystemTime,
    /// The speed between the last two reports, in metres per second. `None` after the first report.
    speed: Option<f64>,
}

impl FleetView {
    /// Applies a message. The first message of a stream, which has an epoch, replaces all state.
    pub(super) fn apply(&mut self, message: &WatchFleetResponse) {
        let time = message.time.and_then(|time| SystemTime::try_from(time).ok());
        let Some(time) = time.or(self.time) else { return };
        self.time = Some(time);
        if !message.epoch.is_empty() {
            (self.cars, self.counts) = Default::default();
        }
        match message.detail() {
            MapDetail::Unspecified => {}
            MapDetail::Cars => self.counts = None,
            MapDetail::Densities => {
                self.cars.clear();
                self.counts = Some(BTreeMap::new());
            }
        }
        match &mut self.counts {
            Some(counts) => {
                counts.extend(message.densities.iter().map(|density| (density.cell, density.cars)));
                counts.retain(|_, cars| *cars > 0);
            }
            None => self.apply_cells(&message.cells, time),
        }
    }

    /// Returns the cars in the order of their numbers.
    pub(super) fn cars(&self) -> impl Iterator<Item = &Car> {
        self.cars.values()
    }

    /// Returns the middle of each cell with cars, and their number, the fullest cell first. `None` while the server
    /// sends each car instead.
    pub(super) fn counts(&self) -> Option<Vec<(LatLng, u32)>> {
        let mut counts: Vec<_> = self.counts.as_ref()?.iter().collect();
        counts.sort_by_key(|(_, cars)| std::cmp::Reverse(**cars));
        let middle = |(cell, cars): (&u32, &u32)| Some((Cell::new(*cell)?.point(0, 0).lat_lng(), *cars));
        Some(counts.into_iter().filter_map(middle).collect())
    }

    /// Returns the number of cars.
    pub(super) fn len(&self) -> usize {
        match &self.counts {
            None => self.cars.len(),
            Some(counts) => counts.values().map(|cars| *cars as usize).sum(),
        }
    }

    /// Returns the speed of a car in metres per second, or `None` if it is not known yet.
    pub(super) fn speed(&self, car: &Car) -> Option<f64> {
        let silent = self.time?.duration_since(car.reported).unwrap_or_default();
        if silent > STOOD_STILL { Some(0.0) } else { car.speed }
    }

    /// Applies the cells of a message. All cars are added before cars that left are removed, because a car that moves
    /// to another cell is in both of their frames.
    fn apply_cells(&mut self, frames: &[CellFrame], time: SystemTime) {
        for frame in frames {
            self.report(frame, time);
        }
        for frame in frames {
            for number in &frame.left {
                let is_here = |car: &Car| car.cell == frame.cell && car.tick <= frame.tick;
                if self.cars.get(number).is_some_and(is_here) {
                    self.cars.remove(number);
                }
            }
            if frame.snapshot {
                self.cars.retain(|_, car| car.cell != frame.cell || car.tick >= frame.tick);
            }
        }
    }

    fn report(&mut self, frame: &CellFrame, time: SystemTime) {
        let Some(cell) = Cell::new(frame.cell) else { return };
        let columns = frame.cars.iter().zip(frame.dx.iter().zip(&frame.dy));
        let columns = columns.zip(frame.headings.iter().zip(&frame.states));
        for ((&number, (&dx, &dy)), (&heading, &state)) in columns {
            let at = cell.point(dx, dy).lat_lng();
            let speed = self.cars.get(&number).and_then(|before| {
                let seconds = time.duration_since(before.reported).ok()?.as_secs_f64();
                (seconds > 0.0).then(|| before.at.distance_m(at) / seconds).or(before.speed)
            });
            let car = Car {
                number,
                at,
                heading_deg: f64::from(heading) * 360.0 / 128.0,
                state: CarState::try_from(state).unwrap_or_default(),
                cell: frame.cell,
                tick: frame.tick,
                reported: time,
                speed,
            };
            self.cars.insert(number, car);
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use rides_proto::v1::CellDensity;

    use super::*;

    const HERE: u32 = 18_653 * 32_768 + 9_484;
    const THERE: u32 = HERE + 32_768;

    fn frame(cell: u32, tick: u64, snapshot: bool, cars: &[(u32, i32)]) -> CellFrame {
        CellFrame {
            cell,
            tick,
            snapshot,
            cars: cars.iter().map(|(number, _)| *number).collect(),
            dx: cars.iter().map(|(_, dx)| *dx).collect(),
            dy: vec![0; cars.len()],
            headings: vec![32; cars.len()],
            states: vec![CarState::Free.into(); cars.len()],
            ..Default::default()
        }
    }

    fn message(tick: u64, cells: Vec<CellFrame>) -> WatchFleetResponse {
        let time = Some(Timestamp { seconds: tick as i64, nanos: 0 });
        WatchFleetResponse { tick, time, cells, ..Default::default() }
    }

    fn opening(cells: Vec<CellFrame>) -> WatchFleetResponse {
        WatchFleetResponse { epoch: "e".into(), detail: MapDetail::Cars.into(), ..message(1, cells) }
    }

    fn numbers(fleet: &FleetView) -> Vec<u32> {
        fleet.cars().map(|car| car.number).collect()
    }

    #[test]
    fn cars_come_move_and_go() {
        let mut fleet = FleetView::default();
        fleet.apply(&opening(vec![frame(HERE, 1, true, &[(7, 0), (8, 0), (9, 0)])]));
        assert_eq!((numbers(&fleet), fleet.len()), (vec![7, 8, 9], 3));
        let gone = CellFrame { left: vec![8, 9], ..frame(HERE, 2, false, &[(7, 270)]) };
        fleet.apply(&message(2, vec![frame(THERE, 2, false, &[(9, 0)]), gone]));
        assert_eq!(numbers(&fleet), [7, 9], "car 8 left, and car 9 moved to the other cell");

        let car = fleet.cars().next().unwrap();
        let speed = fleet.speed(car).unwrap();
        assert!((9.9..10.2).contains(&speed), "{speed} m/s");
        assert_eq!(car.heading_deg, 90.0);
        fleet.apply(&message(9, vec![]));
        assert_eq!(fleet.speed(fleet.cars().next().unwrap()), Some(0.0), "no report for 7 s");

        fleet.apply(&message(10, vec![frame(HERE, 10, true, &[])]));
        assert_eq!(numbers(&fleet), [9], "a snapshot replaces its cell");
        fleet.apply(&opening(vec![frame(HERE, 1, true, &[(1, 0)])]));
        assert_eq!(numbers(&fleet), [1], "the first message of a stream replaces all cells");
    }

    #[test]
    fn a_crowd_is_counted() {
        let mut fleet = FleetView::default();
        fleet.apply(&opening(vec![frame(HERE, 1, true, &[(7, 0)])]));
        assert_eq!(fleet.counts(), None);
        let density = |cell, cars| CellDensity { cell, cars };
        let crowd = WatchFleetResponse {
            detail: MapDetail::Densities.into(),
            densities: vec![density(HERE, 5_000), density(THERE, 6_000)],
            ..message(2, vec![])
        };
        fleet.apply(&crowd);
        let counts = fleet.counts().unwrap();
        assert_eq!(counts.iter().map(|(_, cars)| *cars).collect::<Vec<_>>(), [6_000, 5_000]);
        let fewer = WatchFleetResponse { densities: vec![density(THERE, 0)], ..message(3, vec![]) };
        fleet.apply(&fewer);
        assert_eq!((fleet.len(), fleet.cars().count()), (5_000, 0));
        let each = WatchFleetResponse { detail: MapDetail::Cars.into(), ..message(4, vec![]) };
        fleet.apply(&each);
        assert_eq!((fleet.len(), fleet.counts()), (0, None));
    }
}
