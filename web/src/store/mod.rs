//! The state of the page. [`Store::apply`] is the only way to change it.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use leptos::prelude::{Update as _, *};
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::RideId,
};

use crate::model::{
    CityMap, Connection, Failure, FollowedRide, Identity, Millis, Place, Quote, RemoteData, Ride, RideList,
    RideType,
};

mod city;
mod controller;
mod decode;
mod fleet;
mod follow;
mod glide_timing;
mod tasks;
mod watch;

pub use controller::Commands;
pub use decode::{Malformed, WithInvalid, fleet_frame};
pub use fleet::{CarMove, CarReport, CellUpdate, FleetFrame, FleetModel, Screen};

/// Creates the store and starts the tasks that fill it. Called once, inside the page's root component.
pub fn start() -> (Store, Commands) {
    let store = Store::new();
    (store, Commands::start(store))
}

/// The state that the panels and the map read. Cheap to copy.
///
/// Signals hold what changes at most a few times per second. Car positions change more often: they are in
/// [`FleetModel`], and never in signals.
#[derive(Clone, Copy)]
pub struct Store {
    /// The city map, which grows while it loads.
    pub city: ReadSignal<Option<Arc<CityMap>>>,
    /// The connection of the page: the worse one of its streams.
    pub connection: ReadSignal<Connection>,
    /// `Failed` with the reason while the newest fleet stream was refused, else `Idle`.
    pub refusal: ReadSignal<RemoteData<()>>,
    /// The newest rides.
    pub rides: ReadSignal<RideList>,
    /// The ride that the person follows.
    pub followed: ReadSignal<Option<FollowedRide>>,
    /// The quote for the chosen pickup and drop-off.
    pub quote: ReadSignal<RemoteData<Quote>>,
    /// The newest booking or cancellation, while it runs or if it failed.
    pub action: ReadSignal<RemoteData<()>>,
    /// The result of the newest street search.
    pub places: ReadSignal<RemoteData<Vec<Place>>>,
    /// The identity of the page at the server.
    pub identity: ReadSignal<Identity>,
    /// The newest sign-in with a token, while it runs or if it failed.
    pub sign_in: ReadSignal<RemoteData<()>>,
    /// The cars.
    pub fleet: StoredValue<Rc<RefCell<FleetModel>>, LocalStorage>,
    write: Writers,
}

/// The write halves of the store's signals.
#[derive(Clone, Copy)]
struct Writers {
    city: WriteSignal<Option<Arc<CityMap>>>,
    connection: WriteSignal<Connection>,
    refusal: WriteSignal<RemoteData<()>>,
    rides: WriteSignal<RideList>,
    followed: WriteSignal<Option<FollowedRide>>,
    quote: WriteSignal<RemoteData<Quote>>,
    action: WriteSignal<RemoteData<()>>,
    places: WriteSignal<RemoteData<Vec<Place>>>,
    identity: WriteSignal<Identity>,
    sign_in: WriteSignal<RemoteData<()>>,
    connections: StoredValue<StreamConnections>,
}

/// The connections of both streams, from which [`Store::connection`] is derived.
#[derive(Clone, Copy)]
struct StreamConnections {
    fleet: Connection,
    /// `None` unless a ride is followed that has not ended.
    ride: Option<Connection>,
}

/// A change of the state.
#[derive(Clone, PartialEq, Debug)]
pub enum Update {
    /// More of the city, or another city.
    City(Arc<CityMap>),
    /// The state of the fleet stream. It is always open, and so shows the state of the page.
    Connection(Connection),
    /// `Failed` if the newest fleet stream was refused, else `Idle`.
    Refusal(RemoteData<()>),
    /// The state of the followed ride's stream; `None` if there is no such stream.
    RideConnection(Option<Connection>),
    /// A message of the fleet stream.
    Fleet {
        /// The message.
        frame: FleetFrame,
        /// The time of its arrival.
        now: Millis,
    },
    /// Forget all cars. The next message of the fleet stream has every car.
    ForgetCars,
    /// From now on the fleet stream covers only the cells of these bounds.
    Viewport(Bounds),
    /// The response to a request for the newest rides.
    Rides {
        /// The rides, newest first, and whether there are older ones.
        answer: Result<(Vec<Ride>, bool), Failure>,
        /// The time of its arrival.
        now: Millis,
    },
    /// Forget the rides, because the page has another identity.
    ForgetRides,
    /// One ride, as of its newest event.
    Ride(Ride),
    /// The ride that the person follows, if any.
    Followed(Option<FollowedRide>),
    /// The state of the quote.
    Quote(RemoteData<Quote>),
    /// The state of a booking or a cancellation.
    Action(RemoteData<()>),
    /// The state of a street search.
    Places(RemoteData<Vec<Place>>),
    /// The new identity of the page at the server.
    Identity(Identity),
    /// The state of a sign-in with a token.
    SignIn(RemoteData<()>),
}

