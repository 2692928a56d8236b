//! The RPCs: decode, hand over, encode. What is decided here is only what a field may hold.

pub mod bad_request;
pub mod booking_limits;
pub mod city;
pub mod convert;
pub mod drive;
pub mod fields;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod let_go;
mod plan;
mod principal;
mod progress;
pub mod reflection;
pub mod rides;
pub mod sessions;
pub mod status;
mod track;
pub mod trip;
mod watch_fleet;
mod watch_ride;
