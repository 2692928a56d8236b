//! The map after the newest tick, cell by cell.

use std::{collections::HashMap, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    cell::CellBoard,
    frame,
    message::{InView, Shared},
};
use crate::positions::FleetTick;

/// The number of ticks for which an empty cell is kept. A viewer that is further behind gets a snapshot of every
/// empty cell.
const REMEMBER_EMPTY: u64 = 240;

/// An immutable copy of all cells as of one tick. Unchanged cells are shared with the board of the tick before.
#[derive(Debug)]
pub struct Board {
    /// The number of the tick. 0 before the first.
    pub(super) tick: u64,
    /// The uptime of the fan-out at this tick.
    pub(super) uptime: Duration,
    /// The encoded fields that every message of this tick has.
    pub(super) stamp: Bytes,
    /// The encoded fields that only the first message of a stream has.
    pub(super) opening: Bytes,
    /// Sorted by cell number.
    cells: Vec<(Cell, Arc<CellBoard>)>,
    /// The newest tick in which a cell that is no longer in `cells` became empty.
    forgotten: u64,
    shared: Shared,
}

/// The number of cars in one density tile of a view.
struct TileCount {
    tile: Cell,
    cars: usize,
    /// `true` if the viewer does not have this count.
    is_news: bool,
}

impl Board {
    /// Returns the empty map from before the first tick of an epoch.
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

    /// Returns the board after a newer tick.
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

    /// Returns the view that all viewers of the same cells share in this tick.
    pub fn in_view(&self, view: CellBox) -> Arc<InView> {
        let cars = || self.cells_of(view).map(|(_, board)| board.count()).sum();
        self.shared.get(view, cars)
    }

    /// Returns the frames that a viewer lacks. `have` is the tick of its copy of `view`; `None` means no copy.
    /// `moves` is as in [`Request`](super::Request).
    pub(super) fn lacking(&self, view: CellBox, have: Option<u64>, moves: bool) -> Vec<Bytes> {
        if let Some(tick) = have.filter(|tick| self.has_forgotten(*tick)) {
            return view.cells().filter_map(|cell| self.lacking_of(cell, tick, moves)).collect();
        }
        self.cells_of(view).filter_map(|(cell, board)| board.lacking(*cell, have, moves)).collect()
    }

    /// Returns `true` if a cell that changed after tick `have` is no longer kept. Only a search through every cell of
    /// a view finds it then.
    pub(super) fn has_forgotten(&self, have: u64) -> bool {
        have < self.forgotten
    }

    /// Returns the frames that a resuming viewer lacks. `cursors` has the tick of each cell that the viewer has.
    pub(super) fn lacking_with(
        &self,
        view: CellBox,
        cursors: &HashMap<Cell, u64>,
        moves: bool,
    ) -> Vec<Bytes> {
        // A cursor from the future is invalid and is ignored.
        let have = |cell: &Cell| cursors.get(cell).copied().filter(|tick| *tick <= self.tick);
        let known = self.cells_of(view).filter_map(|(cell, board)| board.lacking(*cell, have(cell), moves));
        let forgotten = cursors.keys().filter(|cell| {
            view.contains(**cell)
                && self.cell(**cell).is_none()
                && have(cell).is_some_and(|tick| self.has_forgotten(tick))
        });
        known.chain(forgotten.map(|cell| frame::snapshot(*cell, self.tick, &[]))).collect()
    }

    /// Returns the counts that a viewer lacks. `have` is the tick of its counts; `None` means no counts. The counts
    /// are of tiles that are `levels` zooms out from cells. A tile at the edge counts only its cells inside the view.
    pub(super) fn lacking_counts(&self, view: CellBox, levels: u32, have: Option<u64>) -> Vec<(Cell, usize)> {
        let counts = self.counts(view, levels, have);
        // A cell that is no longer kept had no cars, but its tile may have others. Counting all tiles again is cheap.
        let long_ago = have.filter(|tick| self.has_forgotten(*tick));
        let is_news = |count: &&TileCount| count.is_news || long_ago.is_some();
        let news = counts.iter().filter(is_news).map(|count| (count.tile, count.cars));
        let is_empty = |tile: &Cell| counts.binary_search_by_key(tile, |count| count.tile).is_err();
        let emptied = long_ago.into_iter().flat_map(|_| view.coarser(levels).cells().filter(is_empty));
        news.chain(emptied.map(|tile| (tile, 0))).collect()
    }

    /// Returns the number of cars in each tile that has cells on the board, sorted by tile number.
    fn counts(&self, view: CellBox, levels: u32, have: Option<u64>) -> Vec<TileCount> {
        let count = |(cell, board): &(Cell, Arc<CellBoard>)| TileCount {
            tile: cell.coarser(levels),
            cars: board.count(),
            is_news: board.is_recounted_since(have),
        };
        let mut counts: Vec<_> = self.cells_of(view).map(count).collect();
        if levels > 0 {
            counts.sort_unstable_by_key(|count| count.tile);
            counts.dedup_by(|cell, sum| {
                let is_same = cell.tile == sum.tile;
                if is_same {
                    sum.cars += cell.cars;
                    sum.is_news |= cell.is_news;
                }
                is_same
            });
        }
        counts
    }

    fn lacking_of(&self, cell: Cell, have: u64, moves: bool) -> Option<Bytes> {
        match self.cell(cell) {
            Some(board) => board.lacking(cell, Some(have), moves),
            None => self.has_forgotten(have).then(|| frame::snapshot(cell, self.tick, &[])),
        }
    }

    fn cell(&self, cell: Cell) -> Option<&CellBoard> {
        let at = self.cells.binary_search_by_key(&cell, |(cell, _)| *cell).ok()?;
        Some(&self.cells[at].1)
    }

    /// The cells of `view` that are on the board, found by binary search in each column that has any. The cost hardly
    /// depends on the size of the map or the width of the view.
    fn cells_of(&self, view: CellBox) -> impl Iterator<Item = &(Cell, Arc<CellBoard>)> {
        let mut rest = &self.cells[..];
        let mut columns = view.columns();
        iter::from_fn(move || {
            let (next, _) = rest.first()?;
            let column = columns.find(|column| column.end() >= next)?;
            let start = rest.partition_point(|(cell, _)| cell < column.start());
            let length = rest[start..].partition_point(|(cell, _)| cell <= column.end());
            let (here, east) = rest[start..].split_at(length);
            rest = east;
            Some(here)
        })
        .flatten()
    }
}

/// Drops cells that have been empty for [`REMEMBER_EMPTY`] ticks. Returns the newest tick in which one of them became
/// empty.
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
