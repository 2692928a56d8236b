//! Tests over real sockets: each starts a server of its own on a free port.
#![allow(clippy::unwrap_used, reason = "a helper that cannot do its part has failed the test")]

mod access;
mod city;
mod client;
mod crashes;
mod edge;
mod fleet;
mod harness;
mod program;
mod rides;
mod sessions;
mod sim;
