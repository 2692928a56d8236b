//! The load generator: one thread and one poller for all sockets of viewers.
//!
//! It must need less processor time than any server under test. So it reads each socket once for what has arrived,
//! into one shared buffer, and parses only the lengths of messages.

mod socket;
mod unary_callers;
mod viewers;

use std::net::SocketAddr;

pub(crate) use socket::{BUFFER, Route, Socket};
pub(crate) use unary_callers::call_for;
pub(crate) use viewers::{KeptMessage, Viewers, Window};

use crate::wire::{Protocol, RpcCall};

/// The server that clients connect to, and their calls.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The server's address.
    pub(crate) addr: SocketAddr,
    /// The protocol of the clients.
    pub(crate) protocol: Protocol,
    /// The calls. The clients take them in turn.
    pub(crate) calls: Vec<RpcCall>,
}

impl Target {
    fn call(&self, client: usize) -> &RpcCall {
        &self.calls[client % self.calls.len()]
    }
}
