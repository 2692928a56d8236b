//! The rules of a ride: the commands, the events, and the state after each event. Pure.
//!
//! [`decide`] turns a command into an event, and [`evolve`] applies an event to a ride. Every command is defined in
//! every state. A command that took effect before is no error, so that a client may send it again.

use std::{sync::Arc, time::Duration, time::SystemTime};

use rides_proto::{geo::LatLng, ids::CarId};

use super::{
    drivable_distance::MAX_DELAY,
    model::{
        Actor, Booking, CarAndDriver, Cents, EventKind, OfferEndReason, OpenOffer, Ride, RideEvent,
        RideState, TripSummary, UnassignReason,
    },
};

/// A request to change a ride.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// A rider books. Opens a ride.
    Book(Arc<Booking>),
    /// A driver took passengers off the street. Opens a ride.
    StartOffStreet {
        /// The known parts of a booking.
        booking: Arc<Booking>,
        /// The car and its driver.
        crew: CarAndDriver,
        /// The time at which the trip began, by the driver's clock.
        since: SystemTime,
    },
    /// Dispatch offers the ride to a car.
    Offer {
        /// The car and its driver.
        crew: CarAndDriver,
        /// The terms of the offer.
        offer: OpenOffer,
    },
    /// Dispatch ends an offer.
    EndOffer {
        /// The car that has the offer.
        car: CarId,
        /// The reason.
        why: OfferEndReason,
    },
    /// The driver accepts the offer.
    Accept {
        /// The car of this driver.
        car: CarId,
    },
    /// The driver declines the offer.
    Decline {
        /// The car of this driver.
        car: CarId,
    },
    /// The car is at the pickup.
    Arrive {
        /// The car.
        car: CarId,
    },
    /// The passengers are in the car.
    PickUp {
        /// The car.
        car: CarId,
    },
    /// The trip is over.
    DropOff {
        /// The car whose stream sent the command. `None` if the caller is no car.
        car: Option<CarId>,
        /// The trip as driven.
        figures: TripSummary,
        /// The fare by the meter, if it is more than the fare to pay.
        metered_fare: Option<Cents>,
        /// The place of the drop-off.
        at: LatLng,
    },
    /// The driver gives an assigned ride back.
    GiveBack {
        /// The car of this driver.
        car: CarId,
        /// The reason, as text for people. May be empty.
        reason: String,
    },
    /// Dispatch takes the ride from a car whose connection was lost.
    Unassign {
        /// The car.
        car: CarId,
    },
    /// One of the parties cancels the ride.
    Cancel {
        /// The party.
        by: Actor,
        /// The car whose driver cancels. `None` if the caller is no driver of a car.
        car: Option<CarId>,
        /// The reason, as text for people. May be empty.
        reason: String,
    },
    /// No car took the ride in time.
    Expire,
}

/// The result of a valid command.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// The command causes this event.
    Event(EventKind),
    /// The command took effect before, and causes no event.
    NoChange,
}

/// The reason why a command is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No ride has this id.
    #[error("there is no such ride")]
    NoSuchRide,
    /// The command is not possible in the state of the ride.
    #[error("not possible: the ride is {}", state_text(*.0))]
    WrongState(RideState),
    /// Another car has the ride or its offer.
    #[error("another car has this ride")]
    NotYours,
    /// The car declined this ride before, let its offer time out, or gave it back.
    #[error("the car declined this ride before, let its offer time out, or gave it back")]
    PassedOver,
    /// The car has another ride or another offer.
    #[error("the car already has another ride")]
    CarBusy,
}

fn state_text(state: RideState) -> &'static str {
    match state {
        RideState::Requested => "looking for a car",
        RideState::Offered => "offered to a car",
        RideState::Assigned => "assigned to a car",
        RideState::Arrived => "at the pickup",
        RideState::OnTrip => "on the trip",
        RideState::Completed => "completed",
        RideState::Cancelled => "cancelled",
        RideState::Expired => "expired",
    }
}

impl Refusal {
    /// Returns the reason as a constant for programs, as in `ErrorInfo.reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoSuchRide => "NO_SUCH_RIDE",
            Self::WrongState(_) => "WRONG_STATE",
            Self::NotYours => "NOT_YOURS",
            Self::PassedOver => "PASSED_OVER",
            Self::CarBusy => "CAR_BUSY",
        }
    }
}

