//! The life of one ride towards cars.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rides_proto::ids::{CarId, RideId};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    DispatchOptions,
    choose::{Candidate, candidates},
    orders::{self, Notice},
};
use crate::{
    city::City,
    fleet::Fleet,
    rides::{
        RideError, RideLog, Rides,
        machine::{self, Command, Refusal},
        model::{Happening, OfferEnd, OpenOffer, Ride, RideState},
    },
};

/// What every shepherd works with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) city: Arc<City>,
    pub(super) fleet: Fleet,
    pub(super) rides: Rides,
    pub(super) options: DispatchOptions,
}

/// Looks after one ride until it is over.
pub(super) async fn follow(tools: Tools, id: RideId) -> Result<(), RideError> {
    let feed = tools.rides.log(&id).await?;
    let told = told_already(&feed.borrow())?;
    Shepherd { tools, feed, told }.run().await
}

struct Shepherd {
    tools: Tools,
    feed: watch::Receiver<Arc<RideLog>>,
    /// The ride as of the last event that cars were told of. What was before this shepherd is told by
    /// [`orders::take_up`], to cars that come back.
    told: Ride,
}

impl Shepherd {
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

    /// Tells cars what happened since the last time.
    async fn tell(&mut self, log: &RideLog) -> Result<(), RideError> {
        for event in log.after(self.told.version) {
            let after = machine::evolve(Some(self.told.clone()), event)?;
            if let Some(notice) = orders::notice(&self.told, event, &after) {
                self.deliver(notice, &after).await?;
            }
            self.told = after;
        }
        Ok(())
    }

    async fn deliver(&self, notice: Notice, ride: &Ride) -> Result<(), RideError> {
        let Notice { car, state, order } = notice;
        self.tools.fleet.set_state(car, state).await?;
        let Some(order) = order else { return Ok(()) };
        let heard = self.tools.fleet.send(car, order).await?;
        if !heard && ride.state == RideState::Offered {
            self.end_offer(car, OfferEnd::CarLost).await?;
        }
        Ok(())
    }

    /// Does what the ride needs now, until something happens to it.
    async fn attend(&mut self, log: &RideLog) -> Result<(), RideError> {
        match (log.ride.state, log.ride.held_by()) {
            (RideState::Requested, _) => self.find_car(log).await,
            (RideState::Offered, Some(car)) => {
                let lapses = log.ride.offer.map_or_else(Instant::now, |offer| instant(offer.expires_at));
                if self.nothing_until(lapses).await? {
                    self.end_offer(car, OfferEnd::TimedOut).await?;
                }
                Ok(())
            }
            (RideState::Assigned | RideState::Arrived, Some(car)) => self.keep_car(car).await,
            _ => self.feed.changed().await.map_err(|_| RideError::Closed),
        }
    }

    /// Asks the best car, and the next one when that is taken; looks again until it is time to give up.
    async fn find_car(&mut self, log: &RideLog) -> Result<(), RideError> {
        let pickup = self.tools.city.snap(log.ride.booking.pickup.at);
        let give_up = instant(waiting_since(log) + self.tools.options.give_up);
        loop {
            let Tools { city, fleet, options, .. } = &self.tools;
            for candidate in candidates(city, fleet, &pickup, &log.ride.passed_over).await? {
                if self.ask(&log.ride.id, candidate).await? {
                    return Ok(());
                }
            }
            if !self.nothing_until(give_up.min(Instant::now() + options.retry)).await? {
                return Ok(());
            }
            if Instant::now() >= give_up {
                return void(self.tools.rides.command(&log.ride.id, Command::Expire).await);
            }
        }
    }

    /// False: the car will not do; ask the next one.
    async fn ask(&self, ride: &RideId, candidate: Candidate) -> Result<bool, RideError> {
        let Candidate { crew, pickup_eta } = candidate;
        let expires_at = SystemTime::now() + self.tools.options.offer_timeout;
        let offer = OpenOffer { pickup_eta, expires_at };
        match self.tools.rides.command(ride, Command::Offer { crew, offer }).await {
            Err(RideError::Refused(Refusal::CarBusy | Refusal::PassedOver)) => Ok(false),
            other => void(other).map(|()| true),
        }
    }

    /// The fleet says when it loses a car; one that it never knew, as after a restart, is found out here.
    async fn keep_car(&mut self, car: CarId) -> Result<(), RideError> {
        while self.nothing_until(Instant::now() + self.tools.options.grace).await? {
            if self.tools.fleet.car(car).await?.is_none_or(|view| view.crew.is_none()) {
                return void(self.tools.rides.command(&self.told.id, Command::Unassign { car }).await);
            }
        }
        Ok(())
    }

    async fn end_offer(&self, car: CarId, why: OfferEnd) -> Result<(), RideError> {
        void(self.tools.rides.command(&self.told.id, Command::EndOffer { car, why }).await)
    }

    /// False: something happened to the ride before `deadline`.
    async fn nothing_until(&mut self, deadline: Instant) -> Result<bool, RideError> {
        match timeout_at(deadline, self.feed.changed()).await {
            Ok(changed) => changed.map(|()| false).map_err(|_| RideError::Closed),
            Err(_) => Ok(true),
        }
    }
}

/// The ride as cars know it when it gets a shepherd: as it is, unless it began off the street and ended before
/// the shepherd came. Then its car has heard nothing of the end, and must be let go.
fn told_already(log: &RideLog) -> Result<Ride, machine::Misfit> {
    match &log.events[..] {
        [first, _end] if log.ride.state.is_over() => machine::evolve(None, first),
        _ => Ok(log.ride.clone()),
    }
}

/// A refusal means that someone else was faster, and what they did is in the log.
fn void(outcome: Result<Ride, RideError>) -> Result<(), RideError> {
    match outcome {
        Ok(_) | Err(RideError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// When the ride began to wait for a car: booked, or its car lost.
fn waiting_since(log: &RideLog) -> SystemTime {
    let lost = log.events.iter().rev().find(|event| matches!(event.what, Happening::Unassigned { .. }));
    lost.map_or(log.ride.requested_at, |event| event.time)
}

/// The instant of a time of day, by what is left until then: the clock may be set, the instant stands.
fn instant(time: SystemTime) -> Instant {
    Instant::now() + time.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}
