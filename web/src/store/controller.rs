//! The controller: it turns commands of the person into calls, and writes the results to the store.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_channel::mpsc;
use grpc_web_fetch::{
    BrowserClock, Client, Fetch, PageEvents, ResumableStream, Signal, Token, is_online, tap::Tap, visibility,
};
use leptos::prelude::*;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::RideId,
    v1,
};
use tonic::{Code, Status};

use super::{
    Command, Store, Update, city,
    decode::{self, WithInvalid},
    follow::FollowedRideState,
    tasks::{LatestTask, SignalSender},
    watch::{FleetWatch, RideWatch, same_cells},
};
use crate::{
    api::{
        self, failure,
        methods::{BOOK, CANCEL, FIND_PLACES, LIST, QUOTE},
        session::Session,
    },
    browser::{self, BrowserStorage},
    model::{Failure, FollowedRide, Identity, Millis, RemoteData, RideType},
    type_erased::spawn,
};

/// The storage key of the followed ride's id, which survives a reload.
const FOLLOWED: &str = "rides.followed";
/// The storage key of the rider's id.
const RIDER: &str = "rides.rider";
/// The time between two requests for the newest rides.
const LIST_EVERY: Millis = 5_000.0;
/// The number of rides in each request.
const LIST_SIZE: u32 = 50;
/// The time without typing after which a street search is sent.
const TYPING: Millis = 250.0;

/// A handle of the controller that accepts commands. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Commands(StoredValue<Rc<Controller>, LocalStorage>);

impl Commands {
    pub(super) fn start(store: Store) -> Self {
        Self(StoredValue::new_local(Controller::start(store)))
    }

    /// Starts a command. Its result arrives in the store.
    pub fn send(self, command: Command) {
        let controller = self.0.get_value();
        controller.handle(command);
    }

    /// Returns the id with which this browser books rides at a server that requires no token.
    pub fn rider_id(self) -> String {
        self.0.with_value(|controller| controller.rider_id.clone())
    }

    /// Returns the record of the newest calls.
    pub fn tap(self) -> Tap {
        self.0.with_value(|controller| controller.client.tap().clone())
    }
}

struct Controller {
    client: Client,
    session: Session<Fetch, BrowserClock>,
    store: Store,
    rider_id: String,
    /// The area that the map shows, and a margin.
    viewport: Rc<Cell<Bounds>>,
    fleet: SignalSender,
    followed: SignalSender,
    quote: LatestTask,
    places: LatestTask,
    city: LatestTask,
    city_streams: Rc<Cell<bool>>,
    /// The number of changes of identity. A response to an earlier identity is dropped.
    identity_changes: Cell<u32>,
    /// A booking whose result is unknown, and its request id. The same booking is sent with the same id, so
    /// that it is made only once.
    uncertain_booking: RefCell<Option<(Booking, String)>>,
}

#[derive(Clone, Copy, PartialEq)]
struct Booking {
    pickup: LatLng,
    dropoff: LatLng,
    kind: RideType,
}

impl Controller {
    fn start(store: Store) -> Rc<Self> {
        let on_identity = move |identity: &Identity| store.apply(Update::Identity(identity.clone()));
        let (client, session) = api::connect(on_identity);
        let controller = Rc::new(Self {
            client,
            session,
            store,
            rider_id: load_rider_id(),
            viewport: Rc::new(Cell::new(initial_viewport())),
            fleet: SignalSender::default(),
            followed: SignalSender::default(),
            quote: LatestTask::default(),
            places: LatestTask::default(),
            city: LatestTask::default(),
            city_streams: Rc::default(),
            identity_changes: Cell::default(),
            uncertain_booking: RefCell::default(),
        });
        controller.load_city();
        controller.listen();
        spawn(controller.clone().keep_listing());
        if let Some(id) = BrowserStorage::Session.get(FOLLOWED) {
            controller.follow(RideId::new(id));
        }
        controller.signal_all(visibility());
        controller
    }