/// The states in which a car has an offer.
const ASKED: &[RideState] = &[RideState::Offered];
/// The states in which a car has the ride and not yet the passengers.
const BEFORE_TRIP: &[RideState] = &[RideState::Assigned, RideState::Arrived];

/// Returns the effect of `command` on `ride`. `None` stands for a ride without events.
///
/// The rules use no clock. An offer is open until dispatch ends it, so that a change of the clock takes no ride from
/// a driver. The rules also see one ride only: the caller checks that a car has one ride at a time, see
/// [`Refusal::CarBusy`].
pub fn decide(ride: Option<&Ride>, command: &Command) -> Result<Decision, Refusal> {
    match (ride, command.clone()) {
        (None, Command::Book(booking)) => happens(EventKind::Requested(booking)),
        (None, Command::StartOffStreet { booking, crew, since }) => {
            happens(EventKind::PickedUpOffStreet { booking, crew, since })
        }
        (None, _) => Err(Refusal::NoSuchRide),
        (Some(ride), command) => decide_open(ride, command),
    }
}

fn decide_open(ride: &Ride, command: Command) -> Result<Decision, Refusal> {
    let wrong_state = Err(Refusal::WrongState(ride.state));
    match command {
        Command::Book(_) | Command::StartOffStreet { .. } => wrong_state,

        Command::Offer { crew, offer } => match ride.state {
            RideState::Requested if ride.passed_over.contains(&crew.car) => Err(Refusal::PassedOver),
            RideState::Requested => happens(EventKind::Offered { crew, offer }),
            RideState::Offered if ride.current_car() == Some(crew.car) => Ok(Decision::NoChange),
            _ => wrong_state,
        },
        Command::EndOffer { car, why } => leave(ride, car, ASKED, || EventKind::OfferEnded { car, why }),
        Command::Decline { car } => {
            leave(ride, car, ASKED, || EventKind::OfferEnded { car, why: OfferEndReason::Declined })
        }

        Command::Accept { car } => step(ride, car, RideState::Offered, EventKind::Assigned),
        Command::Arrive { car } => step(ride, car, RideState::Assigned, |_| EventKind::Arrived),
        Command::PickUp { car } => step(ride, car, RideState::Arrived, |_| EventKind::Started),
        Command::DropOff { car, figures, metered_fare, at } => match ride.state {
            RideState::OnTrip | RideState::Completed
                if car.is_some() && car != ride.crew.as_ref().map(|crew| crew.car) =>
            {
                Err(Refusal::NotYours)
            }
            RideState::OnTrip => happens(EventKind::Completed { figures, metered_fare, at }),
            RideState::Completed => Ok(Decision::NoChange),
            _ => wrong_state,
        },

        Command::GiveBack { car, reason } => {
            let why = UnassignReason::GaveBack(reason);
            leave(ride, car, BEFORE_TRIP, || EventKind::Unassigned { car, why })
        }
        Command::Unassign { car } => {
            leave(ride, car, BEFORE_TRIP, || EventKind::Unassigned { car, why: UnassignReason::CarLost })
        }

        Command::Cancel { by, car, reason } => match ride.state {
            RideState::Cancelled => Ok(Decision::NoChange),
            state if state < RideState::OnTrip && car.is_some() && car != ride.current_car() => {
                Err(Refusal::NotYours)
            }
            state if state < RideState::OnTrip => happens(EventKind::Cancelled { by, reason }),
            _ => wrong_state,
        },
        Command::Expire => match ride.state {
            RideState::Requested => happens(EventKind::Expired),
            RideState::Expired => Ok(Decision::NoChange),
            _ => wrong_state,
        },
    }
}

fn happens(what: EventKind) -> Result<Decision, Refusal> {
    Ok(Decision::Event(what))
}

/// Decides the next step of the car that has the ride. The step leads out of the state `from`, and has no effect in a
/// later one.
fn step(
    ride: &Ride,
    car: CarId,
    from: RideState,
    what: impl FnOnce(CarAndDriver) -> EventKind,
) -> Result<Decision, Refusal> {
    match &ride.crew {
        Some(crew) if crew.car != car => Err(Refusal::NotYours),
        Some(crew) if ride.state == from => happens(what(crew.clone())),
        Some(_) if ride.state > from => Ok(Decision::NoChange),
        _ => Err(Refusal::WrongState(ride.state)),
    }
}

