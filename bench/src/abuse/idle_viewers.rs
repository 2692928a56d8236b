//! Viewers of a part of the map without cars, which keep their streams open.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, Turn};
use crate::{contender::watch_fleet, fleet::at_sea, wire::ClientConnection, wire::Protocol};

pub(super) struct IdleViewers;

impl Attack for IdleViewers {
    fn about(&self) -> &'static str {
        "open streams over a part of the map without cars, and read them"
    }

    fn crowd(&self) -> AttackClients {
        AttackClients {
            clients: 10_000,
            addresses: 12,
            opening_per_second: 1_000.0,
            lasts: Duration::from_secs(25),
            ..AttackClients::default()
        }
    }

    /// The defaults of both are 10,000, and the pages need some too.
    fn flags(&self) -> &'static [&'static str] {
        &["--max-connections", "12000", "--max-viewers", "12000"]
    }

    fn write_turn(&mut self, _: Turn, out: &mut Vec<u8>) -> NextAction {
        let call = watch_fleet(at_sea().viewport(), true);
        ClientConnection::new(Protocol::Http1, false).call(&call, "localhost", out);
        NextAction::Stay
    }
}
