//! The map after the newest tick, cell by cell.

use std::{collections::HashMap, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    cell::MapCell,
    frame,
    message::{SharedView, ViewCache},
};
use crate::positions::FleetTick;

/// The number of ticks for which an empty cell is kept. A viewer that is further behind gets a snapshot of every
/// empty cell.
const EMPTY_CELL_TICKS: u64 = 240;

/// An immutable copy of all cells as of one tick. Unchanged cells are shared with the board of the tick before.
#[derive(Debug)]
pub struct FleetMap {
    /// The number of the tick. 0 before the first.
    pub(super) tick: u64,
    /// The uptime of the fan-out at this tick.
    pub(super) uptime: Duration,
    /// The encoded fields that every message of this tick has.
    pub(super) common_fields: Bytes,
    /// The encoded fields that only the first message of a stream has.
    pub(super) first_fields: Bytes,
    /// Sorted by cell number.
    cells: Vec<(Cell, Arc<MapCell>)>,
    /// The newest tick in which a cell that is no longer in `cells` became empty.
    dropped_until: u64,
    views: ViewCache,
}

/// The number of cars in one density tile of a view.
struct TileCount {
    tile: Cell,
    cars: usize,
    /// `true` if the viewer does not have this count.
    is_news: bool,
}

impl FleetMap {
    /// Returns the empty map from before the first tick of an epoch.
    pub fn new(epoch: &str, tick_interval: Duration) -> Self {
        Self {
            tick: 0,
            uptime: Duration::ZERO,
            common_fields: Bytes::new(),
            first_fields: frame::first_fields(epoch, tick_interval),
            cells: Vec::new(),
            dropped_until: 0,
            views: ViewCache::default(),
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
                None => MapCell::new(change, tick),
            };
            cells.push((cell, Arc::new(board)));
        }
        cells.extend(before.cloned());

        let forgotten = self.dropped_until.max(drop_empty_cells(&mut cells, tick));
        let stamp = frame::common_fields(tick, time);
        Self {
            tick,
            uptime,
            common_fields: stamp,
            first_fields: self.first_fields.clone(),
            cells,
            dropped_until: forgotten,
            views: ViewCache::default(),
        }
    }

    /// Returns the view that all viewers of the same cells share in this tick.
    pub fn shared_view(&self, view: CellBox) -> Arc<SharedView> {
        let cars = || self.cells_of(view).map(|(_, board)| board.count()).sum();
        self.views.get(view, cars)
    }

    /// Returns the frames that a viewer lacks. `have` is the tick of its copy of `view`; `None` means no copy.
    /// `moves` is as in [`Request`](super::Request).
    pub(super) fn frames_since(&self, view: CellBox, have: Option<u64>, moves: bool) -> Vec<Bytes> {
        if let Some(tick) = have.filter(|tick| self.has_dropped_since(*tick)) {
            return view.cells().filter_map(|cell| self.cell_frame_since(cell, tick, moves)).collect();
        }
        self.cells_of(view).filter_map(|(cell, board)| board.frame_since(*cell, have, moves)).collect()
    }

    /// Returns `true` if a cell that changed after tick `have` is no longer kept. Only a search through every cell of
    /// a view finds it then.
    pub(super) fn has_dropped_since(&self, have: u64) -> bool {
        have < self.dropped_until
    }

    /// Returns the frames that a resuming viewer lacks. `cursors` has the tick of each cell that the viewer has.
    pub(super) fn frames_for_cursors(
        &self,
        view: CellBox,
        cursors: &HashMap<Cell, u64>,
        moves: bool,
    ) -> Vec<Bytes> {
        // A cursor from the future is invalid and is ignored.
        let have = |cell: &Cell| cursors.get(cell).copied().filter(|tick| *tick <= self.tick);
        let known =
            self.cells_of(view).filter_map(|(cell, board)| board.frame_since(*cell, have(cell), moves));
        let forgotten = cursors.keys().filter(|cell| {
            view.contains(**cell)
                && self.cell(**cell).is_none()
                && have(cell).is_some_and(|tick| self.has_dropped_since(tick))
        });
        known.chain(forgotten.map(|cell| frame::snapshot(*cell, self.tick, &[]))).collect()
    }

    /// Returns the counts that a viewer lacks. `have` is the tick of its counts; `None` means no counts. The counts
    /// are of tiles that are `levels` zooms out from cells. A tile at the edge counts only its cells inside the view.
    pub(super) fn counts_since(&self, view: CellBox, levels: u32, have: Option<u64>) -> Vec<(Cell, usize)> {
        let counts = self.counts(view, levels, have);
        // A cell that is no longer kept had no cars, but its tile may have others. Counting all tiles again is cheap.
        let long_ago = have.filter(|tick| self.has_dropped_since(*tick));
        let is_news = |count: &&TileCount| count.is_news || long_ago.is_some();
        let news = counts.iter().filter(is_news).map(|count| (count.tile, count.cars));
        let is_empty = |tile: &Cell| counts.binary_search_by_key(tile, |count| count.tile).is_err();
        let emptied = long_ago.into_iter().flat_map(|_| view.coarser(levels).cells().filter(is_empty));
        news.chain(emptied.map(|tile| (tile, 0))).collect()
    }

    /// Returns the number of cars in each tile that has cells on the board, sorted by tile number.
    fn counts(&self, view: CellBox, levels: u32, have: Option<u64>) -> Vec<TileCount> {
        let count = |(cell, board): &(Cell, Arc<MapCell>)| TileCount {
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

    fn cell_frame_since(&self, cell: Cell, have: u64, moves: bool) -> Option<Bytes> {
        match self.cell(cell) {
            Some(board) => board.frame_since(cell, Some(have), moves),
            None => self.has_dropped_since(have).then(|| frame::snapshot(cell, self.tick, &[])),
        }
    }

    fn cell(&self, cell: Cell) -> Option<&MapCell> {
        let at = self.cells.binary_search_by_key(&cell, |(cell, _)| *cell).ok()?;
        Some(&self.cells[at].1)
    }

    /// The cells of `view` that are on the board, found by binary search in each column that has any. The cost hardly
    /// depends on the size of the map or the width of the view.
    fn cells_of(&self, view: CellBox) -> impl Iterator<Item = &(Cell, Arc<MapCell>)> {
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

/// Drops cells that have been empty for [`EMPTY_CELL_TICKS`] ticks. Returns the newest tick in which one of them became
/// empty.
fn drop_empty_cells(cells: &mut Vec<(Cell, Arc<MapCell>)>, tick: u64) -> u64 {
    let Some(limit) = tick.checked_sub(EMPTY_CELL_TICKS) else { return 0 };
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