/// Decides that the car loses its ride or its offer, which is possible in the states `from`. Has no effect if the car
/// lost it before.
fn leave(
    ride: &Ride,
    car: CarId,
    from: &[RideState],
    what: impl FnOnce() -> EventKind,
) -> Result<Decision, Refusal> {
    if ride.passed_over.contains(&car) {
        return Ok(Decision::NoChange);
    }
    match ride.current_car() {
        Some(other) if other != car => Err(Refusal::NotYours),
        Some(_) if from.contains(&ride.state) => happens(what()),
        _ => Err(Refusal::WrongState(ride.state)),
    }
}

/// An event that is not the next one of its ride. The journal is damaged, or another process wrote to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event {found} does not follow version {at} of its ride")]
pub struct OutOfSequence {
    /// The version of the ride. 0 for a ride without events.
    pub at: u64,
    /// The version of the event.
    pub found: u64,
}

/// Returns the ride after `event`. Fails if the event is not the next one of the ride. Does not check the rules
/// again.
pub fn evolve(ride: Option<Ride>, event: &RideEvent) -> Result<Ride, OutOfSequence> {
    let at = ride.as_ref().map_or(0, |ride| ride.version);
    let misfit = OutOfSequence { at, found: event.version };
    if event.version != at + 1 {
        return Err(misfit);
    }
    match (ride, &event.what) {
        (None, EventKind::Requested(booking)) => Ok(opened(event, booking, RideState::Requested)),
        (None, EventKind::PickedUpOffStreet { booking, crew, since }) => Ok(Ride {
            crew: Some(crew.clone()),
            started_at: Some(*since),
            ..opened(event, booking, RideState::OnTrip)
        }),
        (Some(ride), what) if ride.id == event.ride => {
            let ride = Ride { version: event.version, updated_at: event.time, offer: None, ..ride };
            changed(ride, what, event.time).ok_or(misfit)
        }
        _ => Err(misfit),
    }
}

fn opened(event: &RideEvent, booking: &Arc<Booking>, state: RideState) -> Ride {
    Ride {
        id: event.ride.clone(),
        version: event.version,
        state,
        booking: Arc::clone(booking),
        crew: None,
        passed_over: Vec::new(),
        figures: booking.plan,
        requested_at: event.time,
        started_at: None,
        updated_at: event.time,
        offer: None,
        cancelled: None,
    }
}

/// Returns the ride after `what`, or `None` for an event that can only open a ride.
fn changed(mut ride: Ride, what: &EventKind, time: SystemTime) -> Option<Ride> {
    ride.state = match what {
        EventKind::Requested(_) | EventKind::PickedUpOffStreet { .. } => return None,
        EventKind::Offered { crew, offer } => {
            ride.crew = Some(crew.clone());
            ride.offer = Some(*offer);
            RideState::Offered
        }
        // A car whose connection was lost did not decline: it may get the ride again.
        EventKind::OfferEnded { why: OfferEndReason::CarLost, .. }
        | EventKind::Unassigned { why: UnassignReason::CarLost, .. } => {
            ride.crew = None;
            RideState::Requested
        }
        EventKind::OfferEnded { car, .. } | EventKind::Unassigned { car, .. } => {
            ride.crew = None;
            ride.passed_over.push(*car);
            RideState::Requested
        }
        EventKind::Assigned(crew) => {
            ride.crew = Some(crew.clone());
            RideState::Assigned
        }
        EventKind::Arrived => RideState::Arrived,
        EventKind::Started => {
            ride.started_at = Some(time);
            RideState::OnTrip
        }
        EventKind::Completed { figures, .. } => {
            ride.figures = *figures;
            RideState::Completed
        }
        EventKind::Cancelled { by, reason } => {
            ride.crew = None;
            ride.cancelled = Some((*by, reason.clone()));
            RideState::Cancelled
        }
        EventKind::Expired => RideState::Expired,
    };
    Some(ride)
}

/// Returns the time that a trip took if its driver says that it ended at `ended`. A wrong clock makes the time
/// neither negative nor longer than the time since the start. The start of a ride off the street counts as at most
/// [`MAX_DELAY`] before its first event.
pub fn trip_time(ride: &Ride, ended: SystemTime, now: SystemTime) -> Duration {
    let started = ride.started_at.unwrap_or(ride.requested_at).max(ride.requested_at - MAX_DELAY);
    ended.min(now).duration_since(started).unwrap_or_default()
}

#[cfg(test)]
mod tests;
