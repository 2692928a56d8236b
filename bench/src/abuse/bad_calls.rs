//! Calls in valid HTTP whose frames or messages are random bytes.

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::SmallRng};

use super::attack::{Attack, NextAction, Turn};
use crate::wire::{ClientConnection, Protocol, RpcCall};

pub(super) struct BadCalls(SmallRng);

impl BadCalls {
    pub(super) fn new() -> Self {
        Self(SmallRng::seed_from_u64(2))
    }
}

impl Attack for BadCalls {
    fn about(&self) -> &'static str {
        "make calls with random bytes as frames or messages, one after the other, without waiting for responses"
    }

    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction {
        let mut message = vec![0; self.0.random_range(1..500)];
        self.0.fill_bytes(&mut message);
        let length = message.len();
        let call = RpcCall::new("/rides.v1.Rides/Quote", message);
        ClientConnection::new(Protocol::Http1, false).call(&call, "localhost", out);
        if turn.number.is_multiple_of(2) {
            // Random bytes for the frame's flag and length too.
            let frame = out.len() - length - 5;
            self.0.fill_bytes(&mut out[frame..frame + 5]);
        }
        NextAction::AT_ONCE
    }
}
