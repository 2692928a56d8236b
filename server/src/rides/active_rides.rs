//! The rides that are not over, as they are in the journal.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use rides_proto::ids::{CarId, RideId};
use tokio::sync::watch;

use super::{
    RideLog,
    open_ride_limits::{Holder, OpenRideCounts},
};

/// The rides that are not over, and the car of each.
#[derive(Default)]
pub(super) struct ActiveRides {
    rides: HashMap<RideId, watch::Sender<Arc<RideLog>>>,
    by_car: HashMap<CarId, RideId>,
    open: OpenRideCounts,
    /// The guests that each ride counts for. Rides that count for no guests are not in it.
    guests: HashMap<RideId, Holder>,
}

/// The changes of one batch.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) rides: HashMap<RideId, Arc<RideLog>>,
    /// `None` if the car is free again.
    pub(super) cars: HashMap<CarId, Option<RideId>>,
    pub(super) open: OpenRideCounts,
    /// The guests that each new ride counts for. Rides that count for no guests are not in it.
    pub(super) guests: HashMap<RideId, Holder>,
}

impl ActiveRides {
    /// Returns the board at the start of the server, from the unfinished rides of the journal.
    pub(super) fn of(unfinished: Vec<Arc<RideLog>>) -> Self {
        let mut board = Self::default();
        for log in unfinished {
            if let Some(car) = log.ride.current_car() {
                board.by_car.insert(car, log.ride.id.clone());
            }
            if let Some(rider) = Holder::rider_of(&log.ride.booking) {
                board.open.add(rider, 1);
            }
            board.publish(log);
        }
        board
    }

    pub(super) fn ride(&self, id: &RideId) -> Option<Arc<RideLog>> {
        self.rides.get(id).map(|feed| Arc::clone(&feed.borrow()))
    }

    pub(super) fn ride_of(&self, car: CarId) -> Option<&RideId> {
        self.by_car.get(&car)
    }

    /// The numbers of open rides by holder.
    pub(super) fn open(&self) -> &OpenRideCounts {
        &self.open
    }

    /// Returns the guests that an open ride counts for.
    pub(super) fn guests(&self, id: &RideId) -> Option<&Holder> {
        self.guests.get(id)
    }

    /// Returns a receiver of the ride as it is now and of all later changes.
    pub(super) fn watch(&self, id: &RideId) -> Option<watch::Receiver<Arc<RideLog>>> {
        self.rides.get(id).map(watch::Sender::subscribe)
    }

    /// Applies changes that are in the journal, and notifies watchers.
    pub(super) fn commit(&mut self, changes: Changes) {
        for (car, ride) in changes.cars {
            match ride {
                Some(ride) => self.by_car.insert(car, ride),
                None => self.by_car.remove(&car),
            };
        }
        self.open.add_all(changes.open);
        self.guests.extend(changes.guests);
        for log in changes.rides.into_values() {
            self.publish(log);
        }
    }

    /// Sends the events of a ride to its watchers. A ride that is over is removed: its watchers get the last events, and
    /// then the channel closes.
    fn publish(&mut self, log: Arc<RideLog>) {
        let over = log.ride.state.is_over();
        if over {
            self.guests.remove(&log.ride.id);
        }
        match self.rides.entry(log.ride.id.clone()) {
            hash_map::Entry::Occupied(entry) if over => {
                entry.remove().send_replace(log);
            }
            hash_map::Entry::Occupied(entry) => {
                entry.get().send_replace(log);
            }
            hash_map::Entry::Vacant(entry) if !over => {
                entry.insert(watch::Sender::new(log));
            }
            hash_map::Entry::Vacant(_) => {}
        }
    }
}
