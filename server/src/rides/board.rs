//! Every ride that is not over, as the journal has it.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use rides_proto::ids::{CarId, RideId};
use tokio::sync::watch;

use super::{
    RideLog,
    open::{Holder, OpenRides},
};

/// The rides that are not over, and which car is bound by which.
#[derive(Default)]
pub(super) struct Board {
    rides: HashMap<RideId, watch::Sender<Arc<RideLog>>>,
    by_car: HashMap<CarId, RideId>,
    open: OpenRides,
    /// The guests for whom a ride counts, for each ride that counts for guests.
    guests: HashMap<RideId, Holder>,
}

/// What a draft would change.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) rides: HashMap<RideId, Arc<RideLog>>,
    /// `None`: the car is free again.
    pub(super) cars: HashMap<CarId, Option<RideId>>,
    pub(super) open: OpenRides,
    /// The guests for whom a new ride counts, for each new ride that counts for guests.
    pub(super) guests: HashMap<RideId, Holder>,
}

impl Board {
    /// The board after a start, from what the journal says is not over.
    pub(super) fn of(unfinished: Vec<Arc<RideLog>>) -> Self {
        let mut board = Self::default();
        for log in unfinished {
            if let Some(car) = log.ride.held_by() {
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

    /// The open rides of each holder.
    pub(super) fn open(&self) -> &OpenRides {
        &self.open
    }

    /// The guests for whom a ride counts, if it is open.
    pub(super) fn guests(&self, id: &RideId) -> Option<&Holder> {
        self.guests.get(id)
    }

    /// The ride as it is now and whatever it becomes, in one.
    pub(super) fn watch(&self, id: &RideId) -> Option<watch::Receiver<Arc<RideLog>>> {
        self.rides.get(id).map(watch::Sender::subscribe)
    }

    /// Takes over what the journal has, and tells who watches.
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

    /// A ride that is over leaves the board: its watchers see the last log, and then that no more will come.
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
