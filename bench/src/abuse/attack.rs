//! What an attack is: how many come, and what each of them says.

use std::time::Duration;

use crate::wire::Protocol;

/// Who attacks, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// Connections at a time. For one that ends, another comes.
    pub(super) clients: usize,
    /// They share so many addresses evenly.
    pub(super) addresses: usize,
    /// New connections a second, at most.
    pub(super) opening_per_second: f64,
    /// How they read what they get.
    pub(super) reads: Reads,
    /// Bytes that the kernel may keep for each, where it shall not decide.
    pub(super) receive_buffer: Option<usize>,
    /// How long it goes on.
    pub(super) lasts: Duration,
}

impl Default for Crowd {
    /// A few, from four addresses, as fast as they can for 15 s.
    fn default() -> Self {
        Self {
            clients: 64,
            addresses: 4,
            opening_per_second: f64::INFINITY,
            reads: Reads::AtOnce,
            receive_buffer: None,
            lasts: Duration::from_secs(15),
        }
    }
}

/// How a client reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reads {
    /// All that comes, as it comes.
    AtOnce,
    /// So many bytes a turn.
    InSips(usize),
    /// Nothing, ever.
    Never,
}

/// Whose turn it is to say something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Which of all that came, from 0.
    pub(super) client: u64,
    /// How often this one has said something before.
    pub(super) number: u32,
}

/// What a client does after its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// It has another turn after so long, and not before all is sent.
    Again(Duration),
    /// It closes its connection after so long.
    Leave(Duration),
    /// It has said all it has to say.
    Stay,
}

impl Then {
    /// As soon as all is sent.
    pub(super) const AT_ONCE: Self = Self::Again(Duration::ZERO);
}

/// One way to abuse a server.
pub(super) trait Attack: Send {
    /// In the report: what it does.
    fn about(&self) -> &'static str;

    /// Who does it.
    fn crowd(&self) -> Crowd {
        Crowd::default()
    }

    /// Limits of the server that are in the way of what it is to show.
    fn flags(&self) -> &'static [&'static str] {
        &[]
    }

    /// So many bytes it may take of the server's memory, where that is stated.
    fn budget(&self) -> Option<u64> {
        None
    }

    /// How a client's answers are to be read.
    fn protocol(&self, _client: u64) -> Protocol {
        Protocol::Http1
    }

    /// A client's turn: adds to `out` what it says. The first is as soon as it connects.
    fn speak(&mut self, turn: Turn, out: &mut Vec<u8>) -> Then;
}
