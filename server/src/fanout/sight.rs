//! What one viewer sees: a viewport, how new its copy of it is, and what it may be sent. Pure.

use std::{collections::HashMap, mem, time::Duration};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{
    Detail,
    allowance::Allowance,
    board::Board,
    message::{Ask, Have},
};

/// A viewer to whom nothing was sent for this long gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The sight of one viewer.
#[derive(Debug)]
pub(super) struct Sight {
    view: CellBox,
    /// Above so many cars they are counted instead.
    max_cars: usize,
    /// Whether it understands cars that only moved.
    moves: bool,
    detail: Detail,
    seen: Seen,
    heartbeat_at: Duration,
    allowance: Allowance,
}

/// What the viewer has of its view.
#[derive(Debug)]
enum Seen {
    /// What an earlier stream left, as of which tick each.
    Cursors(HashMap<Cell, u64>),
    /// All of it as of this tick.
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

    /// The message that brings the viewer to `board`; `None` when there is nothing to say now.
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
            // Each cell would have to be looked at. Counts say what is empty by leaving it out, and so do the cars after them.
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
