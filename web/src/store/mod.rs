//! Everything the page knows, and the one way to change it: [`Store::apply`].

use std::{cell::RefCell, rc::Rc, sync::Arc};

use leptos::prelude::*;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::RideId,
};

use crate::model::{CityMap, Connection, Failure, FollowedRide, Place, Quote, Remote, Ride, RideType};

mod fleet;

pub use fleet::FleetModel;

/// What the panels and the map read. Cheap to copy. Signals hold what changes at the pace of people;
/// positions are never signals and live in [`FleetModel`].
#[derive(Clone, Copy)]
pub struct Store {
    /// The city, growing while it loads.
    pub city: ReadSignal<Option<Arc<CityMap>>>,
    /// The fleet stream's connection: the page's pulse.
    pub connection: ReadSignal<Connection>,
    /// Newest first.
    pub rides: ReadSignal<Vec<Ride>>,
    /// The ride the person follows.
    pub followed: ReadSignal<Option<FollowedRide>>,
    /// For the pickup and drop-off that are set.
    pub quote: ReadSignal<Remote<Quote>>,
    /// The newest Book or Cancel, while it runs or when it failed.
    pub action: ReadSignal<Remote<()>>,
    /// What the newest street search found.
    pub places: ReadSignal<Remote<Vec<Place>>>,
    /// Cars on the map right now; changes at most once a second.
    pub cars_in_view: ReadSignal<usize>,
    /// Where the cars are.
    pub fleet: StoredValue<Rc<RefCell<FleetModel>>, LocalStorage>,
}

/// What a person can ask for. Panels and the map send these; the answers come back through the store.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Ask for a fare.
    Quote {
        /// From.
        pickup: LatLng,
        /// To.
        dropoff: LatLng,
        /// Regular or pool.
        kind: RideType,
    },
    /// Forget the quote.
    ClearQuote,
    /// Book a ride and follow it.
    Book {
        /// From.
        pickup: LatLng,
        /// To.
        dropoff: LatLng,
        /// Regular or pool.
        kind: RideType,
    },
    /// Cancel a ride.
    Cancel(RideId),
    /// Follow a ride's events.
    Follow(RideId),
    /// Stop following.
    Unfollow,
    /// Search street names.
    FindPlaces(String),
    /// The map shows this now: watch the cars in it.
    Look(Bounds),
    /// Try to connect now, without waiting for the countdown.
    Reconnect,
    /// Clear the failure shown of the last action.
    Dismiss(Failure),
}

/// Stand-in.
#[derive(Clone, Copy)]
pub struct Commands(pub Callback<Command>);

impl Commands {
    /// Sends.
    pub fn send(&self, command: Command) {
        self.0.run(command);
    }
}
