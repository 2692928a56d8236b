//! The fleet: who is where, doing what, and how to reach them.
//!
//! [`state`] is the pure core, [`task`] the one task that owns it, [`Fleet`] the handle that everyone else
//! holds. What changed leaves once a tick as a [`FleetTick`](crate::positions::FleetTick).

mod car;
mod cells;
mod handle;
mod meter;
mod state;
mod task;

use std::time::{Duration, SystemTime};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, CarNumber, RideId},
};
use tokio::sync::mpsc;

pub use self::handle::Fleet;
use crate::{
    positions::{CarState, Heading},
    rides::{
        model::{Crew, Ride},
        reach::Reach,
    },
};

/// How many orders may wait for a driver who does not read. One more cuts the link.
pub const OUTBOX: usize = 32;

/// How the fleet runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FleetOptions {
    /// Time between ticks. Never zero.
    pub tick: Duration,
    /// How long a car whose link broke stays on the map in case it comes back.
    pub grace: Duration,
    /// The speed of cars. A leg that is longer than they can drive is not metered.
    pub reach: Reach,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { tick: Duration::from_millis(250), grace: Duration::from_secs(15), reach: Reach::default() }
    }
}

/// One connection of one car. Never given out twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkId(u64);

/// What signing on gives a driver's stream.
#[derive(Debug)]
pub struct CarLink {
    /// The car's number in fleet frames.
    pub number: CarNumber,
    /// Names this connection in later calls, so that a stream that was replaced cannot act for its successor.
    pub link: LinkId,
    /// What the driver is told. Ends without [`Order::Superseded`] when the driver did not take orders for so
    /// long that [`OUTBOX`] of them piled up.
    pub orders: mpsc::Receiver<Order>,
}

/// A position, from the car's own stream or from a gateway.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Report {
    /// Which car.
    pub car: CarId,
    /// Where it is.
    pub at: LatLng,
    /// Degrees clockwise from north. `None`: from the last two positions.
    pub heading_deg: Option<f64>,
    /// By the car's clock; a time in the future counts as now. Older than the one before it: ignored.
    pub time: SystemTime,
}

/// What a driver is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Order {
    /// A ride to take or leave.
    Offer(Offer),
    /// The offer is off.
    OfferWithdrawn {
        /// Of which ride.
        ride: RideId,
        /// For people.
        reason: String,
    },
    /// The ride is this car's.
    Assignment(Ride),
    /// The ride is not this car's any more.
    RideWithdrawn {
        /// Which.
        ride: RideId,
        /// For people.
        reason: String,
    },
    /// The ride's new state.
    Update(Ride),
    /// The car signed on elsewhere; this link is over.
    Superseded,
}

/// What one version of a ride means to its car.
///
/// Briefs of one ride count in the order of their versions, from whoever they come and however late: an older
/// one than the car has is dropped, with its order. A brief of a second ride is dropped while the first has the
/// car, unless the ride begins with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Brief {
    /// Which ride.
    pub ride: RideId,
    /// As of which of its events.
    pub version: u64,
    /// What the car does from now on. [`CarState::Free`]: the ride is not its ride any more.
    pub state: CarState,
    /// Whether the trip begins with this version: the meter starts at zero.
    pub begins: bool,
    /// What the driver is told, once on each connection.
    pub order: Option<Order>,
}

/// A ride offered to a driver.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    /// The ride as it stands.
    pub ride: Ride,
    /// The way to the pickup, as estimated.
    pub pickup_eta: Duration,
    /// When it lapses.
    pub expires_at: SystemTime,
}

/// A car that can take a ride now: connected, on duty, without a ride or an offer, and its place known.
#[derive(Clone, PartialEq, Debug)]
pub struct FreeCar {
    /// The car and its driver.
    pub crew: Crew,
    /// Where it is.
    pub at: LatLng,
}

/// A car as the fleet knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct CarView {
    /// Its number in fleet frames.
    pub number: CarNumber,
    /// `None`: known only through reports.
    pub crew: Option<Crew>,
    /// Its last position, if it ever sent one.
    pub at: Option<LatLng>,
    /// Where it is going.
    pub heading: Heading,
    /// What it is doing.
    pub state: CarState,
    /// Whether orders reach it.
    pub connected: bool,
    /// The ride of its last [`Brief`], which may be over.
    pub ride: Option<RideId>,
    /// Metres driven since the trip of that ride began, without legs that no car can drive in their time. It stands still
    /// once the ride is over. `None`: there was no trip yet, or its beginning was not seen here.
    pub meter_m: Option<f64>,
    /// True while no car can have driven to the last positions of that trip from those before them.
    pub meter_has_gap: bool,
}

/// The fleet's task is gone: the server is stopping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the fleet is shut down")]
pub struct Closed;
