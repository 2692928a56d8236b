//! The map as the ticks so far have left it, cell by cell.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    cell::CellBoard,
    frame,
    message::{InView, Shared},
};
use crate::positions::FleetTick;

/// For how many ticks an emptied cell is remembered. A viewer that lags further is told of every empty cell.
const REMEMBER_EMPTY: u64 = 240;

/// All cells as of one tick. What did not change is shared with the board before it.
#[derive(Debug)]
pub struct Board {
    /// Which tick; 0 before the first.
    pub(super) tick: u64,
    /// For how long the fan-out had run by then.
    pub(super) uptime: Duration,
    /// What every message of this tick has.
    pub(super) stamp: Bytes,
    /// What the first message of a stream has besides.
    pub(super) opening: Bytes,
    /// In the order of their numbers.
    cells: Vec<(Cell, Arc<CellBoard>)>,
    /// Every cell that was emptied after this tick is still in `cells`.
    forgotten: u64,
    shared: Shared,
}

impl Board {
    /// An empty map, before the first tick of an epoch.
    pub fn new(epoch: &str, tick_interval: Duration) -> Self {
        Self {
            tick: 0,
            uptime: Duration::ZERO,
            stamp: Bytes::new(),
            opening: frame::opening(epoch, tick_interval),
            cells: Vec::new(),
            forgotten: 0,
            shared: Shared::default(),
        }
    }

    /// The board after a newer tick.
    pub fn after(&self, tick: FleetTick, uptime: Duration) -> Self {
        let FleetTick { tick, time, cells: mut changes } = tick;
        changes.sort_unstable_by_key(|change| change.cell);
        let mut cells = Vec::with_capacity(self.cells.len() + changes.len());
        let mut before = self.cells.iter().peekable();
        for change in changes {
            while let Some(unchanged) = before.next_if(|(cell, _)| *cell < change.cell) {
                cells.push(unchanged.clone());
            }
            let cell = change.cell;
            let board = match before.next_if(|(same, _)| *same == cell) {
                Some((_, board)) => board.after(change, tick),
                None => CellBoard::new(change, tick),
            };
            cells.push((cell, Arc::new(board)));
        }
        cells.extend(before.cloned());

        let forgotten = self.forgotten.max(forget_empty(&mut cells, tick));
        let stamp = frame::stamp(tick, time);
        Self {
            tick,
            uptime,
            stamp,
            opening: self.opening.clone(),
            cells,
            forgotten,
            shared: Shared::default(),
        }
    }

    /// What viewers of the same cells share.
    pub fn in_view(&self, view: CellBox) -> Arc<InView> {
        let cars = || self.cells_of(view).map(|(_, board)| board.count()).sum();
        self.shared.get(view, cars)
    }

    /// The frames that someone lacks who has all of `view` as of tick `have`, or nothing of it. `moves`: as in the
    /// request.
    pub(super) fn lacking(&self, view: CellBox, have: Option<u64>, moves: bool) -> Vec<Bytes> {
        if let Some(tick) = have.filter(|tick| *tick < self.forgotten) {
            return view.cells().filter_map(|cell| self.lacking_of(cell, Some(tick), moves)).collect();
        }
        self.cells_of(view).filter_map(|(cell, board)| board.lacking(*cell, have, moves)).collect()
    }

    /// The frames that someone lacks who has some cells of `view`, each as of its own tick.
    pub(super) fn lacking_with(
        &self,
        view: CellBox,
        cursors: &HashMap<Cell, u64>,
        moves: bool,
    ) -> Vec<Bytes> {
        let lacking = |cell| self.lacking_of(cell, cursors.get(&cell).copied(), moves);
        view.cells().filter_map(lacking).collect()
    }

    /// The counts that someone lacks who has those of `view` as of tick `have`, or none of them.
    pub(super) fn lacking_counts(
        &self,
        view: CellBox,
        have: Option<u64>,
    ) -> impl Iterator<Item = (Cell, usize)> {
        // What was forgotten since had no cars, and it is cheap to say so.
        let long_ago = have.filter(|tick| *tick < self.forgotten);
        let forgotten = long_ago
            .into_iter()
            .flat_map(move |_| view.cells().filter(|cell| self.cell(*cell).is_none()).map(|cell| (cell, 0)));
        let known = self.cells_of(view);
        known.filter_map(move |(cell, board)| Some((*cell, board.lacking_count(have)?))).chain(forgotten)
    }

    fn lacking_of(&self, cell: Cell, have: Option<u64>, moves: bool) -> Option<Bytes> {
        // Nobody has seen the future: such a cursor says nothing.
        let have = have.filter(|tick| *tick <= self.tick);
        match (self.cell(cell), have) {
            (Some(board), have) => board.lacking(cell, have, moves),
            (None, Some(tick)) if tick < self.forgotten => Some(frame::snapshot(cell, self.tick, &[])),
            (None, _) => None,
        }
    }

    fn cell(&self, cell: Cell) -> Option<&CellBoard> {
        let at = self.cells.binary_search_by_key(&cell, |(cell, _)| *cell).ok()?;
        Some(&self.cells[at].1)
    }

    /// The cells of `view` that there are: found by a search for each column, however large the map is.
    fn cells_of(&self, view: CellBox) -> impl Iterator<Item = &(Cell, Arc<CellBoard>)> {
        let mut rest = &self.cells[..];
        view.columns().flat_map(move |column| {
            let start = rest.partition_point(|(cell, _)| cell < column.start());
            let length = rest[start..].partition_point(|(cell, _)| cell <= column.end());
            let (here, east) = rest[start..].split_at(length);
            rest = east;
            here
        })
    }
}

/// Drops the cells that have been empty for long. Answers the newest tick in which one of them was emptied.
fn forget_empty(cells: &mut Vec<(Cell, Arc<CellBoard>)>, tick: u64) -> u64 {
    let Some(limit) = tick.checked_sub(REMEMBER_EMPTY) else { return 0 };
    let mut forgotten = 0;
    cells.retain(|(_, board)| {
        let keep = board.count() > 0 || board.changed > limit;
        if !keep {
            forgotten = board.changed.max(forgotten);
        }
        keep
    });
    forgotten
}
