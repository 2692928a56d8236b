//! Rides, in the server's own words.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};
use serde::{Deserialize, Serialize};

use super::stored;

/// Regular or pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RideType {
    /// A car to oneself.
    #[default]
    Regular,
    /// Cheaper; the driver may take others along.
    Pool,
}

/// Where a ride is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RideState {
    /// Waits for a car.
    Requested,
    /// A car was asked.
    Offered,
    /// A car is on its way.
    Assigned,
    /// The car waits at the pickup.
    Arrived,
    /// Passengers are in.
    OnTrip,
    /// Done.
    Completed,
    /// Called off before the trip.
    Cancelled,
    /// No car took it in time.
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

    /// Whether nothing can happen to the ride any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired)
    }
}

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Who booked it.
    Rider,
    /// Who drives it.
    Driver,
    /// Who runs the fleet.
    Dispatcher,
}

/// An amount in euro cents. Never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Cents(pub u32);

/// A place with the name of its street, which may be empty.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// Where.
    #[serde(with = "stored::point")]
    pub at: LatLng,
    /// The street's name.
    pub name: String,
}

/// A car and who drives it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Crew {
    /// The car.
    #[serde(with = "stored::car")]
    pub car: CarId,
    /// Its driver.
    pub driver: String,
}

/// How far and how long a trip is, and what it costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// In metres.
    pub distance_m: u32,
    /// Pickup to drop-off.
    #[serde(with = "stored::duration")]
    pub duration: Duration,
    /// Quoted before, to be paid after the trip.
    pub fare: Cents,
}

/// What a rider asks for, priced and routed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// May be empty.
    pub rider: String,
    /// May be empty.
    pub passengers: Vec<String>,
    /// Regular or pool.
    pub kind: RideType,
    /// From.
    pub pickup: Stop,
    /// To. `None` for a ride off the street, whose end nobody knows.
    pub dropoff: Option<Stop>,
    /// As planned.
    pub plan: Figures,
    /// Pickup to drop-off, as planned. Rounded, as lines are kept and sent: see [`LatLng::rounded`].
    #[serde(with = "stored::line")]
    pub route: Vec<LatLng>,
}

/// A ride as of its last event.
#[derive(Clone, PartialEq, Debug)]
pub struct Ride {
    /// Which ride.
    pub id: RideId,
    /// Number of its last event, from 1.
    pub version: u64,
    /// Where it is in its life.
    pub state: RideState,
    /// What was asked for.
    pub booking: Arc<Booking>,
    /// The car that has it, or is offered it; after [`RideState::Completed`], the one that drove.
    pub crew: Option<Crew>,
    /// Cars that did not take the offer, or gave the ride back: not asked again.
    pub passed_over: Vec<CarId>,
    /// The plan; from [`RideState::Completed`] on, as driven.
    pub figures: Figures,
    /// When it was booked.
    pub requested_at: SystemTime,
    /// When the trip began.
    pub started_at: Option<SystemTime>,
    /// When its last event happened.
    pub updated_at: SystemTime,
    /// The offer that is out.
    pub offer: Option<OpenOffer>,
    /// Who called it off and why.
    pub cancelled: Option<(Actor, String)>,
}

impl Ride {
    /// The car that is bound by this ride now: it has it, or has to answer its offer.
    pub fn held_by(&self) -> Option<CarId> {
        self.crew.as_ref().filter(|_| !self.state.is_over()).map(|crew| crew.car)
    }
}

/// An offer that waits for its driver's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenOffer {
    /// The car's way to the pickup, as of the offer.
    #[serde(with = "stored::duration")]
    pub pickup_eta: Duration,
    /// When it lapses.
    #[serde(with = "stored::time")]
    pub expires_at: SystemTime,
}

/// One thing that happened to a ride.
#[derive(Clone, PartialEq, Debug)]
pub struct RideEvent {
    /// Which ride.
    pub ride: RideId,
    /// From 1 without gaps.
    pub version: u64,
    /// When.
    pub time: SystemTime,
    /// What.
    pub what: Happening,
}

/// Why an offer came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferEnd {
    /// The driver said no.
    Declined,
    /// The driver said nothing.
    TimedOut,
    /// The car's connection ended.
    CarLost,
}

/// Why a ride lost its car before the trip.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The driver gave it back, and said why; may be empty.
    GaveBack(String),
    /// The car went away, and may have the ride again should it return.
    CarLost,
}

/// What can happen to a ride. Journalled, so variants and fields are for ever.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// Booked. Always version 1.
    Requested(Arc<Booking>),
    /// A car was asked.
    Offered {
        /// Which.
        crew: Crew,
        /// On what terms.
        offer: OpenOffer,
    },
    /// The asked car will not come.
    OfferEnded {
        /// Which.
        #[serde(with = "stored::car")]
        car: CarId,
        /// Why not.
        why: OfferEnd,
    },
    /// The asked car comes.
    Assigned(Crew),
    /// It will not come after all; the ride waits again.
    Unassigned {
        /// Which.
        #[serde(with = "stored::car")]
        car: CarId,
        /// Why not.
        why: Loss,
    },
    /// The car is at the pickup.
    Arrived,
    /// Passengers are in.
    Started,
    /// Passengers were taken off the street. Always version 1.
    PickedUpOffStreet {
        /// What is known of it.
        booking: Arc<Booking>,
        /// Who drives.
        crew: Crew,
        /// When the trip began, by the driver's clock.
        #[serde(with = "stored::time")]
        since: SystemTime,
    },
    /// The trip is over.
    Completed {
        /// As driven.
        figures: Figures,
        /// The fare by the meter, if the fare to pay is less: that of a booked ride is limited by its quote.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metered_fare: Option<Cents>,
        /// Where.
        #[serde(with = "stored::point")]
        at: LatLng,
    },
    /// Called off.
    Cancelled {
        /// By whom.
        by: Actor,
        /// For people.
        reason: String,
    },
    /// No car took it in time.
    Expired,
}

impl Happening {
    /// Where it leaves its ride.
    pub fn leads_to(&self) -> RideState {
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
