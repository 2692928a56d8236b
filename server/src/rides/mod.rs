//! Rides: what happens to them, by which rules, and who is told.
//!
//! [`machine`] is the rule book and [`journal`] the memory. Between them one task owns every ride that is not
//! over: it decides, appends to the journal, and only then tells. The rest of the server talks to it through
//! [`Rides`].

mod board;
pub mod charge;
mod draft;
pub mod fare;
mod handle;
pub mod journal;
pub mod list;
pub mod log;
pub mod machine;
pub mod model;
pub mod open;
pub mod reach;
mod stored;
#[cfg(test)]
mod survival;
mod task;
#[cfg(test)]
pub(crate) mod testing;

pub use handle::{RideError, Rides};
pub use log::RideLog;
