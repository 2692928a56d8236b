//! Viewers of the whole city that never read.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, ReadPattern, Turn};
use crate::{
    contender::watch_fleet,
    fleet::downtown,
    wire::{ClientConnection, Protocol},
};

pub(super) struct NeverRead;

impl Attack for NeverRead {
    fn about(&self) -> &'static str {
        "open streams of the whole city, over HTTP/1.1 and HTTP/2, and never read them"
    }

    /// The clients of an attack that lasts longer than `--viewer-timeout`.
    fn crowd(&self) -> AttackClients {
        AttackClients {
            clients: 1_000,
            opening_per_second: 500.0,
            reads: ReadPattern::Never,
            receive_buffer: Some(4 * 1024),
            lasts: Duration::from_secs(30),
            ..AttackClients::default()
        }
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        let protocol = if turn.client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 };
        ClientConnection::new(protocol, false).call(
            &watch_fleet(downtown().viewport(), true),
            "localhost",
            out,
        );
        NextAction::Stay
    }
}
