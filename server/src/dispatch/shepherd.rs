//! The task that follows one ride and does everything between the ride and cars.

use std::{sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    DispatchOptions,
    choose::{Candidate, candidates},
    deadline::Deadline,
    orders,
};
use crate::{
    city::City,
    fleet::{Brief, CarView, Fleet},
    rides::{
        RideError, RideLog, Rides,
        charge::{Charge, FareLimits},
        machine::{self, Command, Refusal},
        model::{Happening, OfferEnd, OpenOffer, Ride, RideState},
    },
};

/// The handles that every shepherd uses. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) city: Arc<City>,
    pub(super) fleet: Fleet,
    pub(super) rides: Rides,
    pub(super) options: DispatchOptions,
}

/// Follows a ride until it is over. `told` is the ride as of the last event that cars were told about. The caller
/// keeps it for the shepherd that takes over if this one fails. Events from before the first shepherd are told by
/// [`orders::take_up`] to cars that come back.
pub(super) async fn follow(tools: &Tools, id: &RideId, told: &mut Option<Ride>) -> Result<(), RideError> {
    let feed = tools.rides.log(id).await?;
    let so_far = match told.take() {
        Some(ride) => ride,
        None => told_already(&feed.borrow())?,
    };
    let told = told.insert(so_far);
    let (lapse, give_up, abandoned) = Default::default();
    Shepherd { tools, feed, told, lapse, give_up, abandoned }.run().await
}

struct Shepherd<'a> {
    tools: &'a Tools,
    feed: watch::Receiver<Arc<RideLog>>,
    told: &'a mut Ride,
    /// The end of the open offer.
    lapse: Deadline,
    /// The end of the search for a car.
    give_up: Deadline,
    /// The end of a trip whose car is absent.
    abandoned: Deadline,
}

impl Shepherd<'_> {
    async fn run(mut self) -> Result<(), RideError> {
        loop {
            let log = Arc::clone(&self.feed.borrow_and_update());
            self.tell(&log).await?;
            if log.ride.state.is_over() {
                return Ok(());
            }
            self.attend(&log).await?;
        }
    }

    /// Tells cars about the events since the last call.
    async fn tell(&mut self, log: &RideLog) -> Result<(), RideError> {
        for event in log.after(self.told.version) {
            let after = machine::evolve(Some(self.told.clone()), event)?;
            if let Some((car, brief)) = orders::notice(self.told, event, &after) {
                self.deliver(car, brief, after.state).await?;
            }
            *self.told = after;
        }
        Ok(())
    }

    async fn deliver(&self, car: CarId, brief: Brief, state: RideState) -> Result<(), RideError> {
        let heard = self.tools.fleet.brief(car, brief).await?;
        if !heard && state == RideState::Offered {
            self.end_offer(car, OfferEnd::CarLost).await?;
        }
        Ok(())
    }

    /// Does what the ride needs in its present state. Returns when something happens to the ride.
    async fn attend(&mut self, log: &RideLog) -> Result<(), RideError> {
        match (log.ride.state, log.ride.held_by()) {
            (RideState::Requested, _) => self.find_car(log).await,
            (RideState::Offered, Some(car)) => self.await_answer(car, log.ride.offer).await,
            (RideState::Assigned | RideState::Arrived, Some(car)) => self.keep_car(car).await,
            (RideState::OnTrip, Some(car)) => self.see_home(car, &log.ride).await,
            _ => self.feed.changed().await.map_err(|_| RideError::Closed),
        }
    }

    /// Waits for the driver to answer until the offer expires. A car that is not connected then may get the ride
    /// offered again.
    async fn await_answer(&mut self, car: CarId, offer: Option<OpenOffer>) -> Result<(), RideError> {
        let now = Instant::now();
        let lapses = offer.map_or(now, |offer| self.lapse.of(offer.expires_at, SystemTime::now(), now));
        if self.nothing_until(lapses).await? {
            let heard = self.tools.fleet.car(car).await?.is_some_and(|view| view.connected);
            self.end_offer(car, if heard { OfferEnd::TimedOut } else { OfferEnd::CarLost }).await?;
        }
        Ok(())
    }

    /// Offers the ride to the best car, or to the next one if that car is taken. Searches again until the ride
    /// expires.
    async fn find_car(&mut self, log: &RideLog) -> Result<(), RideError> {
        let pickup = self.tools.city.snap(log.ride.booking.pickup.at);
        let give_up = waiting_since(log) + self.tools.options.give_up;
        let give_up = self.give_up.of(give_up, SystemTime::now(), Instant::now());
        loop {
            if Instant::now() >= give_up {
                return void(self.tools.rides.command(&log.ride.id, Command::Expire).await);
            }
            let Tools { city, fleet, options, .. } = self.tools;
            for candidate in candidates(city, fleet, &pickup, &log.ride.passed_over).await? {
                if self.ask(&log.ride.id, candidate).await? {
                    return Ok(());
                }
            }
            if !self.nothing_until(give_up.min(Instant::now() + options.retry)).await? {
                return Ok(());
            }
        }
    }

    /// Offers the ride to a car. Returns `false` if the car is not available, so that the next one is to be tried.
    async fn ask(&self, ride: &RideId, candidate: Candidate) -> Result<bool, RideError> {
        let Candidate { crew, pickup_eta } = candidate;
        let expires_at = SystemTime::now() + self.tools.options.offer_timeout;
        let offer = OpenOffer { pickup_eta, expires_at };
        match self.tools.rides.command(ride, Command::Offer { crew, offer }).await {
            Err(RideError::Refused(Refusal::CarBusy | Refusal::PassedOver)) => Ok(false),
            other => void(other).map(|()| true),
        }
    }

    /// Unassigns a car that the fleet does not know, as after a restart. The fleet itself reports only cars that it
    /// has lost.
    async fn keep_car(&mut self, car: CarId) -> Result<(), RideError> {
        while self.nothing_until(Instant::now() + self.tools.options.grace).await? {
            if self.tools.fleet.car(car).await?.is_none_or(|view| view.crew.is_none()) {
                return void(self.tools.rides.command(&self.told.id, Command::Unassign { car }).await);
            }
        }
        Ok(())
    }

    /// Keeps a trip with its car while the car is absent, and ends it if the car does not come back.
    async fn see_home(&mut self, car: CarId, ride: &Ride) -> Result<(), RideError> {
        let Tools { fleet, rides, options, .. } = self.tools;
        let planned_end = ride.started_at.unwrap_or(ride.updated_at) + ride.booking.plan.duration;
        let abandoned_at =
            self.abandoned.of(planned_end + options.abandoned, SystemTime::now(), Instant::now());
        let mut last = None;
        while self.nothing_until(Instant::now() + options.grace).await? {
            if let Some(view) = fleet.car(car).await? {
                // A car that is known only through reports does not sign on, so `take_up` never sets its state.
                if let Some((car, brief)) = orders::standing(ride) {
                    fleet.brief(car, brief).await?;
                }
                last = Some((view, SystemTime::now()));
            } else if Instant::now() >= abandoned_at {
                let end = abandoned(rides.fares(), ride, last);
                return void(rides.command(&ride.id, end).await);
            }
        }
        Ok(())
    }

    async fn end_offer(&self, car: CarId, why: OfferEnd) -> Result<(), RideError> {
        void(self.tools.rides.command(&self.told.id, Command::EndOffer { car, why }).await)
    }

    /// Waits until `deadline`. Returns `false` if something happens to the ride before.
    async fn nothing_until(&mut self, deadline: Instant) -> Result<bool, RideError> {
        match timeout_at(deadline, self.feed.changed()).await {
            Ok(changed) => changed.map(|()| false).map_err(|_| RideError::Closed),
            Err(_) => Ok(true),
        }
    }
}

