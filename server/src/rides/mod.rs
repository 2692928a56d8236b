//! The rides: their rules, their journal, and the task that owns them.
//!
//! [`machine`] holds the rules, and [`journal`] stores the events. Between them one task owns every ride that is not
//! over. It decides a command, appends the event to the journal, and only then publishes it. The rest of the server
//! calls the task through [`Rides`].

mod active_rides;
mod batch_builder;
pub mod charge;
#[cfg(test)]
mod disk_fault_tests;
pub mod drivable_distance;
pub mod fare;
mod handle;
pub mod journal;
mod json_format;
pub mod list;
pub mod log;
pub mod machine;
pub mod model;
pub mod open_ride_limits;
mod task;
#[cfg(test)]
pub(crate) mod testing;

pub use handle::{RideError, Rides};
pub use log::RideLog;
