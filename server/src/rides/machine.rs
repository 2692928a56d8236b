//! The rules of a ride: what may happen when, and what it changes. Pure.
//!
//! [`decide`] answers a command with what happens; [`evolve`] applies what happened. Every command is defined in
//! every state, and one that took effect before is no error: commands may be sent again.

use std::{sync::Arc, time::Duration, time::SystemTime};

use rides_proto::{geo::LatLng, ids::CarId};

use super::{
    model::{
        Actor, Booking, Cents, Crew, Figures, Happening, Loss, OfferEnd, OpenOffer, Ride, RideEvent,
        RideState,
    },
    reach::MAX_DELAY,
};

/// What someone wants to happen to a ride.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// A rider books. Opens a ride.
    Book(Arc<Booking>),
    /// A driver took passengers off the street. Opens a ride.
    StartOffStreet {
        /// What is known of it.
        booking: Arc<Booking>,
        /// Who drives.
        crew: Crew,
        /// When the trip began, by the driver's clock.
        since: SystemTime,
    },
    /// Dispatch asks a car.
    Offer {
        /// Which.
        crew: Crew,
        /// On what terms.
        offer: OpenOffer,
    },
    /// Dispatch takes an offer back.
    EndOffer {
        /// The car that was asked.
        car: CarId,
        /// Why.
        why: OfferEnd,
    },
    /// The driver takes the offer.
    Accept {
        /// Whose driver.
        car: CarId,
    },
    /// The driver does not take the offer.
    Decline {
        /// Whose driver.
        car: CarId,
    },
    /// The car is at the pickup.
    Arrive {
        /// Which.
        car: CarId,
    },
    /// The passengers are in.
    PickUp {
        /// Which car they are in.
        car: CarId,
    },
    /// The trip is over.
    DropOff {
        /// The car that says so; `None` when the caller is not a car's own stream.
        car: Option<CarId>,
        /// As driven.
        figures: Figures,
        /// The fare by the meter, if the fare to pay is less.
        metered_fare: Option<Cents>,
        /// Where.
        at: LatLng,
    },
    /// The driver gives an assigned ride back.
    GiveBack {
        /// Whose driver.
        car: CarId,
        /// For people; may be empty.
        reason: String,
    },
    /// Dispatch takes the ride from a car that was lost.
    Unassign {
        /// Which.
        car: CarId,
    },
    /// Someone calls it off.
    Cancel {
        /// Who.
        by: Actor,
        /// The car whose driver says so; `None` when the caller need not be a car's.
        car: Option<CarId>,
        /// For people; may be empty.
        reason: String,
    },
    /// Nobody took it in time.
    Expire,
}

/// The answer to a command that may stand.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// This happens now.
    Happens(Happening),
    /// The command took effect before; nothing happens.
    Already,
}

/// Why a command may not stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing opened this ride.
    #[error("there is no such ride")]
    NoSuchRide,
    /// The ride is not where the command has a meaning.
    #[error("this cannot be done with a ride that is {}", in_words(*.0))]
    WrongState(RideState),
    /// Another car has the ride, or the offer of it.
    #[error("the ride is another car's")]
    NotYours,
    /// The car did not want this ride before.
    #[error("the car has passed on this ride before")]
    PassedOver,
    /// The car is bound by another ride.
    #[error("the car already has a ride")]
    CarBusy,
}

fn in_words(state: RideState) -> &'static str {
    match state {
        RideState::Requested => "looking for a car",
        RideState::Offered => "offered to a car",
        RideState::Assigned => "assigned to a car",
        RideState::Arrived => "at its pickup",
        RideState::OnTrip => "on its trip",
        RideState::Completed => "completed",
        RideState::Cancelled => "cancelled",
        RideState::Expired => "expired",
    }
}

