//! One cell of the board, with the bytes that say what is in it.

use std::sync::OnceLock;

use bytes::Bytes;
use rides_proto::{ids::CarNumber, tiles::Cell};

use super::frame;
use crate::positions::{CarDot, CellChange};

/// A cell as of the tick in which it changed last.
#[derive(Debug)]
pub(super) struct CellBoard {
    /// In the order of their numbers.
    cars: Vec<CarDot>,
    pub(super) changed: u64,
    /// The tick in which the number of its cars changed last.
    recounted: u64,
    /// Whoever has the cell as of this tick or later needs only `delta`.
    delta_from: u64,
    delta: Bytes,
    /// Made when the first viewer needs it.
    snapshot: OnceLock<Bytes>,
}

impl CellBoard {
    /// A cell of which nothing is remembered: whatever anyone has of it, its first frame is a snapshot.
    pub(super) fn new(change: CellChange, tick: u64) -> Self {
        let cars = in_order(change.changed);
        let delta = frame::snapshot(change.cell, tick, &cars);
        let snapshot = OnceLock::from(delta.clone());
        Self { cars, changed: tick, recounted: tick, delta_from: 0, delta, snapshot }
    }

    pub(super) fn after(&self, change: CellChange, tick: u64) -> Self {
        let CellChange { cell, changed, mut left } = change;
        let changed = in_order(changed);
        left.sort_unstable();
        let delta = frame::delta(cell, tick, &changed, &left);
        let cars = merged(&self.cars, &changed, &left);
        let recounted = if cars.len() == self.cars.len() { self.recounted } else { tick };
        Self { cars, changed: tick, recounted, delta_from: self.changed, delta, snapshot: OnceLock::new() }
    }

    /// How many cars it has.
    pub(super) fn count(&self) -> usize {
        self.cars.len()
    }

    /// What someone lacks who has the cell, which is `cell`, as of tick `have`; `None` there: not at all.
    pub(super) fn lacking(&self, cell: Cell, have: Option<u64>) -> Option<Bytes> {
        match have {
            Some(tick) if tick >= self.changed => None,
            Some(tick) if tick >= self.delta_from => Some(self.delta.clone()),
            None if self.cars.is_empty() => None,
            _ => Some(self.snapshot(cell)),
        }
    }

    /// The count that someone lacks who has it as of tick `have`; `None` there: not at all.
    pub(super) fn lacking_count(&self, have: Option<u64>) -> Option<usize> {
        let lacks = have.map_or(!self.cars.is_empty(), |tick| tick < self.recounted);
        lacks.then_some(self.cars.len())
    }

    fn snapshot(&self, cell: Cell) -> Bytes {
        self.snapshot.get_or_init(|| frame::snapshot(cell, self.changed, &self.cars)).clone()
    }
}

fn in_order(mut cars: Vec<CarDot>) -> Vec<CarDot> {
    cars.sort_unstable_by_key(|car| car.number);
    cars
}

/// `cars` with those that `changed` and without those that `left`. All are in the order of their numbers.
fn merged(cars: &[CarDot], changed: &[CarDot], left: &[CarNumber]) -> Vec<CarDot> {
    let mut merged = Vec::with_capacity(cars.len());
    let mut changed = changed.iter().copied().peekable();
    for car in cars {
        while let Some(entered) = changed.next_if(|new| new.number < car.number) {
            merged.push(entered);
        }
        match changed.next_if(|new| new.number == car.number) {
            Some(moved) => merged.push(moved),
            None if left.binary_search(&car.number).is_ok() => {}
            None => merged.push(*car),
        }
    }
    merged.extend(changed);
    merged
}
