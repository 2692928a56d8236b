//! Dispatch: the choice of a car for each ride, and the orders to cars about their rides.
//!
//! Each open ride has a shepherd: a task that follows the log of the ride and does everything between the ride and
//! cars. It keeps no state that is not in the log or the fleet, so a new shepherd can take over at any time, for
//! example after a restart.

mod choose;
mod deadline;
mod orders;
mod ride_supervisor;
mod task;

use std::time::Duration;

pub use choose::{Candidate, candidates};
pub use orders::{begin_off_street, resume_ride};
pub use task::spawn;

use crate::{fleet, rides::RideError};

/// Timeouts and intervals of dispatch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DispatchOptions {
    /// The time that a driver has to answer an offer.
    pub offer_timeout: Duration,
    /// The time that a ride waits for a car, from the booking or from the last loss of a car.
    pub search_timeout: Duration,
    /// The interval between two searches while no car is free.
    pub retry_interval: Duration,
    /// The time that a car with a ride may be unknown to the fleet, as every car is after a restart.
    pub grace: Duration,
    /// The time after which a trip with an absent car ends, counted from its planned end, or from its beginning if no
    /// end was planned. It is long because the passengers are probably still in a car without a connection, and a
    /// driver who comes back in time reports the trip as driven. It is limited because otherwise a car that never
    /// comes back would keep its ride open, and the ride would keep the car, for ever.
    pub abandon_after: Duration,
}

impl Default for DispatchOptions {
    fn default() -> Self {
        Self {
            offer_timeout: Duration::from_secs(10),
            search_timeout: Duration::from_secs(180),
            retry_interval: Duration::from_secs(2),
            grace: Duration::from_secs(15),
            abandon_after: Duration::from_secs(2 * 60 * 60),
        }
    }
}

impl From<fleet::FleetClosed> for RideError {
    fn from(_: fleet::FleetClosed) -> Self {
        Self::Closed
    }
}