impl Refusal {
    /// For machines, as in `ErrorInfo.reason`.
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

/// Where a car has an offer to answer.
const ASKED: &[RideState] = &[RideState::Offered];
/// Where a car has the ride and not yet the passengers.
const COMING: &[RideState] = &[RideState::Assigned, RideState::Arrived];

/// What comes of `command`, given the ride as it is (`None`: not opened yet).
///
/// What time it is does not matter: an offer is open until dispatch ends it, so that a clock that is set between
/// the two takes no ride from a driver. That a car has one ride at a time is not known here: see
/// [`Refusal::CarBusy`].
pub fn decide(ride: Option<&Ride>, command: &Command) -> Result<Decision, Refusal> {
    match (ride, command.clone()) {
        (None, Command::Book(booking)) => happens(Happening::Requested(booking)),
        (None, Command::StartOffStreet { booking, crew, since }) => {
            happens(Happening::PickedUpOffStreet { booking, crew, since })
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
            RideState::Requested => happens(Happening::Offered { crew, offer }),
            RideState::Offered if ride.held_by() == Some(crew.car) => Ok(Decision::Already),
            _ => wrong_state,
        },
        Command::EndOffer { car, why } => leave(ride, car, ASKED, || Happening::OfferEnded { car, why }),
        Command::Decline { car } => {
            leave(ride, car, ASKED, || Happening::OfferEnded { car, why: OfferEnd::Declined })
        }

        Command::Accept { car } => step(ride, car, RideState::Offered, Happening::Assigned),
        Command::Arrive { car } => step(ride, car, RideState::Assigned, |_| Happening::Arrived),
        Command::PickUp { car } => step(ride, car, RideState::Arrived, |_| Happening::Started),
        Command::DropOff { car, figures, metered_fare, at } => match ride.state {
            RideState::OnTrip | RideState::Completed
                if car.is_some() && car != ride.crew.as_ref().map(|crew| crew.car) =>
            {
                Err(Refusal::NotYours)
            }
            RideState::OnTrip => happens(Happening::Completed { figures, metered_fare, at }),
            RideState::Completed => Ok(Decision::Already),
            _ => wrong_state,
        },

        Command::GiveBack { car, reason } => {
            let why = Loss::GaveBack(reason);
            leave(ride, car, COMING, || Happening::Unassigned { car, why })
        }
        Command::Unassign { car } => {
            leave(ride, car, COMING, || Happening::Unassigned { car, why: Loss::CarLost })
        }

        Command::Cancel { by, car, reason } => match ride.state {
            RideState::Cancelled => Ok(Decision::Already),
            state if state < RideState::OnTrip && car.is_some() && car != ride.held_by() => {
                Err(Refusal::NotYours)
            }
            state if state < RideState::OnTrip => happens(Happening::Cancelled { by, reason }),
            _ => wrong_state,
        },
        Command::Expire => match ride.state {
            RideState::Requested => happens(Happening::Expired),
            RideState::Expired => Ok(Decision::Already),
            _ => wrong_state,
        },
    }
}

fn happens(what: Happening) -> Result<Decision, Refusal> {
    Ok(Decision::Happens(what))
}

/// The next step of the car that has the ride, taken from `from`; further on, it was taken before.
fn step(
    ride: &Ride,
    car: CarId,
    from: RideState,
    what: impl FnOnce(Crew) -> Happening,
) -> Result<Decision, Refusal> {
    match &ride.crew {
        Some(crew) if crew.car != car => Err(Refusal::NotYours),
        Some(crew) if ride.state == from => happens(what(crew.clone())),
        Some(_) if ride.state > from => Ok(Decision::Already),
        _ => Err(Refusal::WrongState(ride.state)),
    }
}

/// The car and the ride part, which they can in the states of `from`; a car that was passed over has left before.
fn leave(
    ride: &Ride,
    car: CarId,
    from: &[RideState],
    what: impl FnOnce() -> Happening,
) -> Result<Decision, Refusal> {
    if ride.passed_over.contains(&car) {
        return Ok(Decision::Already);
    }
    match ride.held_by() {
        Some(other) if other != car => Err(Refusal::NotYours),
        Some(_) if from.contains(&ride.state) => happens(what()),
        _ => Err(Refusal::WrongState(ride.state)),
    }
}

/// An event that does not follow the ride it was to be applied to: the journal is broken, or another wrote to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event {found} does not follow version {at} of its ride")]
pub struct Misfit {
    /// The ride's version. 0: not opened.
    pub at: u64,
    /// The event's version.
    pub found: u64,
}

/// The ride after `event`. Makes no decisions: what happened, happened.
pub fn evolve(ride: Option<Ride>, event: &RideEvent) -> Result<Ride, Misfit> {
    let at = ride.as_ref().map_or(0, |ride| ride.version);
    let misfit = Misfit { at, found: event.version };
    if event.version != at + 1 {
        return Err(misfit);
    }
    match (ride, &event.what) {
        (None, Happening::Requested(booking)) => Ok(opened(event, booking, RideState::Requested)),
        (None, Happening::PickedUpOffStreet { booking, crew, since }) => Ok(Ride {
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

/// `None` for what can only open a ride.
fn changed(mut ride: Ride, what: &Happening, time: SystemTime) -> Option<Ride> {
    ride.state = match what {
        Happening::Requested(_) | Happening::PickedUpOffStreet { .. } => return None,
        Happening::Offered { crew, offer } => {
            ride.crew = Some(crew.clone());
            ride.offer = Some(*offer);
            RideState::Offered
        }
        // A car that was lost did not turn the ride down: it may have it should it return.
        Happening::OfferEnded { why: OfferEnd::CarLost, .. }
        | Happening::Unassigned { why: Loss::CarLost, .. } => {
            ride.crew = None;
            RideState::Requested
        }
        Happening::OfferEnded { car, .. } | Happening::Unassigned { car, .. } => {
            ride.crew = None;
            ride.passed_over.push(*car);
            RideState::Requested
        }
        Happening::Assigned(crew) => {
            ride.crew = Some(crew.clone());
            RideState::Assigned
        }
        Happening::Arrived => RideState::Arrived,
        Happening::Started => {
            ride.started_at = Some(time);
            RideState::OnTrip
        }
        Happening::Completed { figures, .. } => {
            ride.figures = *figures;
            RideState::Completed
        }
        Happening::Cancelled { by, reason } => {
            ride.crew = None;
            ride.cancelled = Some((*by, reason.clone()));
            RideState::Cancelled
        }
        Happening::Expired => RideState::Expired,
    };
    Some(ride)
}

/// How long a trip took that a driver says ended at `ended`. A clock that is off makes it neither negative nor
/// longer than the time since it began. The start of a ride off the street counts as at most [`MAX_DELAY`] late.
pub fn trip_time(ride: &Ride, ended: SystemTime, now: SystemTime) -> Duration {
    let started = ride.started_at.unwrap_or(ride.requested_at).max(ride.requested_at - MAX_DELAY);
    ended.min(now).duration_since(started).unwrap_or_default()
}

#[cfg(test)]
mod tests;
