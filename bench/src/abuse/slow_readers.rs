//! Viewers of the whole city who read far less than they are sent, and never nothing: CASES row L18. They speak HTTP/1.1:
//! over HTTP/2 who is so far behind answers no ping in time, and is gone after 15 s.

use std::time::Duration;

use super::attack::{Attack, Crowd, Reads, Then, Turn};
use crate::{
    contender::watch_fleet,
    fleet::downtown,
    wire::{Connection, Protocol},
};

const VIEWERS: usize = 10_000;
/// What the server may hold for each: as much as for an idle one, and the whole city once.
const BYTES_PER_VIEWER: u64 = (16 + 16) * 1024;
/// Bytes a second of each. The city is about fifty times that.
const SIP: usize = 1_000;

pub(super) struct SlowReaders;

impl Attack for SlowReaders {
    fn about(&self) -> &'static str {
        "open streams of the whole city, and read 1,000 bytes a second"
    }

    /// Longer than `--viewer-timeout`.
    fn crowd(&self) -> Crowd {
        Crowd {
            clients: VIEWERS,
            addresses: 12,
            opening_per_second: 1_000.0,
            reads: Reads::InSips(SIP),
            receive_buffer: Some(4 * 1024),
            lasts: Duration::from_secs(35),
        }
    }

    /// Both are 10,000 unless told otherwise, and somebody else is there too.
    fn flags(&self) -> &'static [&'static str] {
        &["--max-connections", "12000", "--max-viewers", "12000"]
    }

    fn budget(&self) -> Option<u64> {
        Some(VIEWERS as u64 * BYTES_PER_VIEWER)
    }

    fn speak(&mut self, turn: Turn, out: &mut Vec<u8>) -> Then {
        if turn.number == 0 {
            let call = watch_fleet(downtown().viewport(), true);
            Connection::new(Protocol::Http1, false).call(&call, "localhost", out);
        }
        Then::Again(Duration::from_secs(1))
    }
}
