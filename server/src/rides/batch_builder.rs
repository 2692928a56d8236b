//! A batch of decisions that are not in the journal yet. Pure.
//!
//! Each command sees the decisions before it, in its own batch and in the batch that is being appended. The board
//! does not change until the journal has a batch, so that a failed append leaves nothing to undo.

use std::{sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};

use super::{
    RideError, RideLog,
    active_rides::{ActiveRides, Changes},
    journal::{Entry, KnownRequests, RequestId, RequestKey},
    machine::{self, Command, Decision, Refusal},
    model::{Booking, EventKind, Ride, RideEvent},
    open_ride_limits::{Holder, OpenRideLimit},
};

/// The decisions of a batch.
#[derive(Default)]
pub(super) struct StagedBatch {
    /// The entries to append to the journal.
    pub(super) entries: Vec<Entry>,
    /// The rides that the batch opens.
    pub(super) opened: Vec<RideId>,
    /// The changes of the board, to apply after the append.
    pub(super) changes: Changes,
    requests: KnownRequests,
}

/// A builder that adds decisions to a batch.
pub(super) struct BatchBuilder<'a> {
    board: &'a ActiveRides,
    /// The batch that is being appended to the journal.
    before: Option<&'a StagedBatch>,
    batch: &'a mut StagedBatch,
}

impl<'a> BatchBuilder<'a> {
    pub(super) fn on(
        board: &'a ActiveRides,
        before: Option<&'a StagedBatch>,
        batch: &'a mut StagedBatch,
    ) -> Self {
        Self { board, before, batch }
    }

    /// Returns the ride after the decisions so far. `None` if it is neither on the board nor opened in a batch.
    pub(super) fn ride(&self, id: &RideId) -> Option<Arc<RideLog>> {
        let drafted = self.newest_first().find_map(|drafted| drafted.changes.rides.get(id));
        drafted.cloned().or_else(|| self.board.ride(id))
    }

    /// Returns the ride that a request opened in one of the batches, and the fingerprint of the request.
    pub(super) fn by_request(&self, id: &RequestId) -> Option<&(RideId, Vec<u8>)> {
        self.newest_first().find_map(|drafted| drafted.requests.get(id))
    }

    fn newest_first(&self) -> impl Iterator<Item = &StagedBatch> {
        [Some(&*self.batch), self.before].into_iter().flatten()
    }

    /// Books a ride under a new id. Fails if a holder has reached its limit of open rides.
    pub(super) fn book(
        &mut self,
        id: RideId,
        booking: &Arc<Booking>,
        limits: &[OpenRideLimit],
        request: RequestKey,
        now: SystemTime,
    ) -> Result<Ride, RideError> {
        if let Some(limit) =
            limits.iter().find(|limit| self.open_rides(&limit.holder) >= limit.max_open_rides)
        {
            return Err(RideError::TooManyOpen(limit.clone()));
        }
        let ride = self.open(id, &Command::Book(Arc::clone(booking)), Some(request), now)?;
        for guests in limits.iter().map(|limit| &limit.holder).filter(|holder| holder.is_guest_group()) {
            self.batch.changes.open.add(guests.clone(), 1);
            self.batch.changes.guests.insert(ride.id.clone(), guests.clone());
        }
        Ok(ride)
    }

    fn open_rides(&self, holder: &Holder) -> usize {
        let drafted: isize = self.newest_first().map(|drafted| drafted.changes.open.of(holder)).sum();
        usize::try_from(self.board.open().of(holder) + drafted).unwrap_or_default()
    }

    fn guests(&self, id: &RideId) -> Option<Holder> {
        let drafted = self.newest_first().find_map(|drafted| drafted.changes.guests.get(id));
        drafted.or_else(|| self.board.guests(id)).cloned()
    }

