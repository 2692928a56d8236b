//! The implementations of the RPCs.
//!
//! Each decodes and validates a request, passes it to `rides`, `fleet`, `fanout`, `city` or `sessions`, and encodes the
//! response. No other rule is decided here.

pub mod bad_request;
pub mod booking_limits;
pub mod city;
pub mod convert;
pub mod drive;
pub mod fields;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod plan;
mod principal;
mod progress;
pub mod rides;
pub mod sessions;
pub mod status;
mod track;
pub mod trip;
mod watch_fleet;
mod watch_ride;
