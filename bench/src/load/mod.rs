//! The load: one thread and one poller, for as many sockets as there are viewers.
//!
//! It must cost less than any server under measure, so it reads each socket once for what has come, into one buffer that
//! all share, and looks at lengths only.

mod calls;
mod socket;
mod viewers;

use std::net::SocketAddr;

pub(crate) use calls::call_for;
pub(crate) use socket::{BUFFER, Route, Socket};
pub(crate) use viewers::{Kept, Viewers, Window};

use crate::wire::{Call, Protocol};

/// What clients do.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where they go.
    pub(crate) addr: SocketAddr,
    /// How they speak.
    pub(crate) protocol: Protocol,
    /// What they call: each the next of these, over and over.
    pub(crate) calls: Vec<Call>,
}

impl Target {
    fn call(&self, client: usize) -> &Call {
        &self.calls[client % self.calls.len()]
    }
}