    /// Opens a ride under a new id. If the command is a start off the street that took effect before, opens nothing
    /// and returns the ride that it opened.
    pub(super) fn open(
        &mut self,
        id: RideId,
        command: &Command,
        request: Option<RequestKey>,
        now: SystemTime,
    ) -> Result<Ride, RideError> {
        if let Some(ride) = self.started_before(command) {
            return Ok(ride);
        }
        let Decision::Event(what) = machine::decide(None, command)? else {
            return Err(Refusal::NoSuchRide.into());
        };
        self.add(id, None, what, request, now)
    }

    /// Decides one command on a ride.
    pub(super) fn decide(
        &mut self,
        log: &RideLog,
        command: &Command,
        now: SystemTime,
    ) -> Result<Ride, RideError> {
        match machine::decide(Some(&log.ride), command)? {
            Decision::NoChange => Ok(log.ride.clone()),
            Decision::Event(what) => self.add(log.ride.id.clone(), Some(log), what, None, now),
        }
    }

    fn add(
        &mut self,
        id: RideId,
        log: Option<&RideLog>,
        what: EventKind,
        request: Option<RequestKey>,
        now: SystemTime,
    ) -> Result<Ride, RideError> {
        self.check_car_is_free(&id, &what)?;
        let before = log.map(|log| &log.ride);
        let version = before.map_or(0, |ride| ride.version) + 1;
        let event = Arc::new(RideEvent { ride: id.clone(), version, time: now, what });
        let after = RideLog::with_event(log, Arc::clone(&event))?;
        let ride = after.ride.clone();
        let entry = Entry::new(event, request.clone())?;

        self.rebind(before.and_then(Ride::current_car), ride.current_car(), &id);
        if let Some(RequestKey { id: request, fingerprint }) = request {
            self.batch.requests.insert(request, (id.clone(), fingerprint));
        }
        self.batch.entries.push(entry);
        if before.is_none() {
            self.batch.opened.push(id.clone());
            self.count(Holder::rider_of(&ride.booking), 1);
        }
        if ride.state.is_over() {
            self.count(Holder::rider_of(&ride.booking), -1);
            self.count(self.guests(&id), -1);
        }
        self.batch.changes.rides.insert(id, Arc::new(after));
        Ok(ride)
    }

    fn count(&mut self, holder: Option<Holder>, change: isize) {
        if let Some(holder) = holder {
            self.batch.changes.open.add(holder, change);
        }
    }

    /// Returns the ride that the same start opened, while its trip goes on. A start has no request id: two starts are
    /// the same if the car, its driver, the passengers and the type are the same.
    fn started_before(&self, command: &Command) -> Option<Ride> {
        let Command::StartOffStreet { booking, crew, .. } = command else { return None };
        let log = self.ride(self.ride_of(crew.car)?)?;
        let EventKind::PickedUpOffStreet { booking: earlier, crew: same, .. } = &log.events.first()?.what
        else {
            return None;
        };
        let again =
            crew == same && (booking.kind, &booking.passengers) == (earlier.kind, &earlier.passengers);
        again.then(|| log.ride.clone())
    }

    /// Checks that a car has one ride at a time, which the rules of a single ride cannot know.
    fn check_car_is_free(&self, id: &RideId, what: &EventKind) -> Result<(), Refusal> {
        let (EventKind::Offered { crew, .. } | EventKind::PickedUpOffStreet { crew, .. }) = what else {
            return Ok(());
        };
        match self.ride_of(crew.car) {
            Some(other) if other != id => Err(Refusal::CarBusy),
            _ => Ok(()),
        }
    }

    fn ride_of(&self, car: CarId) -> Option<&RideId> {
        match self.newest_first().find_map(|drafted| drafted.changes.cars.get(&car)) {
            Some(changed) => changed.as_ref(),
            None => self.board.ride_of(car),
        }
    }

    fn rebind(&mut self, before: Option<CarId>, after: Option<CarId>, id: &RideId) {
        if before == after {
            return;
        }
        if let Some(car) = before {
            self.batch.changes.cars.insert(car, None);
        }
        if let Some(car) = after {
            self.batch.changes.cars.insert(car, Some(id.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
