//! The map as the ticks so far have left it, cell by cell, with the bytes that say so.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
use rides_proto::{ids::CarNumber, tiles::Cell};

use super::frame;
use crate::positions::{CarDot, CellChange, FleetTick};

/// For how many ticks an emptied cell is remembered. A viewer that lags further is told of every empty cell.
const REMEMBER_EMPTY: u64 = 240;

/// All cells. Cheap to clone: what did not change is shared.
#[derive(Clone, Debug)]
pub(super) struct Board {
    /// The newest tick in it; 0 before the first.
    pub(super) tick: u64,
    /// The start of every message of this tick.
    pub(super) stamp: Bytes,
    cells: HashMap<Cell, Arc<CellBoard>>,
    /// Every cell that was emptied after this tick is still in `cells`.
    forgotten: u64,
}

#[derive(Debug)]
struct CellBoard {
    cars: BTreeMap<CarNumber, CarDot>,
    /// The tick in which it changed last.
    changed: u64,
    /// Whoever has the cell as of this tick or later needs only `delta`.
    delta_from: u64,
    delta: Bytes,
    /// Made when the first viewer needs it.
    snapshot: OnceLock<Bytes>,
}

impl Board {
    pub(super) fn new() -> Self {
        let stamp = frame::stamp(0, SystemTime::UNIX_EPOCH);
        Self { tick: 0, stamp, cells: HashMap::new(), forgotten: 0 }
    }

    /// Brings the board to a newer tick, encoding each cell that changed.
    pub(super) fn apply(&mut self, tick: &FleetTick) {
        self.tick = tick.tick;
        self.stamp = frame::stamp(tick.tick, tick.time);
        for change in &tick.cells {
            let cell = match self.cells.get(&change.cell) {
                Some(before) => before.after(change, tick.tick),
                None => CellBoard::new(change, tick.tick),
            };
            self.cells.insert(change.cell, Arc::new(cell));
        }
        self.forget_empty();
    }

    /// What someone lacks of a cell who has it as of tick `have`, or not at all.
    pub(super) fn lacking(&self, cell: Cell, have: Option<u64>) -> Option<Bytes> {
        // Nobody has seen the future: such a cursor says nothing.
        let have = have.filter(|tick| *tick <= self.tick);
        match (self.cells.get(&cell), have) {
            (Some(board), Some(tick)) if tick >= board.changed => None,
            (Some(board), Some(tick)) if tick >= board.delta_from => Some(board.delta.clone()),
            (Some(board), None) if board.cars.is_empty() => None,
            (Some(board), _) => Some(board.snapshot(cell)),
            (None, Some(tick)) if tick < self.forgotten => Some(frame::snapshot(cell, self.tick, &[])),
            (None, _) => None,
        }
    }

    fn forget_empty(&mut self) {
        let Some(limit) = self.tick.checked_sub(REMEMBER_EMPTY) else { return };
        let forgotten = &mut self.forgotten;
        self.cells.retain(|_, board| {
            let keep = !board.cars.is_empty() || board.changed > limit;
            if !keep {
                *forgotten = board.changed.max(*forgotten);
            }
            keep
        });
    }
}

impl CellBoard {
    /// A cell of which nothing is remembered: whatever anyone has of it, its first frame is a snapshot.
    fn new(change: &CellChange, tick: u64) -> Self {
        let cars = with(BTreeMap::new(), change);
        let delta = frame::snapshot(change.cell, tick, &change.changed);
        let snapshot = OnceLock::from(delta.clone());
        Self { cars, changed: tick, delta_from: 0, delta, snapshot }
    }

    fn after(&self, change: &CellChange, tick: u64) -> Self {
        Self {
            cars: with(self.cars.clone(), change),
            changed: tick,
            delta_from: self.changed,
            delta: frame::delta(change.cell, tick, &change.changed, &change.left),
            snapshot: OnceLock::new(),
        }
    }

    fn snapshot(&self, cell: Cell) -> Bytes {
        let make = || {
            let cars: Vec<_> = self.cars.values().copied().collect();
            frame::snapshot(cell, self.changed, &cars)
        };
        self.snapshot.get_or_init(make).clone()
    }
}

fn with(mut cars: BTreeMap<CarNumber, CarDot>, change: &CellChange) -> BTreeMap<CarNumber, CarDot> {
    for number in &change.left {
        cars.remove(number);
    }
    cars.extend(change.changed.iter().map(|dot| (dot.number, *dot)));
    cars
}
