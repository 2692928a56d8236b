//! The RPCs: decode, hand over, encode. What is decided here is only what a field may hold.

pub mod convert;
pub mod fields;
mod plan;
mod progress;
pub mod rides;
pub mod status;
mod track;
pub mod trip;
mod watch_ride;
