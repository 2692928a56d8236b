//! The pure state of one viewer: its viewport, its copy of the map, and its rate limit.

use std::{collections::HashMap, mem, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    Detail,
    allowance::Allowance,
    board::Board,
    message::{Ask, Have},
};

/// The longest time without a message. After it the viewer gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The state of one viewer.
#[derive(Debug)]
pub(super) struct Sight {
    view: CellBox,
    /// With more cars than this in view, the viewer gets counts.
    max_cars: usize,
    /// `true` if the viewer understands cars that only moved.
    moves: bool,
    detail: Detail,
    seen: Seen,
    heartbeat_at: Duration,
    allowance: Allowance,
}

/// The part of the view that the viewer has.
#[derive(Debug)]
enum Seen {
    /// Cells from an earlier stream, each with its tick.
    Cursors(HashMap<Cell, u64>),
    /// The whole view as of this tick.
    Tick(u64),
}

impl Sight {
    pub(super) fn new(
        view: CellBox,
        max_cars: usize,
        moves: bool,
        cursors: HashMap<Cell, u64>,
        allowance: Allowance,
    ) -> Self {
        let seen = Seen::Cursors(cursors);
        Self { view, max_cars, moves, detail: Detail::Cars, seen, heartbeat_at: Duration::ZERO, allowance }
    }

    /// Returns the message that brings the viewer to `board`, or `None` if there is nothing to send now.
    pub(super) fn look(&mut self, board: &Board) -> Option<Bytes> {
        let now = board.uptime;
        let news = if self.allowance.allows(now) { self.news(board) } else { None };
        let message = news.or_else(|| (now >= self.heartbeat_at).then(|| board.heartbeat()))?;
        self.allowance.spend(message.len(), now);
        self.heartbeat_at = now + HEARTBEAT;
        Some(message)
    }

    fn news(&mut self, board: &Board) -> Option<Bytes> {
        let in_view = board.in_view(self.view);
        let detail = match self.seen {
            // Looking at every cell would cost too much. Counts leave out empty tiles, and the cars that may follow
            // replace all of the view.
            Seen::Tick(tick) if in_view.is_coarse() && board.has_forgotten(tick) => Detail::Densities,
            _ => self.detail.fitting(in_view.cars(), self.max_cars),
        };
        let is_other = mem::replace(&mut self.detail, detail) != detail;
        let have = match mem::replace(&mut self.seen, Seen::Tick(board.tick)) {
            Seen::Cursors(cursors) if detail == Detail::Cars && !cursors.is_empty() => {
                return Some(in_view.resumption(board, &cursors, self.moves));
            }
            Seen::Cursors(_) => Have::Nothing,
            Seen::Tick(_) if is_other => Have::OtherDetail,
            Seen::Tick(tick) => Have::Tick(tick),
        };
        in_view.message(board, Ask { detail, have, moves: self.moves })
    }
}