impl Store {
    /// Returns an empty store that nothing fills.
    pub fn new() -> Self {
        let (city, set_city) = signal(None);
        let (connection, set_connection) = signal(Connection::NEW);
        let (refusal, set_refusal) = signal(RemoteData::Idle);
        let (rides, set_rides) = signal(RideList::default());
        let (followed, set_followed) = signal(None);
        let (quote, set_quote) = signal(RemoteData::Idle);
        let (action, set_action) = signal(RemoteData::Idle);
        let (places, set_places) = signal(RemoteData::Idle);
        let (identity, set_identity) = signal(Identity::Anonymous);
        let (sign_in, set_sign_in) = signal(RemoteData::Idle);
        let write = Writers {
            city: set_city,
            connection: set_connection,
            refusal: set_refusal,
            rides: set_rides,
            followed: set_followed,
            quote: set_quote,
            action: set_action,
            places: set_places,
            identity: set_identity,
            sign_in: set_sign_in,
            connections: StoredValue::new(StreamConnections { fleet: Connection::NEW, ride: None }),
        };
        let fleet = StoredValue::new_local(Rc::default());
        Self {
            city,
            connection,
            refusal,
            rides,
            followed,
            quote,
            action,
            places,
            identity,
            sign_in,
            fleet,
            write,
        }
    }

    /// Applies a change.
    pub fn apply(&self, update: Update) {
        match update {
            Update::City(city) => self.write.city.set(Some(city)),
            Update::Connection(fleet) => {
                self.set_connections(StreamConnections { fleet, ..self.write.connections.get_value() });
            }
            Update::Refusal(refusal) => self.write.refusal.set(refusal),
            Update::RideConnection(ride) => {
                self.set_connections(StreamConnections { ride, ..self.write.connections.get_value() });
            }
            Update::Fleet { frame, now } => {
                self.fleet.with_value(|fleet| fleet.borrow_mut().apply(&frame, now));
            }
            Update::ForgetCars => self.fleet.with_value(|fleet| fleet.borrow_mut().forget_cars()),
            Update::Viewport(bounds) => self.fleet.with_value(|fleet| fleet.borrow_mut().keep_within(bounds)),
            Update::Rides { answer, now } => {
                self.write.rides.update(|list| apply_list_response(list, answer, now));
            }
            Update::ForgetRides => self.write.rides.set(RideList::default()),
            Update::Ride(ride) => self.write.rides.update(|list| merge_ride(&mut list.rides, ride)),
            Update::Followed(followed) => self.write.followed.set(followed),
            Update::Quote(quote) => self.write.quote.set(quote),
            Update::Action(action) => self.write.action.set(action),
            Update::Places(places) => self.write.places.set(places),
            Update::Identity(identity) => self.write.identity.set(identity),
            Update::SignIn(sign_in) => self.write.sign_in.set(sign_in),
        }
    }

