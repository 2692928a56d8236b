//! Slow headers (slowloris): headers that arrive one byte at a time and never end.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, Turn};

pub(super) struct SlowHeaders;

const BEGINNING: &[u8] = b"POST /rides.v1.Rides/Quote HTTP/1.1\r\nhost: localhost\r\nx-slow: ";

impl Attack for SlowHeaders {
    fn about(&self) -> &'static str {
        "send one byte of a request's headers per second, and never finish them"
    }

    /// The clients of an attack that lasts longer than `--header-timeout`.
    fn crowd(&self) -> AttackClients {
        AttackClients {
            clients: 3_000,
            opening_per_second: 1_000.0,
            lasts: Duration::from_secs(38),
            ..AttackClients::default()
        }
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        match turn.number {
            0 => out.extend_from_slice(BEGINNING),
            _ => out.push(b'a'),
        }
        NextAction::Again(Duration::from_secs(1))
    }
}
