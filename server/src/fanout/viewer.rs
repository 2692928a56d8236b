//! One viewer: a viewport, and how new its copy of it is.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use rides_proto::{geo::Bounds, tiles::Cell};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{board::Board, frame};

/// The most cells one viewport may touch.
pub const MAX_CELLS: u64 = 4096;

/// A viewer to whom nothing was sent for this long gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The viewport touches more than [`MAX_CELLS`] cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the viewport covers {cells} map cells; at most {MAX_CELLS} can be watched at once")]
pub struct TooWide {
    /// How many it touches.
    pub cells: u64,
}

/// One message for one viewer: the slices of a serialized `WatchFleetResponse`, shared with other viewers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame(pub Vec<Bytes>);

/// The stream of frames of one viewport. Takes what is newest when it is asked, and keeps nothing in between.
#[derive(Debug)]
pub struct Viewer {
    boards: watch::Receiver<Arc<Board>>,
    viewport: Bounds,
    seen: Seen,
    heartbeat_at: Instant,
}

/// What the viewer has of the cells in view.
#[derive(Debug)]
enum Seen {
    /// Nothing was sent yet.
    Nothing {
        /// How the first message starts.
        opening: Bytes,
        /// What an earlier stream left.
        cursors: HashMap<Cell, u64>,
    },
    /// All of them as of this tick.
    Tick(u64),
}

impl Viewer {
    pub(super) fn new(
        boards: watch::Receiver<Arc<Board>>,
        opening: Bytes,
        viewport: Bounds,
        cursors: HashMap<Cell, u64>,
    ) -> Result<Self, TooWide> {
        let cells = Cell::count_in(viewport);
        if cells > MAX_CELLS {
            return Err(TooWide { cells });
        }
        let seen = Seen::Nothing { opening, cursors };
        Ok(Self { boards, viewport, seen, heartbeat_at: Instant::now() + HEARTBEAT })
    }

    /// The next frame with something to say: the first as soon as there is a tick, then when anything in view
    /// changed, and a bare one after 4 s in which nothing did. `None`: the fan-out has ended. May be dropped
    /// and called again without losing anything.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let board = match self.seen {
                Seen::Nothing { .. } => self.newer_board().await?,
                Seen::Tick(_) => match timeout_at(self.heartbeat_at, self.newer_board()).await {
                    Ok(board) => board?,
                    Err(_) => return Some(self.heartbeat()),
                },
            };
            let frame = self.frame(&board);
            if frame.0.len() > 1 {
                self.heartbeat_at = Instant::now() + HEARTBEAT;
                return Some(frame);
            }
        }
    }

    /// The newest board, once there is one that was not looked at.
    async fn newer_board(&mut self) -> Option<Arc<Board>> {
        let seen = self.seen.tick();
        let newer = self.boards.wait_for(|board| board.tick > seen).await;
        newer.ok().map(|board| Arc::clone(&board))
    }

    /// What is lacking of `board`, after which nothing of it is.
    fn frame(&mut self, board: &Board) -> Frame {
        let mut slices = vec![board.stamp.clone()];
        match std::mem::replace(&mut self.seen, Seen::Tick(board.tick)) {
            Seen::Nothing { opening, cursors } => {
                slices.push(opening);
                slices.extend(
                    Cell::all_in(self.viewport)
                        .filter_map(|cell| board.lacking(cell, cursors.get(&cell).copied())),
                );
            }
            Seen::Tick(tick) => {
                slices.extend(Cell::all_in(self.viewport).filter_map(|cell| board.lacking(cell, Some(tick))));
            }
        }
        Frame(slices)
    }

    fn heartbeat(&mut self) -> Frame {
        self.heartbeat_at = Instant::now() + HEARTBEAT;
        Frame(vec![frame::stamp(self.seen.tick(), SystemTime::now())])
    }
}

impl Seen {
    fn tick(&self) -> u64 {
        match self {
            Self::Nothing { .. } => 0,
            Self::Tick(tick) => *tick,
        }
    }
}

#[cfg(test)]
mod tests;
