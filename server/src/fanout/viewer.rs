//! The stream of one viewer.

use std::sync::Arc;

use bytes::Bytes;

use super::{map_watch::MapReceiver, stall_detector::ViewerSlot, view_state::ViewState};

/// The most cells in one viewport, and the most density tiles of a wider one.
pub const MAX_CELLS: u64 = 4096;

/// The viewport has more than [`MAX_CELLS`] cells, and the viewer does not understand coarse tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the viewport covers {cells} map cells; without `coarse` at most {MAX_CELLS} can be watched at once")]
pub struct ViewportTooWide {
    /// The number of cells in the viewport.
    pub cells: u64,
}

/// The reason why a viewer gets no more messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ViewerEnd {
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
    boards: MapReceiver,
    slot: Arc<ViewerSlot>,
    state: ViewState,
}

impl Viewer {
    pub(super) fn new(boards: MapReceiver, seat: Arc<ViewerSlot>, sight: ViewState) -> Self {
        Self { boards, slot: seat, state: sight }
    }

    /// Returns the shared flag by which the port learns that this viewer has expired.
    pub fn slot(&self) -> Arc<ViewerSlot> {
        self.slot.clone()
    }

    /// Returns the next gRPC message, with its prefix. The first one comes with the first tick, later ones when
    /// something in view changed, and a heartbeat after 4 s without a change. Viewers that lack the same get the same
    /// bytes. Cancel safe.
    pub async fn next(&mut self) -> Result<Bytes, ViewerEnd> {
        loop {
            let board = self.boards.next().await.ok_or(ViewerEnd::Closed)?;
            if !self.slot.mark_active(board.uptime) {
                return Err(ViewerEnd::TooSlow);
            }
            if let Some(message) = self.state.next_message(&board) {
                return Ok(message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