    fn handle(self: Rc<Self>, command: Command) {
        match command {
            Command::Quote { pickup, dropoff, kind } => self.ask_quote(Booking { pickup, dropoff, kind }),
            Command::ClearQuote => {
                self.quote.stop();
                self.store.apply(Update::Quote(RemoteData::Idle));
            }
            Command::Book { pickup, dropoff, kind } => {
                self.act(async move |this| this.book(Booking { pickup, dropoff, kind }).await);
            }
            Command::Cancel(ride) => self.act(async move |this| this.cancel(&ride).await),
            Command::Follow(ride) => {
                self.store.apply(Update::Followed(None));
                self.follow(ride);
            }
            Command::Unfollow => self.unfollow(),
            Command::FindPlaces(query) => self.find_places(&query),
            Command::WatchArea(bounds) => {
                if !same_cells(self.viewport.replace(bounds), bounds) {
                    self.fleet.send(Signal::Reopen);
                }
                self.watch_fleet();
            }
            Command::Reconnect => self.signal_all(Signal::Reconnect),
            Command::Dismiss(failure) => {
                if self.store.action.get_untracked() == RemoteData::Failed(failure) {
                    self.store.apply(Update::Action(RemoteData::Idle));
                }
            }
            Command::SignIn(token) => spawn(async move { self.sign_in(&token).await }),
            Command::SignOut => {
                spawn(self.session.sign_out());
                self.identity_changed();
            }
        }
    }

    /// Runs a booking or a cancellation, unless another one is running.
    fn act(self: Rc<Self>, action: impl AsyncFnOnce(&Rc<Self>) -> Result<(), Failure> + 'static) {
        if self.store.action.with_untracked(RemoteData::is_pending) {
            return;
        }
        self.store.apply(Update::Action(RemoteData::Loading));
        let person = self.identity_changes.get();
        spawn(async move {
            let outcome = action(&self).await.map_or_else(RemoteData::Failed, RemoteData::Ready);
            if self.identity_changes.get() == person {
                self.store.apply(Update::Action(outcome));
            }
        });
    }

    async fn book(self: &Rc<Self>, booking: Booking) -> Result<(), Failure> {
        let request = v1::BookRequest {
            request_id: self.request_id_for(booking),
            pickup: Some(booking.pickup.into()),
            dropoff: Some(booking.dropoff.into()),
            r#type: wire_type(booking.kind).into(),
            rider_id: self.rider_id(),
            passenger_ids: Vec::new(),
        };
        let person = self.identity_changes.get();
        let answer = self.client.unary_with_retry(&BOOK, &request, &|| self.retries_action()).await;
        if self.identity_changes.get() != person {
            // The identity changed meanwhile. The ride is in the list of the person who booked it.
            return Ok(());
        }
        if is_conclusive(&answer) {
            self.uncertain_booking.take();
        }
        let ride = answer.map_err(|status| failure(&status))?.ride.unwrap_or_default();
        let ride = decode::ride(ride)?;
        let id = ride.id.clone();
        self.store.apply(Update::Ride(ride.clone()));
        // The response is shown at once. The events of the ride follow on its stream.
        let followed = FollowedRide { ride, timeline: Vec::new(), head: 0, progress: None, resumed: None };
        self.store.apply(Update::Followed(Some(followed)));
        self.follow(id);
        Ok(())
    }

    /// Returns the rider id for a booking: empty if the page is signed in, since the server then takes it from
    /// the token.
    fn rider_id(&self) -> String {
        match self.store.identity.get_untracked() {
            Identity::SignedIn { .. } => String::new(),
            _ => self.rider_id.clone(),
        }
    }

    /// Signs in with `token`. If the server rejects the token, the identity stays as it is.
    async fn sign_in(self: &Rc<Self>, token: &str) {
        self.store.apply(Update::SignIn(RemoteData::Loading));
        let answer = match Token::parse(token) {
            Some(token) => self.session.sign_in_with(token).await,
            None => Err(Status::invalid_argument(
                "This is not a token: it has letters, digits and dots, and no spaces.",
            )),
        };
        let signed_in = answer.map_err(|status| failure(&status));
        if signed_in.is_ok() {
            self.identity_changed();
        }
        self.store.apply(Update::SignIn(signed_in.map_or_else(RemoteData::Failed, RemoteData::Ready)));
    }

