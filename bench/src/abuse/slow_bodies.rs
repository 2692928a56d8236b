//! Slow bodies (slowloris): calls whose request message arrives one byte at a time.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, Turn};
use crate::wire::{ClientConnection, Protocol, RpcCall};

/// The length of the message, which is too long to be complete before the end of the attack.
const MESSAGE: usize = 10_000;

pub(super) struct SlowBodies {
    requests: [Vec<u8>; 2],
}

impl SlowBodies {
    pub(super) fn new() -> Self {
        let call = RpcCall::new("/rides.v1.Rides/Quote", vec![0; MESSAGE]);
        let request = |protocol| {
            let mut bytes = Vec::new();
            ClientConnection::new(protocol, false).call(&call, "localhost", &mut bytes);
            bytes
        };
        Self { requests: [request(Protocol::Http1), request(Protocol::Http2)] }
    }
}

impl Attack for SlowBodies {
    fn about(&self) -> &'static str {
        "send one byte of a unary request's message per second, over HTTP/1.1 and HTTP/2"
    }

    /// The clients of an attack that lasts longer than `--body-timeout`.
    fn crowd(&self) -> AttackClients {
        AttackClients {
            clients: 2_000,
            opening_per_second: 400.0,
            lasts: Duration::from_secs(38),
            ..AttackClients::default()
        }
    }

    fn protocol(&self, client: u64) -> Protocol {
        if client.is_multiple_of(2) { Protocol::Http1 } else { Protocol::Http2 }
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        let request = &self.requests[(turn.client % 2) as usize];
        let begun = request.len() - MESSAGE;
        match turn.number as usize {
            0 => out.extend_from_slice(&request[..begun]),
            nth => out.extend(request.get(begun + nth)),
        }
        NextAction::Again(Duration::from_secs(1))
    }
}
