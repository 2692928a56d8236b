//! The definition of an attack: how many clients connect, and what each of them sends.

use std::time::Duration;

use crate::wire::Protocol;

/// The number, the pace and the reading of an attack's clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttackClients {
    /// Connections at a time. When one ends, another client connects.
    pub(super) clients: usize,
    /// The number of source addresses, which the clients share evenly.
    pub(super) addresses: usize,
    /// The highest rate of new connections, per second.
    pub(super) opening_per_second: f64,
    /// The clients' way of reading.
    pub(super) reads: ReadPattern,
    /// The size of each socket's receive buffer in bytes. `None` leaves it to the kernel.
    pub(super) receive_buffer: Option<usize>,
    /// The duration of the attack.
    pub(super) lasts: Duration,
}

impl Default for AttackClients {
    /// 64 clients from four addresses that send without pause for 15 s.
    fn default() -> Self {
        Self {
            clients: 64,
            addresses: 4,
            opening_per_second: f64::INFINITY,
            reads: ReadPattern::AtOnce,
            receive_buffer: None,
            lasts: Duration::from_secs(15),
        }
    }
}

/// A client's way of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadPattern {
    /// Reads everything as it arrives.
    AtOnce,
    /// Reads at most this many bytes in each turn.
    Limited(usize),
    /// Never reads.
    Never,
}

/// The client that may send now, and its number of turns so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The number of the client in the order of connecting, from 0.
    pub(super) client: u64,
    /// The number of turns that this client had before.
    pub(super) number: u32,
}

/// The client's next action after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NextAction {
    /// Has another turn after this time, and not before everything is sent.
    Again(Duration),
    /// Closes its connection after this time.
    Leave(Duration),
    /// Sends nothing more, and keeps the connection open.
    Stay,
}

impl NextAction {
    /// Has another turn as soon as everything is sent.
    pub(super) const AT_ONCE: Self = Self::Again(Duration::ZERO);
}

/// A way to abuse a server.
pub(super) trait Attack: Send {
    /// Returns what the clients do, for the report: the rest of a sentence that begins with "64 clients".
    fn about(&self) -> &'static str;

    /// Returns the clients of this attack.
    fn crowd(&self) -> AttackClients {
        AttackClients::default()
    }

    /// Returns flags for the server, for limits that would otherwise stop the attack too early.
    fn flags(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the bytes of memory that the server may use for the attack, if there is such a budget.
    fn budget(&self) -> Option<u64> {
        None
    }

    /// Returns the protocol in which a client's responses are read.
    fn protocol(&self, _client: u64) -> Protocol {
        Protocol::Http1
    }

    /// Adds to `out` what a client sends in this turn. The first turn is when it connects.
    fn write_turn(&mut self, turn: Turn, out: &mut Vec<u8>) -> NextAction;
}
