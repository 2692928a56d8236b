//! Dispatch: which car for which ride, and what cars are told of their rides.
//!
//! Each ride that is not over has a shepherd, a task that follows the ride's log and is the ride's whole
//! relation to cars. It knows nothing that the log and the fleet do not know, so a new one can take over at
//! any time: that is what happens after a restart.

mod choose;
mod deadline;
mod orders;
mod shepherd;
mod task;

use std::time::Duration;

pub use choose::{Candidate, candidates};
pub use orders::{begin, take_up};
pub use task::spawn;

use crate::{fleet, rides::RideError};

/// How patient dispatch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DispatchOptions {
    /// How long a driver may think about an offer.
    pub offer_timeout: Duration,
    /// How long a ride waits for a car, from when it was booked or last lost its car.
    pub give_up: Duration,
    /// How long to wait before looking again when no car is free.
    pub retry: Duration,
    /// How long a car that has a ride may be unknown to the fleet, as all are after a restart.
    pub grace: Duration,
    /// How long after its planned end, or after its beginning where no end was planned, a trip goes on whose car
    /// nobody hears of. Long, because the passengers are most likely still aboard a car without a connection, and
    /// a driver who comes back in time reports the trip as it was driven; and not endless, because a car that
    /// never comes back would hold its ride open, and itself be held by it, for ever.
    pub abandoned: Duration,
}

impl Default for DispatchOptions {
    fn default() -> Self {
        Self {
            offer_timeout: Duration::from_secs(10),
            give_up: Duration::from_secs(180),
            retry: Duration::from_secs(2),
            grace: Duration::from_secs(15),
            abandoned: Duration::from_secs(2 * 60 * 60),
        }
    }
}

impl From<fleet::Closed> for RideError {
    fn from(_: fleet::Closed) -> Self {
        Self::Closed
    }
}
