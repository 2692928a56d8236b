//! The map as the ticks so far have left it, cell by cell.

use std::{collections::HashMap, iter, sync::Arc, time::Duration};

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

/// The number of cars in one tile of a view.
struct TileCount {
    tile: Cell,
    cars: usize,
    /// True if a viewer lacks it.
    is_news: bool,
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
        if let Some(tick) = have.filter(|tick| self.has_forgotten(*tick)) {
            return view.cells().filter_map(|cell| self.lacking_of(cell, tick, moves)).collect();
        }
        self.cells_of(view).filter_map(|(cell, board)| board.lacking(*cell, have, moves)).collect()
    }

    /// Tells whether cells were forgotten that changed after tick `have`, and that only a look at every cell of a view
    /// would find.
    pub(super) fn has_forgotten(&self, have: u64) -> bool {
        have < self.forgotten
    }

    /// The frames that someone lacks who has some cells of `view`, each as of its own tick.
    pub(super) fn lacking_with(
        &self,
        view: CellBox,
        cursors: &HashMap<Cell, u64>,
        moves: bool,
    ) -> Vec<Bytes> {
        // Nobody has seen the future: such a cursor says nothing.
        let have = |cell: &Cell| cursors.get(cell).copied().filter(|tick| *tick <= self.tick);
        let known = self.cells_of(view).filter_map(|(cell, board)| board.lacking(*cell, have(cell), moves));
        let forgotten = cursors.keys().filter(|cell| {
            view.contains(**cell)
                && self.cell(**cell).is_none()
                && have(cell).is_some_and(|tick| self.has_forgotten(tick))
        });
        known.chain(forgotten.map(|cell| frame::snapshot(*cell, self.tick, &[]))).collect()
    }

    /// The counts that someone lacks who has those of `view` as of tick `have`, or none of them. They are of the tiles
    /// that are `levels` zooms out, and of what lies of these in the view.
    pub(super) fn lacking_counts(&self, view: CellBox, levels: u32, have: Option<u64>) -> Vec<(Cell, usize)> {
        let counts = self.counts(view, levels, have);
        // A cell that was forgotten since had no cars. Its tile may have others, and it is cheap to count all again.
        let long_ago = have.filter(|tick| self.has_forgotten(*tick));
        let is_news = |count: &&TileCount| count.is_news || long_ago.is_some();
        let news = counts.iter().filter(is_news).map(|count| (count.tile, count.cars));
        let is_empty = |tile: &Cell| counts.binary_search_by_key(tile, |count| count.tile).is_err();
        let emptied = long_ago.into_iter().flat_map(|_| view.coarser(levels).cells().filter(is_empty));
        news.chain(emptied.map(|tile| (tile, 0))).collect()
    }

    /// The number of cars in each tile, in the order of the tiles' numbers.
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

    /// The cells of `view` that there are. A search for each column that has any finds them, however large the map is
    /// and however wide the view.
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
