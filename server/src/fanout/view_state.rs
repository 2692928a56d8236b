//! The pure state of one viewer: its viewport, its copy of the map, and its rate limit.

use std::{collections::HashMap, mem, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    Detail,
    byte_rate_limit::ByteRateLimit,
    fleet_map::FleetMap,
    message::{Baseline, MessageKey},
};

/// The longest time without a message. After it the viewer gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The state of one viewer.
#[derive(Debug)]
pub(super) struct ViewState {
    view: CellBox,
    /// With more cars than this in view, the viewer gets counts.
    max_cars: usize,
    /// `true` if the viewer understands cars that only moved.
    moves: bool,
    detail: Detail,
    copy: ViewerCopy,
    heartbeat_at: Duration,
    rate_limit: ByteRateLimit,
}

/// The part of the view that the viewer has.
#[derive(Debug)]
enum ViewerCopy {
    /// Cells from an earlier stream, each with its tick.
    Cursors(HashMap<Cell, u64>),
    /// The whole view as of this tick.
    Tick(u64),
}

impl ViewState {
    pub(super) fn new(
        view: CellBox,
        max_cars: usize,
        moves: bool,
        cursors: HashMap<Cell, u64>,
        allowance: ByteRateLimit,
    ) -> Self {
        let seen = ViewerCopy::Cursors(cursors);
        Self {
            view,
            max_cars,
            moves,
            detail: Detail::Cars,
            copy: seen,
            heartbeat_at: Duration::ZERO,
            rate_limit: allowance,
        }
    }

    /// Returns the message that brings the viewer to `active_rides`, or `None` if there is nothing to send now.
    pub(super) fn next_message(&mut self, board: &FleetMap) -> Option<Bytes> {
        let now = board.uptime;
        let news = if self.rate_limit.allows(now) { self.update(board) } else { None };
        let message = news.or_else(|| (now >= self.heartbeat_at).then(|| board.heartbeat()))?;
        self.rate_limit.charge(message.len(), now);
        self.heartbeat_at = now + HEARTBEAT;
        Some(message)
    }

    fn update(&mut self, board: &FleetMap) -> Option<Bytes> {
        let in_view = board.shared_view(self.view);
        let detail = match self.copy {
            // Looking at every cell would cost too much. Counts leave out empty tiles, and the cars that may follow
            // replace all of the view.
            ViewerCopy::Tick(tick) if in_view.is_coarse() && board.has_dropped_since(tick) => {
                Detail::Densities
            }
            _ => self.detail.for_count(in_view.cars(), self.max_cars),
        };
        let is_other = mem::replace(&mut self.detail, detail) != detail;
        let have = match mem::replace(&mut self.copy, ViewerCopy::Tick(board.tick)) {
            ViewerCopy::Cursors(cursors) if detail == Detail::Cars && !cursors.is_empty() => {
                return Some(in_view.resume_message(board, &cursors, self.moves));
            }
            ViewerCopy::Cursors(_) => Baseline::Nothing,
            ViewerCopy::Tick(_) if is_other => Baseline::OtherDetail,
            ViewerCopy::Tick(tick) => Baseline::Tick(tick),
        };
        in_view.message(board, MessageKey { detail, baseline: have, moves: self.moves })
    }
}
