//! Viewers of the whole city that read far less than the server sends: row L18 in docs/failures.md. They speak
//! HTTP/1.1. Over HTTP/2 a client that is so far behind does not acknowledge a ping in time, and its connection is
//! closed after 15 s.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, ReadPattern, Turn};
use crate::{
    contender::watch_fleet,
    fleet::downtown,
    wire::{ClientConnection, Protocol},
};

const VIEWERS: usize = 10_000;
/// The bytes that the server may hold for each viewer: 16 KiB for an idle viewer, and 16 KiB for a frame of the whole
/// city.
const BYTES_PER_VIEWER: u64 = (16 + 16) * 1024;
/// The bytes that each client reads per second. The server sends about fifty times as much.
const SIP: usize = 1_000;

pub(super) struct SlowReaders;

impl Attack for SlowReaders {
    fn about(&self) -> &'static str {
        "open streams of the whole city, and read 1,000 bytes per second"
    }

    /// The clients of an attack that lasts longer than `--viewer-timeout`.
    fn crowd(&self) -> AttackClients {
        AttackClients {
            clients: VIEWERS,
            addresses: 12,
            opening_per_second: 1_000.0,
            reads: ReadPattern::Limited(SIP),
            receive_buffer: Some(4 * 1024),
            lasts: Duration::from_secs(35),
        }
    }

    /// The defaults of both are 10,000, and the pages need some too.
    fn flags(&self) -> &'static [&'static str] {
        &["--max-connections", "12000", "--max-viewers", "12000"]
    }

    fn budget(&self) -> Option<u64> {
        Some(VIEWERS as u64 * BYTES_PER_VIEWER)
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        if turn.number == 0 {
            let call = watch_fleet(downtown().viewport(), true);
            ClientConnection::new(Protocol::Http1, false).call(&call, "localhost", out);
        }
        NextAction::Again(Duration::from_secs(1))
    }
}