    /// Reopens all streams with the new identity, and clears all state that belongs to the old one.
    fn identity_changed(self: &Rc<Self>) {
        self.signal_all(Signal::Reopen);
        self.signal_all(Signal::Reconnect);
        // Responses to the old identity must not appear.
        self.identity_changes.set(self.identity_changes.get() + 1);
        self.store.apply(Update::ForgetRides);
        self.store.apply(Update::Action(RemoteData::Idle));
        self.store.apply(Update::Refusal(RemoteData::Idle));
        self.store.apply(Update::SignIn(RemoteData::Idle));
        self.list_now();
    }

    fn retries_action(&self) {
        self.store.apply(Update::Action(RemoteData::Retrying));
    }

    /// Returns the request id for `booking`: the old one if this booking's result is unknown, else a new one.
    fn request_id_for(&self, booking: Booking) -> String {
        let mut unsettled = self.uncertain_booking.borrow_mut();
        let old = unsettled.take().filter(|(other, _)| *other == booking);
        unsettled.insert(old.unwrap_or_else(|| (booking, browser::uuid_v7()))).1.clone()
    }

    async fn cancel(&self, ride: &RideId) -> Result<(), Failure> {
        let request = v1::CancelRequest {
            ride_id: ride.as_str().to_owned(),
            // The server takes the actor from the token, or assumes the rider.
            by: v1::Actor::Unspecified.into(),
            reason: String::new(),
        };
        let answer = self.client.unary_with_retry(&CANCEL, &request, &|| self.retries_action()).await;
        let ride = answer.map_err(|status| failure(&status))?.ride.unwrap_or_default();
        self.store.apply(Update::Ride(decode::ride(ride)?));
        Ok(())
    }

    fn ask_quote(self: &Rc<Self>, booking: Booking) {
        self.store.apply(Update::Quote(RemoteData::Loading));
        let this = self.clone();
        self.quote.run(async move {
            let request = v1::QuoteRequest {
                pickup: Some(booking.pickup.into()),
                dropoff: Some(booking.dropoff.into()),
                r#type: wire_type(booking.kind).into(),
            };
            let again = || this.store.apply(Update::Quote(RemoteData::Retrying));
            let answer = this.client.unary_with_retry(&QUOTE, &request, &again).await;
            let quote = answer
                .map_err(|status| failure(&status))
                .and_then(|quote| decode::quote(quote).map_err(Failure::from));
            this.store.apply(Update::Quote(quote.map_or_else(RemoteData::Failed, RemoteData::Ready)));
        });
    }

    fn find_places(self: &Rc<Self>, query: &str) {
        let query = query.trim().to_owned();
        if query.is_empty() {
            self.places.stop();
            self.store.apply(Update::Places(RemoteData::Idle));
            return;
        }
        self.store.apply(Update::Places(RemoteData::Loading));
        let this = self.clone();
        self.places.run(async move {
            browser::sleep(TYPING).await;
            let request = v1::FindPlacesRequest { query, limit: 0 };
            let again = || this.store.apply(Update::Places(RemoteData::Retrying));
            let answer = this.client.unary_with_retry(&FIND_PLACES, &request, &again).await;
            let places = answer.map(|found| warn_invalid(decode::places(found.places)));
            let places = places.map_err(|status| failure(&status));
            this.store.apply(Update::Places(places.map_or_else(RemoteData::Failed, RemoteData::Ready)));
        });
    }

    fn follow(self: &Rc<Self>, ride: RideId) {
        BrowserStorage::Session.set(FOLLOWED, ride.as_str());
        self.store.apply(Update::RideConnection(None));
        let this = self.clone();
        let watch = RideWatch {
            client: self.client.clone(),
            store: self.store,
            ride,
            following: FollowedRideState::default(),
            on_refused: Box::new(move |status| {
                this.unfollow();
                this.store.apply(Update::Action(RemoteData::Failed(failure(status))));
            }),
        };
        self.keep_open(Box::new(watch), self.followed.open());
    }

    fn unfollow(&self) {
        BrowserStorage::Session.remove(FOLLOWED);
        self.followed.close();
        self.store.apply(Update::RideConnection(None));
        self.store.apply(Update::Followed(None));
    }

