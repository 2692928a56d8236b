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
    fleet::{CarUpdate, CarView, Fleet},
    rides::{
        RideError, RideLog, Rides,
        charge::{Charge, FareLimits},
        machine::{self, Command, Refusal},
        model::{EventKind, OfferEndReason, OpenOffer, Ride, RideState},
    },
};

/// The handles that every shepherd uses. Cheap to clone.
#[derive(Clone)]
pub(super) struct DispatchHandles {
    pub(super) city: Arc<City>,
    pub(super) fleet: Fleet,
    pub(super) rides: Rides,
    pub(super) options: DispatchOptions,
}

/// Follows a ride until it is over. `told` is the ride as of the last event that cars were told about. The caller
/// keeps it for the shepherd that takes over if this one fails. Events from before the first shepherd are told by
/// [`orders::take_up`] to cars that come back.
pub(super) async fn follow(
    tools: &DispatchHandles,
    id: &RideId,
    told: &mut Option<Ride>,
) -> Result<(), RideError> {
    let feed = tools.rides.watch(id).await?;
    let so_far = match told.take() {
        Some(ride) => ride,
        None => initially_told(&feed.borrow())?,
    };
    let told = told.insert(so_far);
    let (lapse, give_up, abandoned) = Default::default();
    RideSupervisor { tools, feed, told, offer_end: lapse, search_end: give_up, trip_end: abandoned }
        .run()
        .await
}

struct RideSupervisor<'a> {
    tools: &'a DispatchHandles,
    feed: watch::Receiver<Arc<RideLog>>,
    told: &'a mut Ride,
    /// The end of the open offer.
    offer_end: Deadline,
    /// The end of the search for a car.
    search_end: Deadline,
    /// The end of a trip whose car is absent.
    trip_end: Deadline,
}

