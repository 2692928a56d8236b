//! The fleet: the cars, their positions, their states and the connections to their drivers.
//!
//! [`state`] is the pure core, [`task`] the one task that owns it, and [`Fleet`] the handle for all other code.
//! Changes are sent once per tick as a [`FleetTick`](crate::positions::FleetTick).

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
        drivable_distance::DrivableDistance,
        model::{CarAndDriver, Ride},
    },
};

/// The most orders that are queued for a driver. One more ends the connection.
pub const ORDER_QUEUE: usize = 32;

/// Settings of the fleet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FleetOptions {
    /// The time between ticks. Never zero.
    pub tick: Duration,
    /// The time for which a car stays on the map after its connection was lost.
    pub grace: Duration,
    /// The top speed of cars. The meter leaves out a leg that is longer than a car can drive in its time.
    pub reach: DrivableDistance,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            grace: Duration::from_secs(15),
            reach: DrivableDistance::default(),
        }
    }
}

/// One connection of one car. Ids are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DriverConnectionId(u64);

/// The result of a sign-on, for the stream of the driver.
#[derive(Debug)]
pub struct DriverConnection {
    /// The number of the car in fleet frames.
    pub number: CarNumber,
    /// The id of this connection for later calls, so that a replaced stream cannot act for its successor.
    pub link: DriverConnectionId,
    /// The orders for the driver. The channel is closed without [`Order::Superseded`] if the driver left
    /// [`ORDER_QUEUE`] orders unread.
    pub orders: mpsc::Receiver<Order>,
}

/// A position of a car, from its own stream or from a gateway.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PositionReport {
    /// The car.
    pub car: CarId,
    /// The position.
    pub at: LatLng,
    /// In degrees clockwise from north. `None`: derived from the last two positions.
    pub heading_deg: Option<f64>,
    /// The time by the clock of the car. A time in the future counts as now. A report that is older than the one
    /// before is ignored.
    pub time: SystemTime,
}

/// A message to a driver.
#[derive(Clone, PartialEq, Debug)]
pub enum Order {
    /// An offer of a ride, to accept or decline.
    Offer(Offer),
    /// The offer is no longer valid.
    OfferWithdrawn {
        /// The ride that was offered.
        ride: RideId,
        /// For people.
        reason: String,
    },
    /// The ride is assigned to this car.
    Assignment(Ride),
    /// The ride is no longer assigned to this car.
    RideWithdrawn {
        /// The ride.
        ride: RideId,
        /// For people.
        reason: String,
    },
    /// The new state of the ride.
    Update(Ride),
    /// The car has signed on with another connection, and this one has ended.
    Superseded,
}

/// The meaning of one version of a ride for its car.
///
/// Briefs of one ride apply in the order of their versions, whatever their sender and however late they arrive. One
/// that is older than the version that the car has is dropped, with its order. A brief of another ride is dropped
/// while a ride has the car, unless the other ride begins with it.
#[derive(Clone, PartialEq, Debug)]
pub struct CarUpdate {
    /// The ride.
    pub ride: RideId,
    /// The version of the ride.
    pub version: u64,
    /// The state of the car from now on. [`CarState::Free`]: the ride no longer has the car.
    pub state: CarState,
    /// `true` if the trip begins with this version. The meter starts at zero.
    pub begins_trip: bool,
    /// The order for the driver, sent once on each connection.
    pub order: Option<Order>,
}

/// A ride offered to a driver.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    /// The ride at the time of the offer.
    pub ride: Ride,
    /// The estimated driving time to the pickup.
    pub pickup_eta: Duration,
    /// The time at which the offer expires.
    pub expires_at: SystemTime,
}

/// A car that can take a ride now: connected, on duty, at a known position, and without a ride or an offer.
#[derive(Clone, PartialEq, Debug)]
pub struct FreeCar {
    /// The car and its driver.
    pub crew: CarAndDriver,
    /// The position.
    pub at: LatLng,
}

/// A snapshot of a car.
#[derive(Clone, PartialEq, Debug)]
pub struct CarView {
    /// The number of the car in fleet frames.
    pub number: CarNumber,
    /// `None`: the car is known only through reports.
    pub crew: Option<CarAndDriver>,
    /// The last position, if there was one.
    pub at: Option<LatLng>,
    /// The direction of travel.
    pub heading: Heading,
    /// The state of the car.
    pub state: CarState,
    /// `true` if the driver is connected.
    pub connected: bool,
    /// The ride of the last [`CarUpdate`]. It may be over.
    pub ride: Option<RideId>,
    /// The metres driven since the trip of that ride began, without legs that no car can drive in their time.
    /// Constant after the ride is over. `None`: the trip has not begun, or its beginning was not seen here.
    pub meter_m: Option<f64>,
    /// `true` while no car can have driven to the last positions of that trip from the positions before them.
    pub meter_has_gap: bool,
}

/// The error of a call to a fleet whose task has ended: the server is shutting down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the fleet has shut down")]
pub struct FleetClosed;
