//! The fleet: the stream of viewers and the stream of drivers.

mod crowd;
mod driving;
mod slow;
pub(crate) mod viewer;
mod watching;
