//! Connections that are opened and closed without sending.

use std::time::Duration;

use super::attack::{Attack, Crowd, Then, Turn};

pub(super) struct Connects;

impl Attack for Connects {
    fn about(&self) -> &'static str {
        "connect and close the connection, without pause and without sending anything"
    }

    fn crowd(&self) -> Crowd {
        Crowd { clients: 256, ..Crowd::default() }
    }

    fn speak(&mut self, _: Turn, _: &mut Vec<u8>) -> Then {
        Then::Leave(Duration::ZERO)
    }
}