    fn set_connections(&self, kept: StreamConnections) {
        self.write.connections.set_value(kept);
        let page = kept.ride.map_or(kept.fleet, |ride| kept.fleet.or_worse(ride));
        set_if_new(self.connection, self.write.connection, page);
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(read: ReadSignal<T>, write: WriteSignal<T>, value: T) {
    if read.with_untracked(|old| *old != value) {
        write.set(value);
    }
}

/// Applies the response to a request for the newest rides.
fn apply_list_response(list: &mut RideList, answer: Result<(Vec<Ride>, bool), Failure>, now: Millis) {
    match answer {
        Ok((newest, has_more)) => {
            let rides = merge_page(&list.rides, newest);
            *list = RideList { rides, has_more, received_at: Some(now), failure: None };
        }
        Err(failure) => list.failure = Some(failure),
    }
}

/// Returns the newest page of rides. A ride whose later events are already known stays as it is.
fn merge_page(known: &[Ride], newest: Vec<Ride>) -> Vec<Ride> {
    let newer = |ride: Ride| match known.iter().find(|other| other.id == ride.id) {
        Some(other) if other.version > ride.version => other.clone(),
        _ => ride,
    };
    newest.into_iter().map(newer).collect()
}

/// Replaces the ride in the list if this one is newer, or inserts it first.
fn merge_ride(rides: &mut Vec<Ride>, ride: Ride) {
    // Lists have no routes: a hundred routes would be megabytes.
    let ride = Ride { route: Vec::new(), ..ride };
    match rides.iter_mut().find(|other| other.id == ride.id) {
        Some(other) if other.version <= ride.version => *other = ride,
        Some(_) => {}
        None => rides.insert(0, ride),
    }
}

/// A command of the person. Panels and the map send commands; the results arrive in the store.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Ask for a quote.
    Quote {
        /// The pickup.
        pickup: LatLng,
        /// The drop-off.
        dropoff: LatLng,
        /// Regular or pool.
        kind: RideType,
    },
    /// Forget the quote.
    ClearQuote,
    /// Book a ride and follow it.
    Book {
        /// The pickup.
        pickup: LatLng,
        /// The drop-off.
        dropoff: LatLng,
        /// Regular or pool.
        kind: RideType,
    },
    /// Cancel a ride.
    Cancel(RideId),
    /// Follow a ride's events.
    Follow(RideId),
    /// Stop following the ride.
    Unfollow,
    /// Search street names.
    FindPlaces(String),
    /// Watch the cars in these bounds, which the map shows now.
    WatchArea(Bounds),
    /// Try to connect now, without waiting for the next attempt.
    Reconnect,
    /// Clear this failure of the last action.
    Dismiss(Failure),
    /// Sign in with this token.
    SignIn(String),
    /// Sign out. The page becomes anonymous or a guest again.
    SignOut,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Link, RideState};

    fn ride(id: &str, version: u64) -> Ride {
        Ride::bare(id, version, RideState::Requested)
    }

    #[test]
    fn an_old_list_does_not_undo_newer_events() {
        let owner = Owner::new();
        owner.set();
        let store = Store::new();
        let list = |rides| store.apply(Update::Rides { answer: Ok((rides, false)), now: 0.0 });
        list(vec![ride("b", 1), ride("a", 1)]);
        store.apply(Update::Ride(ride("a", 4)));
        store.apply(Update::Ride(ride("c", 1)));
        list(vec![ride("c", 2), ride("b", 1), ride("a", 3)]);
        store.apply(Update::Ride(ride("a", 2)));
        assert_eq!(store.rides.get_untracked().rides, [ride("c", 2), ride("b", 1), ride("a", 4)]);
    }

    #[test]
    fn a_look_that_fails_leaves_the_list_as_it_was_and_says_why() {
        let owner = Owner::new();
        owner.set();
        let store = Store::new();
        let full = || Failure { reason: "DISK_FULL".to_owned(), ..Failure::default() };
        let mut told = Vec::new();
        for update in [
            Update::Rides { answer: Err(full()), now: 1.0 },
            Update::Rides { answer: Ok((vec![ride("a", 1)], false)), now: 2.0 },
            Update::Rides { answer: Err(full()), now: 3.0 },
            Update::ForgetRides,
        ] {
            store.apply(update);
            let RideList { rides, received_at: answered_at, failure, .. } = store.rides.get_untracked();
            told.push((rides.len(), answered_at, failure.is_some()));
        }
        assert_eq!(told, [(0, None, true), (1, Some(2.0), false), (1, Some(2.0), true), (0, None, false)]);
    }

    #[test]
    fn the_page_is_not_live_while_the_followed_ride_is_not() {
        let owner = Owner::new();
        owner.set();
        let store = Store::new();
        let connection = |link| Connection { link, last_frame_at: Some(1.0) };
        let (live, waiting) = (connection(Link::Live), connection(Link::Waiting { retry_at: 2.0 }));
        let mut told = Vec::new();
        for update in [
            Update::Connection(live),
            Update::RideConnection(Some(waiting)),
            Update::Connection(live),
            Update::RideConnection(None),
        ] {
            store.apply(update);
            told.push(store.connection.get_untracked());
        }
        assert_eq!(told, [live, waiting, waiting, live]);
    }
}
