//! Tests over real sockets. Each test starts its own server on a free port.
#![allow(clippy::unwrap_used, reason = "a helper that fails has failed the test")]

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
