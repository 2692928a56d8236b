//! One viewer: pulls what its sight lacks of the newest board.

use std::sync::Arc;

use bytes::Bytes;

use super::{attendance::Seat, latest::Latest, sight::Sight};

/// The most cells that one viewport may touch, and the most tiles that densities are told of.
pub const MAX_CELLS: u64 = 4096;

/// The viewport touches more than [`MAX_CELLS`] cells, and the viewer does not understand coarser ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the viewport covers {cells} map cells; without `coarse` at most {MAX_CELLS} can be watched at once")]
pub struct TooWide {
    /// How many it touches.
    pub cells: u64,
}

/// Why there are no more messages for a viewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Ended {
    /// The fan-out has ended.
    #[error("the fan-out has ended")]
    Closed,
    /// It took none for too long.
    #[error("the viewer took nothing for too long")]
    TooSlow,
}

/// The stream of messages of one viewport. Takes what is newest when it is asked, and keeps nothing in between.
#[derive(Debug)]
pub struct Viewer {
    boards: Latest,
    seat: Arc<Seat>,
    sight: Sight,
}

impl Viewer {
    pub(super) fn new(boards: Latest, seat: Arc<Seat>, sight: Sight) -> Self {
        Self { boards, seat, sight }
    }

    /// What it loses when it takes nothing for too long.
    pub fn seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }

    /// The next message with something to say, prefix and all: the first as soon as there is a tick, then when
    /// anything in view changed, and a bare one after 4 s in which nothing did. Viewers who lack the same get the
    /// same bytes. May be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Result<Bytes, Ended> {
        loop {
            let board = self.boards.next().await.ok_or(Ended::Closed)?;
            if !self.seat.is_kept(board.uptime) {
                return Err(Ended::TooSlow);
            }
            if let Some(message) = self.sight.look(&board) {
                return Ok(message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
