//! Connections that are opened and closed without sending.

use std::time::Duration;

use super::attack::{Attack, AttackClients, NextAction, Turn};

pub(super) struct Connects;

impl Attack for Connects {
    fn about(&self) -> &'static str {
        "connect and close the connection, without pause and without sending anything"
    }

    fn crowd(&self) -> AttackClients {
        AttackClients { clients: 256, ..AttackClients::default() }
    }

    fn write_turn(&mut self, _: Turn, _: &mut Vec<u8>) -> NextAction {
        NextAction::Leave(Duration::ZERO)
    }
}
