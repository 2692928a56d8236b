//! Bytes that are not valid HTTP, on connection after connection.

use std::time::Duration;

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::SmallRng};

use super::attack::{Attack, AttackClients, NextAction, Turn};

/// A TLS 1.2 handshake record with the beginning of a ClientHello.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
const NO_REQUEST: &[u8] = b"GARB\x00GE /\xff\xfe HTTP/9.9\r\n: no name\r\n\r\n";
/// The preface of HTTP/2, and then a frame of 16 MB of an unknown type.
const NO_FRAME: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xee\xff\xff\xff\xff\xff";

pub(super) struct Garbage(SmallRng);

impl Garbage {
    pub(super) fn new() -> Self {
        Self(SmallRng::seed_from_u64(1))
    }
}

impl Attack for Garbage {
    fn about(&self) -> &'static str {
        "connect and send random bytes, invalid HTTP/1.1, invalid HTTP/2 or a TLS ClientHello, without pause"
    }

    fn crowd(&self) -> AttackClients {
        AttackClients { clients: 256, ..AttackClients::default() }
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        match turn.client % 4 {
            0 => {
                let length = self.0.random_range(1..2_000);
                out.resize(length, 0);
                self.0.fill_bytes(out);
            }
            1 => out.extend_from_slice(NO_REQUEST),
            2 => out.extend_from_slice(NO_FRAME),
            _ => {
                out.extend_from_slice(TLS_HELLO);
                out.resize(TLS_HELLO.len() + 506, 0x5a);
            }
        }
        // The server may take random bytes for an incomplete request and wait for the rest.
        NextAction::Leave(Duration::from_millis(50))
    }
}
