//! Messages: made once for all who look at the same cells and have the same of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{Detail, board::Board, frame};

/// How many views of one tick are kept for others to share. With more of them than that, most are of one viewer
/// each, and what nobody shares would only be held for longer.
const MAX_SHARED: usize = 256;

/// What a viewer has before a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Have {
    /// Nothing: the message is the first of its stream.
    Nothing,
    /// The other detail, which is void with this message.
    OtherDetail,
    /// All of the view as of this tick.
    Tick(u64),
}

/// One view as of one tick.
#[derive(Debug)]
pub struct InView {
    view: CellBox,
    cars: usize,
    /// Nearly always one.
    made: Mutex<Vec<Made>>,
}

/// What was made of a view, for whom.
#[derive(Debug)]
struct Made {
    detail: Detail,
    have: Have,
    /// `None`: there is nothing to say.
    message: Option<Bytes>,
}

/// The views of one tick that someone has looked at.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<HashMap<CellBox, Arc<InView>>>);

impl Shared {
    pub(super) fn get(&self, view: CellBox, cars: impl FnOnce() -> usize) -> Arc<InView> {
        let views = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = views().get(&view) {
            return known.clone();
        }
        let new = Arc::new(InView { view, cars: cars(), made: Mutex::default() });
        let mut views = views();
        if views.len() < MAX_SHARED {
            // Where two came at once, the later one's will do for whoever comes next.
            views.insert(view, new.clone());
        }
        new
    }
}

impl InView {
    /// How many cars the view has.
    pub fn cars(&self) -> usize {
        self.cars
    }

    /// The message, of the same `board`, for whoever has `have`. `None`: that is all there is.
    pub fn message(&self, board: &Board, detail: Detail, have: Have) -> Option<Bytes> {
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made().iter().find(|known| known.detail == detail && known.have == have) {
            return known.message.clone();
        }
        let message = self.make(board, detail, have);
        made().push(Made { detail, have, message: message.clone() });
        message
    }

    fn make(&self, board: &Board, detail: Detail, have: Have) -> Option<Bytes> {
        let tick = match have {
            Have::Tick(tick) => Some(tick),
            Have::Nothing | Have::OtherDetail => None,
        };
        let mut parts = vec![board.stamp.clone()];
        if have == Have::Nothing {
            parts.push(board.opening.clone());
        }
        if tick.is_none() {
            parts.push(frame::detail(detail));
        }
        match detail {
            Detail::Cars => parts.extend(board.lacking(self.view, tick)),
            Detail::Densities => parts.extend(frame::densities(board.lacking_counts(self.view, tick))),
        }
        (parts.len() > 1).then(|| frame::message(&parts))
    }
}

impl Board {
    /// The first message for someone who comes back with `cursors`.
    pub(super) fn resumption(&self, view: CellBox, cursors: &HashMap<Cell, u64>) -> Bytes {
        let start = [self.stamp.clone(), self.opening.clone(), frame::detail(Detail::Cars)];
        let parts: Vec<_> = start.into_iter().chain(self.lacking_with(view, cursors)).collect();
        frame::message(&parts)
    }

    /// A sign of life.
    pub(super) fn heartbeat(&self) -> Bytes {
        frame::message(std::slice::from_ref(&self.stamp))
    }
}
