//! The stream of one viewer.

use std::sync::Arc;

use bytes::Bytes;

use super::{attendance::Seat, latest::Latest, sight::Sight};

/// The most cells in one viewport, and the most density tiles of a wider one.
pub const MAX_CELLS: u64 = 4096;

/// The viewport has more than [`MAX_CELLS`] cells, and the viewer does not understand coarse tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the viewport covers {cells} map cells; without `coarse` at most {MAX_CELLS} can be watched at once")]
pub struct TooWide {
    /// The number of cells in the viewport.
    pub cells: u64,
}

/// The reason why a viewer gets no more messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Ended {
    /// The fan-out has ended.
    #[error("the fan-out has ended")]
    Closed,
    /// The viewer read nothing for the timeout.
    #[error("the viewer read nothing for too long")]
    TooSlow,
}

/// The messages of one viewport. Each poll takes the newest board, and nothing is kept in between.
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

    /// Returns the slot by which the edge finds out that this viewer has expired.
    pub fn seat(&self) -> Arc<Seat> {
        self.seat.clone()
    }

    /// Returns the next gRPC message, with its prefix. The first one comes with the first tick, later ones when
    /// something in view changed, and a heartbeat after 4 s without a change. Viewers that lack the same get the same
    /// bytes. Cancel safe.
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