impl RideSupervisor<'_> {
    async fn run(mut self) -> Result<(), RideError> {
        loop {
            let log = Arc::clone(&self.feed.borrow_and_update());
            self.tell(&log).await?;
            if log.ride.state.is_over() {
                return Ok(());
            }
            self.run_state(&log).await?;
        }
    }

    /// Tells cars about the events since the last call.
    async fn tell(&mut self, log: &RideLog) -> Result<(), RideError> {
        for event in log.after(self.told.version) {
            let after = machine::evolve(Some(self.told.clone()), event)?;
            if let Some((car, brief)) = orders::brief_for_event(self.told, event, &after) {
                self.deliver(car, brief, after.state).await?;
            }
            *self.told = after;
        }
        Ok(())
    }

    async fn deliver(&self, car: CarId, brief: CarUpdate, state: RideState) -> Result<(), RideError> {
        let heard = self.tools.fleet.update_car(car, brief).await?;
        if !heard && state == RideState::Offered {
            self.end_offer(car, OfferEndReason::CarLost).await?;
        }
        Ok(())
    }

    /// Does what the ride needs in its present state. Returns when something happens to the ride.
    async fn run_state(&mut self, log: &RideLog) -> Result<(), RideError> {
        match (log.ride.state, log.ride.current_car()) {
            (RideState::Requested, _) => self.find_car(log).await,
            (RideState::Offered, Some(car)) => self.await_driver(car, log.ride.offer).await,
            (RideState::Assigned | RideState::Arrived, Some(car)) => self.watch_assigned(car).await,
            (RideState::OnTrip, Some(car)) => self.watch_trip(car, &log.ride).await,
            _ => self.feed.changed().await.map_err(|_| RideError::Closed),
        }
    }

    /// Waits for the driver to answer until the offer expires. A car that is not connected then may get the ride
    /// offered again.
    async fn await_driver(&mut self, car: CarId, offer: Option<OpenOffer>) -> Result<(), RideError> {
        let now = Instant::now();
        let lapses = offer.map_or(now, |offer| self.offer_end.of(offer.expires_at, SystemTime::now(), now));
        if self.unchanged_until(lapses).await? {
            let heard = self.tools.fleet.car(car).await?.is_some_and(|view| view.connected);
            self.end_offer(car, if heard { OfferEndReason::TimedOut } else { OfferEndReason::CarLost })
                .await?;
        }
        Ok(())
    }

    /// Offers the ride to the best car, or to the next one if that car is taken. Searches again until the ride
    /// expires.
    async fn find_car(&mut self, log: &RideLog) -> Result<(), RideError> {
        let pickup = self.tools.city.snap(log.ride.booking.pickup.at);
        let give_up = waiting_since(log) + self.tools.options.search_timeout;
        let give_up = self.search_end.of(give_up, SystemTime::now(), Instant::now());
        loop {
            if Instant::now() >= give_up {
                return ignore_refusal(self.tools.rides.command(&log.ride.id, Command::Expire).await);
            }
            let DispatchHandles { city, fleet, options, .. } = self.tools;
            for candidate in candidates(city, fleet, &pickup, &log.ride.passed_over).await? {
                if self.offer_to(&log.ride.id, candidate).await? {
                    return Ok(());
                }
            }
            if !self.unchanged_until(give_up.min(Instant::now() + options.retry_interval)).await? {
                return Ok(());
            }
        }
    }

    /// Offers the ride to a car. Returns `false` if the car is not available, so that the next one is to be tried.
    async fn offer_to(&self, ride: &RideId, candidate: Candidate) -> Result<bool, RideError> {
        let Candidate { crew, pickup_eta } = candidate;
        let expires_at = SystemTime::now() + self.tools.options.offer_timeout;
        let offer = OpenOffer { pickup_eta, expires_at };
        match self.tools.rides.command(ride, Command::Offer { crew, offer }).await {
            Err(RideError::Refused(Refusal::CarBusy | Refusal::PassedOver)) => Ok(false),
            other => ignore_refusal(other).map(|()| true),
        }
    }

    /// Unassigns a car that the fleet does not know, as after a restart. The fleet itself reports only cars that it
    /// has lost.
    async fn watch_assigned(&mut self, car: CarId) -> Result<(), RideError> {
        while self.unchanged_until(Instant::now() + self.tools.options.grace).await? {
            if self.tools.fleet.car(car).await?.is_none_or(|view| view.crew.is_none()) {
                return ignore_refusal(
                    self.tools.rides.command(&self.told.id, Command::Unassign { car }).await,
                );
            }
        }
        Ok(())
    }

    /// Keeps a trip with its car while the car is absent, and ends it if the car does not come back.
    async fn watch_trip(&mut self, car: CarId, ride: &Ride) -> Result<(), RideError> {
        let DispatchHandles { fleet, rides, options, .. } = self.tools;
        let planned_end = ride.started_at.unwrap_or(ride.updated_at) + ride.booking.plan.duration;
        let abandoned_at =
            self.trip_end.of(planned_end + options.abandon_after, SystemTime::now(), Instant::now());
        let mut last = None;
        while self.unchanged_until(Instant::now() + options.grace).await? {
            if let Some(view) = fleet.car(car).await? {
                // A car that is known only through reports does not sign on, so `take_up` never sets its state.
                if let Some((car, brief)) = orders::current_brief(ride) {
                    fleet.update_car(car, brief).await?;
                }
                last = Some((view, SystemTime::now()));
            } else if Instant::now() >= abandoned_at {
                let end = end_abandoned(rides.fares(), ride, last);
                return ignore_refusal(rides.command(&ride.id, end).await);
            }
        }
        Ok(())
    }

    async fn end_offer(&self, car: CarId, why: OfferEndReason) -> Result<(), RideError> {
        ignore_refusal(self.tools.rides.command(&self.told.id, Command::EndOffer { car, why }).await)
    }

    /// Waits until `deadline`. Returns `false` if something happens to the ride before.
    async fn unchanged_until(&mut self, deadline: Instant) -> Result<bool, RideError> {
        match timeout_at(deadline, self.feed.changed()).await {
            Ok(changed) => changed.map(|()| false).map_err(|_| RideError::Closed),
            Err(_) => Ok(true),
        }
    }
}

/// Returns the ride as cars know it when its first shepherd starts. This is the ride as it is, unless it began off
/// the street and is over already: then its car does not know of the end, and must still be freed.
fn initially_told(log: &RideLog) -> Result<Ride, machine::OutOfSequence> {
    match &log.events[..] {
        [first, _end] if log.ride.state.is_over() => machine::evolve(None, first),
        _ => Ok(log.ride.clone()),
    }
}

/// Ignores a refusal: another command came first, and its event is in the log.
fn ignore_refusal(outcome: Result<Ride, RideError>) -> Result<(), RideError> {
    match outcome {
        Ok(_) | Err(RideError::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the command that ends an abandoned trip. The trip ends as planned. Without a plan it ends as driven until
/// `last`, when the car was last seen.
fn end_abandoned(fares: FareLimits, ride: &Ride, last: Option<(CarView, SystemTime)>) -> Command {
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
    let lost = log.events.iter().rev().find(|event| matches!(event.what, EventKind::Unassigned { .. }));
    lost.map_or(log.ride.requested_at, |event| event.time)
}