/// Returns the ride as cars know it when its first shepherd starts. This is the ride as it is, unless it began off
/// the street and is over already: then its car does not know of the end, and must still be freed.
fn told_already(log: &RideLog) -> Result<Ride, machine::Misfit> {
    match &log.events[..] {
        [first, _end] if log.ride.state.is_over() => machine::evolve(None, first),
        _ => Ok(log.ride.clone()),
    }
}

/// Ignores a refusal: another command came first, and its event is in the log.
fn void(outcome: Result<Ride, RideError>) -> Result<(), RideError> {
    match outcome {
        Ok(_) | Err(RideError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the command that ends an abandoned trip. The trip ends as planned. Without a plan it ends as driven until
/// `last`, when the car was last seen.
fn abandoned(fares: FareLimits, ride: &Ride, last: Option<(CarView, SystemTime)>) -> Command {
    let booking = &ride.booking;
    let driven = last.filter(|(view, _)| view.ride.as_ref() == Some(&ride.id));
    let (Charge { figures, metered_fare }, at) = match (&booking.dropoff, driven) {
        (None, Some((CarView { at: Some(at), meter_m: Some(meter_m), .. }, seen))) => {
            (fares.charge(booking, meter_m, machine::trip_time(ride, seen, seen)), at)
        }
        (dropoff, _) => {
            let planned = Charge { figures: booking.plan, metered_fare: None };
            (planned, dropoff.as_ref().unwrap_or(&booking.pickup).at)
        }
    };
    Command::DropOff { car: None, figures, metered_fare, at }
}

/// Returns the time at which the ride began to wait for a car: when it was booked, or when it last lost its car.
fn waiting_since(log: &RideLog) -> SystemTime {
    let lost = log.events.iter().rev().find(|event| matches!(event.what, Happening::Unassigned { .. }));
    lost.map_or(log.ride.requested_at, |event| event.time)
}
