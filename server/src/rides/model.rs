//! The server's own types for rides, independent of the generated ones.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};
use serde::{Deserialize, Serialize};

use super::json_format;

/// The type of a ride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RideType {
    /// The car carries this booking alone.
    #[default]
    Regular,
    /// A cheaper ride. The driver may take other passengers along.
    Pool,
}

/// The state of a ride.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RideState {
    /// The ride waits for a car.
    Requested,
    /// One car has an open offer for the ride.
    Offered,
    /// A car drives to the pickup.
    Assigned,
    /// The car waits at the pickup.
    Arrived,
    /// The passengers are in the car.
    OnTrip,
    /// The trip is over.
    Completed,
    /// The ride was cancelled before the trip.
    Cancelled,
    /// No car took the ride in time.
    Expired,
}

impl RideState {
    /// Every state, in the order of a ride's life.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Offered,
        Self::Assigned,
        Self::Arrived,
        Self::OnTrip,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Returns `true` if the state is final.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired)
    }
}

/// The party that acts on a ride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person for whom the ride was booked.
    Rider,
    /// The driver of the car.
    Driver,
    /// The operator of the fleet.
    Dispatcher,
}

/// An amount in euro cents. Never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Cents(pub u32);

/// A place and the name of its street. The name may be empty.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// The location.
    #[serde(with = "json_format::point")]
    pub at: LatLng,
    /// The name of the street.
    pub name: String,
}

/// A car and its driver.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CarAndDriver {
    /// The car.
    #[serde(with = "json_format::car")]
    pub car: CarId,
    /// Its driver.
    pub driver: String,
}

/// The distance, the duration and the fare of a trip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TripSummary {
    /// The distance in metres.
    pub distance_m: u32,
    /// The time from pickup to drop-off.
    #[serde(with = "json_format::duration")]
    pub duration: Duration,
    /// The quoted fare before the trip, and the fare to pay after it.
    pub fare: Cents,
}

/// The request of a rider, with its route and its price.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// The rider. May be empty.
    pub rider: String,
    /// The names of the passengers. May be empty.
    pub passengers: Vec<String>,
    /// The type of the ride.
    pub kind: RideType,
    /// The start of the trip.
    pub pickup: Stop,
    /// The end of the trip. `None` for a ride off the street, whose destination is not known.
    pub dropoff: Option<Stop>,
    /// The planned trip.
    pub plan: TripSummary,
    /// The planned line from pickup to drop-off. Its points are rounded, as in the journal and in messages: see
    /// [`LatLng::rounded`].
    #[serde(with = "json_format::line")]
    pub route: Vec<LatLng>,
}

/// A ride as it is after its last event.
#[derive(Clone, PartialEq, Debug)]
pub struct Ride {
    /// The id of the ride.
    pub id: RideId,
    /// The version of its last event, from 1.
    pub version: u64,
    /// The current state.
    pub state: RideState,
    /// The booking.
    pub booking: Arc<Booking>,
    /// The car that has the ride or an offer for it. After [`RideState::Completed`], the car that drove.
    pub crew: Option<CarAndDriver>,
    /// The cars that declined the offer, let it time out, or gave the ride back. They get no new offer.
    pub passed_over: Vec<CarId>,
    /// The planned trip. From [`RideState::Completed`] on, the trip as driven.
    pub figures: TripSummary,
    /// The time of its first event.
    pub requested_at: SystemTime,
    /// The time at which the trip began.
    pub started_at: Option<SystemTime>,
    /// The time of its last event.
    pub updated_at: SystemTime,
    /// The open offer.
    pub offer: Option<OpenOffer>,
    /// The party that cancelled the ride, and the reason.
    pub cancelled: Option<(Actor, String)>,
}

impl Ride {
    /// Returns the car that has this ride or an offer for it, and so cannot take another ride.
    pub fn current_car(&self) -> Option<CarId> {
        self.crew.as_ref().filter(|_| !self.state.is_over()).map(|crew| crew.car)
    }
}

/// An offer that waits for the driver's decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenOffer {
    /// The driving time from the car to the pickup, at the time of the offer.
    #[serde(with = "json_format::duration")]
    pub pickup_eta: Duration,
    /// The time at which the offer expires.
    #[serde(with = "json_format::time")]
    pub expires_at: SystemTime,
}

/// One event of a ride.
#[derive(Clone, PartialEq, Debug)]
pub struct RideEvent {
    /// The id of the ride.
    pub ride: RideId,
    /// The number of the event, from 1 without gaps.
    pub version: u64,
    /// The time of the event.
    pub time: SystemTime,
    /// The change.
    pub what: EventKind,
}

/// The reason why an offer ended without an assignment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferEndReason {
    /// The driver declined.
    Declined,
    /// The driver did not respond in time.
    TimedOut,
    /// The connection to the car was lost.
    CarLost,
}

/// The reason why a ride lost its car before the trip.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnassignReason {
    /// The driver gave the ride back, with a reason that may be empty.
    GaveBack(String),
    /// The connection to the car was lost. The car may get the ride again when it returns.
    CarLost,
}

/// The kinds of event of a ride. The journal stores them, so names of variants and fields must never change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The ride was booked. Always version 1.
    Requested(Arc<Booking>),
    /// A car got an offer.
    Offered {
        /// The car and its driver.
        crew: CarAndDriver,
        /// The terms of the offer.
        offer: OpenOffer,
    },
    /// The offer ended without an assignment.
    OfferEnded {
        /// The car that had the offer.
        #[serde(with = "json_format::car")]
        car: CarId,
        /// The reason.
        why: OfferEndReason,
    },
    /// The driver accepted the offer.
    Assigned(CarAndDriver),
    /// The car lost the ride before the trip. The ride waits for another car.
    Unassigned {
        /// The car that had the ride.
        #[serde(with = "json_format::car")]
        car: CarId,
        /// The reason.
        why: UnassignReason,
    },
    /// The car reached the pickup.
    Arrived,
    /// The passengers got in.
    Started,
    /// The driver took passengers off the street. Always version 1.
    PickedUpOffStreet {
        /// The known parts of a booking.
        booking: Arc<Booking>,
        /// The car and its driver.
        crew: CarAndDriver,
        /// The time at which the trip began, by the driver's clock.
        #[serde(with = "json_format::time")]
        since: SystemTime,
    },
    /// The trip ended.
    Completed {
        /// The trip as driven.
        figures: TripSummary,
        /// The fare by the meter, if it is more than the fare to pay. The quote limits the fare of a booked ride.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metered_fare: Option<Cents>,
        /// The place of the drop-off.
        #[serde(with = "json_format::point")]
        at: LatLng,
    },
    /// The ride was cancelled.
    Cancelled {
        /// The party that cancelled it.
        by: Actor,
        /// The reason, as text for people.
        reason: String,
    },
    /// No car took the ride in time.
    Expired,
}

impl EventKind {
    /// Returns the state of a ride after this event.
    pub fn next_state(&self) -> RideState {
        match self {
            Self::Requested(_) | Self::OfferEnded { .. } | Self::Unassigned { .. } => RideState::Requested,
            Self::Offered { .. } => RideState::Offered,
            Self::Assigned(_) => RideState::Assigned,
            Self::Arrived => RideState::Arrived,
            Self::Started | Self::PickedUpOffStreet { .. } => RideState::OnTrip,
            Self::Completed { .. } => RideState::Completed,
            Self::Cancelled { .. } => RideState::Cancelled,
            Self::Expired => RideState::Expired,
        }
    }
}