    /// Opens the fleet stream, unless it is open.
    fn watch_fleet(self: &Rc<Self>) {
        if self.fleet.is_open() {
            return;
        }
        let this = self.clone();
        let again = Cell::new(false);
        let watch = FleetWatch {
            client: self.client.clone(),
            store: self.store,
            viewport: self.viewport.clone(),
            opened_for: self.viewport.get(),
            without_cursors: false,
            live: false,
            on_live: Box::new(move || {
                // After a reconnect the server may be another one, with another city.
                let has_city = this.store.city.with_untracked(Option::is_some);
                if (again.replace(true) || !has_city) && !this.city_streams.get() {
                    this.load_city();
                }
                this.list_now();
            }),
        };
        self.keep_open(Box::new(watch), self.fleet.open());
        self.fleet.send(visibility());
    }

    fn keep_open(&self, stream: Box<dyn ResumableStream>, signals: mpsc::Receiver<Signal>) {
        spawn(self.client.keep_open(stream, is_online(), signals));
    }

    /// Loads the city. The map then sets the area to watch. If loading fails, the fleet stream watches
    /// [`initial_viewport`].
    fn load_city(self: &Rc<Self>) {
        let this = self.clone();
        let on_failure = move || this.watch_fleet();
        self.city.run(city::load(self.client.clone(), self.store, self.city_streams.clone(), on_failure));
    }

    /// Requests the newest rides periodically while the page is visible and live, and renews the page's token.
    async fn keep_listing(self: Rc<Self>) {
        loop {
            if self.session.keep_up().await {
                // A stream ends when the token expires with which it was opened.
                self.signal_all(Signal::Reopen);
            }
            browser::sleep(LIST_EVERY).await;
            if self.store.connection.get_untracked().is_live(browser::now()) && browser::is_visible() {
                self.list().await;
            }
        }
    }

    fn list_now(self: &Rc<Self>) {
        let this = self.clone();
        spawn(async move { this.list().await });
    }

    /// Requests the newest rides. A failure appears beside the list until the next request.
    async fn list(&self) {
        let request = v1::ListRequest { page_size: LIST_SIZE, ..Default::default() };
        let answer = self.client.unary(&LIST, &request).await;
        let answer = answer.map(|list| {
            let has_more = !list.next_page_token.is_empty();
            (warn_invalid(decode::rides(list.rides)), has_more)
        });
        let answer = answer.map_err(|status| failure(&status));
        self.store.apply(Update::Rides { answer, now: browser::now() });
    }

    fn listen(self: &Rc<Self>) {
        let this = self.clone();
        PageEvents::listen(move |signal| this.signal_all(signal)).forget();
        let buffering = self.client.buffering().clone();
        let crowd = move || {
            let mut known = buffering.get();
            known.set_crowded(browser::is_crowded());
            buffering.set(known);
        };
        crowd();
        browser::on_window("crowd", crowd);
    }

    fn signal_all(&self, signal: Signal) {
        self.fleet.send(signal);
        self.followed.send(signal);
    }
}

/// Returns the valid items, and writes the error of the others to the console.
fn warn_invalid<T>((good, wrong): WithInvalid<T>) -> T {
    if let Some(why) = wrong {
        browser::warn_once(&why.to_string());
    }
    good
}

fn wire_type(kind: RideType) -> v1::RideType {
    match kind {
        RideType::Regular => v1::RideType::Regular,
        RideType::Pool => v1::RideType::Pool,
    }
}

/// Returns `true` if the response determines the result of the booking.
/// After any other error an earlier attempt may still have booked the ride, so the same booking keeps its request id.
fn is_conclusive<T>(answer: &Result<T, Status>) -> bool {
    answer.as_ref().map_or_else(|status| status.code() == Code::InvalidArgument, |_| true)
}

/// Returns the rider id of this browser, which is created at the first use.
fn load_rider_id() -> String {
    BrowserStorage::Local.get(RIDER).unwrap_or_else(|| {
        let id = browser::random_uuid();
        BrowserStorage::Local.set(RIDER, &id);
        id
    })
}

fn failure(status: &Status) -> Failure {
    failure::failure(status, browser::now())
}

/// Returns a small area in the ocean. The fleet stream watches it until the map sets its area, because the
/// stream must show whether the server is available even without a map.
fn initial_viewport() -> Bounds {
    let gulf_of_guinea = LatLng::new(0.0, 0.0).ok();
    Bounds::around(gulf_of_guinea).expect("a point on Earth makes a box")
}
