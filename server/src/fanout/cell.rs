//! One cell of the board, and the encoded frames of it.

use std::sync::OnceLock;

use bytes::Bytes;
use rides_proto::{ids::CarNumber, tiles::Cell};

use super::frame::{self, Moved};
use crate::positions::{CarDot, CellChange};

/// A cell as of the tick of its last change. Its frames are encoded when the first viewer needs them.
#[derive(Debug)]
pub(super) struct MapCell {
    /// Sorted by car number.
    cars: Vec<CarDot>,
    pub(super) changed: u64,
    /// The tick in which the number of cars last changed.
    count_changed: u64,
    /// `None`: the cell is new on the board, and every viewer gets a snapshot first.
    last_delta: Option<CellDelta>,
    snapshot: OnceLock<Bytes>,
}

/// The change of a cell in its newest tick.
#[derive(Debug)]
struct CellDelta {
    /// The tick of the previous change. A viewer that has the cell as of this tick or later needs only the delta.
    from: u64,
    changed: Vec<CarDot>,
    /// The offset of each car in `changed`, or `None` for a car that did more than move.
    moves: Vec<Option<(i32, i32)>>,
    left: Vec<CarNumber>,
    delta: OnceLock<Bytes>,
    delta_of_moves: OnceLock<Bytes>,
}

impl MapCell {
    /// Returns a cell that was not on the board before.
    pub(super) fn new(change: CellChange, tick: u64) -> Self {
        let cars = in_order(change.changed);
        Self { cars, changed: tick, count_changed: tick, last_delta: None, snapshot: OnceLock::new() }
    }

    pub(super) fn after(&self, change: CellChange, tick: u64) -> Self {
        let CellChange { cell, changed, mut left } = change;
        let changed = in_order(changed);
        left.sort_unstable();
        let (cars, moves) = self.merged(cell, &changed, &left);
        let recounted = if cars.len() == self.cars.len() { self.count_changed } else { tick };
        let (delta, delta_of_moves) = (OnceLock::new(), OnceLock::new());
        let step = Some(CellDelta { from: self.changed, changed, moves, left, delta, delta_of_moves });
        Self { cars, changed: tick, count_changed: recounted, last_delta: step, snapshot: OnceLock::new() }
    }

    /// Returns the number of cars in the cell.
    pub(super) fn count(&self) -> usize {
        self.cars.len()
    }

    /// Returns the frame that a viewer lacks of this cell. `have` is the tick of its copy; `None` means no copy.
    /// `moves` is as in [`Request`](super::Request).
    pub(super) fn frame_since(&self, cell: Cell, have: Option<u64>, moves: bool) -> Option<Bytes> {
        match (have, &self.last_delta) {
            (Some(tick), _) if tick >= self.changed => None,
            (Some(tick), Some(step)) if tick >= step.from => Some(step.delta(cell, self.changed, moves)),
            (None, _) if self.cars.is_empty() => None,
            _ => Some(self.snapshot(cell)),
        }
    }

    /// Returns `true` if a viewer lacks the count of this cell. `have` is the tick of its counts; `None` means no
    /// counts.
    pub(super) fn is_recounted_since(&self, have: Option<u64>) -> bool {
        have.map_or(!self.cars.is_empty(), |tick| tick < self.count_changed)
    }

    fn snapshot(&self, cell: Cell) -> Bytes {
        self.snapshot.get_or_init(|| frame::snapshot(cell, self.changed, &self.cars)).clone()
    }

    /// Returns the cars after the change, and the entry in [`CellDelta::moves`] for each changed car. All lists are
    /// sorted by car number.
    fn merged(
        &self,
        cell: Cell,
        changed: &[CarDot],
        left: &[CarNumber],
    ) -> (Vec<CarDot>, Vec<Option<(i32, i32)>>) {
        let mut cars = Vec::with_capacity(self.cars.len());
        let mut moves = Vec::with_capacity(changed.len());
        let mut changed = changed.iter().copied().peekable();
        for car in &self.cars {
            while let Some(entered) = changed.next_if(|new| new.number < car.number) {
                cars.push(entered);
                moves.push(None);
            }
            match changed.next_if(|new| new.number == car.number) {
                Some(new) => {
                    cars.push(new);
                    moves.push((new.state == car.state).then(|| offset(cell, car, &new)));
                }
                None if left.binary_search(&car.number).is_ok() => {}
                None => cars.push(*car),
            }
        }
        moves.extend(changed.clone().map(|_entered| None));
        cars.extend(changed);
        (cars, moves)
    }
}

impl CellDelta {
    fn delta(&self, cell: Cell, tick: u64, moves: bool) -> Bytes {
        if !moves {
            return self
                .delta
                .get_or_init(|| frame::delta(cell, tick, &self.changed, &[], &self.left))
                .clone();
        }
        let make = || {
            let both = || self.changed.iter().zip(&self.moves);
            let moved: Vec<_> = both().filter_map(|(car, way)| Some(Moved::new(car, (*way)?))).collect();
            let changed: Vec<_> = both().filter(|(_, way)| way.is_none()).map(|(car, _)| *car).collect();
            frame::delta(cell, tick, &changed, &moved, &self.left)
        };
        self.delta_of_moves.get_or_init(make).clone()
    }
}

fn in_order(mut cars: Vec<CarDot>) -> Vec<CarDot> {
    cars.sort_unstable_by_key(|car| car.number);
    cars
}

/// Returns the offset of a car inside `cell`, to the east and to the south.
fn offset(cell: Cell, from: &CarDot, to: &CarDot) -> (i32, i32) {
    let ((x, y), (to_x, to_y)) = (cell.offset(from.at), cell.offset(to.at));
    (to_x - x, to_y - y)
}
