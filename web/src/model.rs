//! The page's own data model, which panels and map use. `store` converts the generated messages to it.

use std::sync::Arc;

pub use grpc_web_fetch::Link;
use grpc_web_fetch::StreamState;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::{CarNumber, RideId},
};

/// A point in time: milliseconds on the browser's monotonic clock (`performance.now()`).
pub type Millis = f64;

/// The city map, which grows while it loads.
#[derive(Clone, PartialEq, Debug)]
pub struct CityMap {
    /// The name for people: "Helsinki".
    pub name: String,
    /// The area that the map covers.
    pub bounds: Bounds,
    /// The attribution that must be shown: "© OpenStreetMap contributors".
    pub attribution: String,
    /// An identifier that changes when the map does.
    pub version: String,
    /// Streets, widest class first once the map is complete.
    pub streets: Vec<Street>,
    /// Buildings, water, parks, squares.
    pub areas: Vec<Area>,
    /// Train, tram and subway tracks.
    pub rails: Vec<Rail>,
    /// `true` once everything has arrived.
    pub complete: bool,
}

/// The importance of a street, most important first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreetClass {
    /// Motorways and trunk roads.
    Motorway,
    /// Primary roads.
    Primary,
    /// Secondary roads.
    Secondary,
    /// Tertiary roads.
    Tertiary,
    /// Residential and unclassified streets.
    Residential,
    /// Yards, alleys and parking aisles.
    Service,
    /// Ways that are not for cars.
    Footway,
}

/// A street, or a piece of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Street {
    /// The importance of the street.
    pub class: StreetClass,
    /// The name; may be empty.
    pub name: String,
    /// At least two points.
    pub line: Vec<LatLng>,
    /// `true` if cars may follow `proxied_client` only forwards.
    pub one_way: bool,
}

/// The kind of an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AreaKind {
    /// A building.
    Building,
    /// Sea, lake or river.
    Water,
    /// Park, garden or grass.
    Park,
    /// Square or pedestrian area.
    Square,
}

/// A polygon with holes, filled by the even-odd rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Area {
    /// The kind.
    pub kind: AreaKind,
    /// The outline and the holes, closed without repeating the first point.
    pub rings: Vec<Vec<LatLng>>,
    /// The name; may be empty.
    pub name: String,
    /// The height of a building in metres; 0 if unknown.
    pub height_m: u32,
}

/// The kind of trains that use a track.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RailKind {
    /// Trains.
    Train,
    /// Trams.
    Tram,
    /// The metro.
    Subway,
}

/// A track.
#[derive(Clone, PartialEq, Debug)]
pub struct Rail {
    /// The kind of trains that use it.
    pub kind: RailKind,
    /// At least two points.
    pub line: Vec<LatLng>,
}

/// The state of a car.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CarState {
    /// Free to take a ride.
    Free,
    /// Has an offer that its driver has not answered yet.
    Offered,
    /// On the way to a pickup.
    ToPickup,
    /// Waiting at the pickup.
    AtPickup,
    /// Passengers aboard.
    OnTrip,
    /// Takes no rides.
    OffDuty,
}

/// The movement of a car between two updates, which the painter interpolates. The car is at `from` until
/// `from_at`, at `to` from `to_at` on, and on the straight line between them meanwhile. Positions are
/// unit-Mercator (`tiles::unit_mercator`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarGlide {
    /// The number of the car in fleet frames.
    pub number: CarNumber,
    /// The position where the car was drawn when the newest update arrived.
    pub from: (f64, f64),
    /// The position in the newest update.
    pub to: (f64, f64),
    /// The heading at `from`, in turns clockwise from north.
    pub from_turn: f32,
    /// The heading at `to`, in turns. It is within half a turn of `from_turn`, so that interpolation takes the
    /// short way.
    pub to_turn: f32,
    /// The beginning of the glide.
    pub from_at: Millis,
    /// The end of the glide.
    pub to_at: Millis,
    /// The state of the car.
    pub state: CarState,
}

/// The detail in which a viewport is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Each car.
    #[default]
    Cars,
    /// The number of cars in each cell, where single cars would be more than a screen can show.
    Densities,
}

/// The cars on the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CarsInView {
    /// The number of cars.
    pub count: usize,
    /// The detail in which they are shown.
    pub detail: Detail,
}

/// The kind of ride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RideType {
    /// A car for one party.
    #[default]
    Regular,
    /// A shared car, which is cheaper.
    Pool,
}

/// The state of a ride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RideState {
    /// Waiting for a car.
    Requested,
    /// Offered to a car.
    Offered,
    /// A car is on its way to the pickup.
    Assigned,
    /// The car waits at the pickup.
    Arrived,
    /// The passengers are in the car.
    OnTrip,
    /// Finished at the drop-off.
    Completed,
    /// Cancelled.
    Cancelled,
    /// No car took the ride in time.
    Expired,
}

impl RideState {
    /// Returns `true` if the ride has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired)
    }

    /// Returns `true` if the ride can still be cancelled.
    pub fn can_cancel(self) -> bool {
        matches!(self, Self::Requested | Self::Offered | Self::Assigned | Self::Arrived)
    }
}

/// An exact amount of money.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Money {
    /// The currency code of ISO 4217.
    pub currency: String,
    /// The amount in the smallest unit, for example cents.
    pub minor_units: i64,
}

/// A point with the name of its street.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// The name; may be empty.
    pub name: String,
    /// The position.
    pub at: LatLng,
}

/// A ride as of its newest event.
#[derive(Clone, PartialEq, Debug)]
pub struct Ride {
    /// The id.
    pub id: RideId,
    /// The number of the newest event.
    pub version: u64,
    /// The state.
    pub state: RideState,
    /// Regular or pool.
    pub kind: RideType,
    /// The rider; may be empty.
    pub rider_id: String,
    /// The pickup.
    pub pickup: Option<Place>,
    /// The drop-off. `None` for rides that began on the street.
    pub dropoff: Option<Place>,
    /// The car that has the ride or an offer for it.
    pub car_id: Option<i64>,
    /// The driver of that car; may be empty.
    pub driver_id: String,
    /// The quoted fare or, once the ride is completed, the fare to pay.
    pub fare: Money,
    /// The length of the trip in metres.
    pub distance_m: u32,
    /// The duration of the trip in seconds.
    pub duration_s: u32,
    /// The route from pickup to drop-off. Empty in lists.
    pub route: Vec<LatLng>,
    /// The time of the request, in Unix milliseconds.
    pub requested_at: i64,
    /// The time of the newest event, in Unix milliseconds.
    pub updated_at: i64,
    /// The reason of the cancellation; may be empty.
    pub cancel_reason: String,
}

#[cfg(test)]
impl Ride {
    /// Returns a ride of which nothing else is known.
    pub(crate) fn bare(id: &str, version: u64, state: RideState) -> Self {
        Self {
            id: RideId::new(id),
            version,
            state,
            kind: RideType::Regular,
            rider_id: String::new(),
            pickup: None,
            dropoff: None,
            car_id: None,
            driver_id: String::new(),
            fare: Money::default(),
            distance_m: 0,
            duration_s: 0,
            route: Vec::new(),
            requested_at: 0,
            updated_at: 0,
            cancel_reason: String::new(),
        }
    }
}

/// One line of a ride's timeline.
#[derive(Clone, PartialEq, Debug)]
pub struct TimelineEntry {
    /// The event number, from 1 without gaps.
    pub version: u64,
    /// The time of the event, in Unix milliseconds.
    pub at: i64,
    /// One short line for people: "Offered to car 17".
    pub text: String,
    /// The ride's state after the event.
    pub state: RideState,
}

/// The rest of the way of a car to the pickup or the drop-off.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    /// The number of the car in fleet frames.
    pub car: CarNumber,
    /// The position of the car.
    pub at: LatLng,
    /// Seconds to the pickup or, on the trip, to the drop-off.
    pub eta_s: u32,
    /// Metres to the pickup or the drop-off.
    pub remaining_m: u32,
    /// The route that the car is expected to take.
    pub route: Arc<Vec<LatLng>>,
}

/// The ride that the person follows.
#[derive(Clone, PartialEq, Debug)]
pub struct FollowedRide {
    /// The ride as of its newest event.
    pub ride: Ride,
    /// Every event, in order.
    pub timeline: Vec<TimelineEntry>,
    /// The number of the newest event when the last stream opened, as the server reported it.
    pub head: u64,
    /// The progress of the assigned car, from the assignment to the end of the trip.
    pub progress: Option<Progress>,
    /// The result of the newest reconnect, if there was one.
    pub resumed: Option<Resumed>,
}

impl FollowedRide {
    /// Returns the number of events that exist and are not in the timeline yet.
    pub fn missed(&self) -> u64 {
        self.head.max(self.ride.version).saturating_sub(self.timeline.len() as u64)
    }
}

/// The result of a reconnect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resumed {
    /// The version from which the new stream continued.
    pub at_version: u64,
    /// The number of events between that version and the head when the stream opened. The server then sends all
    /// of them.
    pub caught_up: u64,
    /// `true` if the server resumed the stream, `false` if it sends the whole ride again.
    pub exact: bool,
    /// The number of events that arrived twice since the ride is followed, and were dropped.
    pub repeats: u64,
    /// The number of gaps in the events, each of which was requested again.
    pub gaps: u64,
}

/// A price and a route for a ride that is not booked yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Quote {
    /// The fare to pay.
    pub fare: Money,
    /// Seconds until a car is at the pickup. `None` if no car is free.
    pub pickup_eta_s: Option<u32>,
    /// The duration of the trip in seconds.
    pub trip_s: u32,
    /// The length of the trip in metres.
    pub trip_m: u32,
    /// The route.
    pub route: Vec<LatLng>,
    /// The pickup, snapped to the street.
    pub pickup: Place,
    /// The drop-off, snapped to the street.
    pub dropoff: Place,
}

/// A live stream sends a message at least every 4 s. A stream that has sent nothing for longer than this is not
/// live, even if its socket is open.
const STALE_AFTER: Millis = 5_000.0;

/// The state of one stream, or of the page with all of its streams.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connection {
    /// The state of the link.
    pub link: Link,
    /// The time of the newest frame or heartbeat, of any attempt.
    pub last_frame_at: Option<Millis>,
}

impl From<StreamState> for Connection {
    fn from(StreamState { link, heard_at }: StreamState) -> Self {
        Self { link, last_frame_at: heard_at }
    }
}

impl Connection {
    /// The state before the first frame.
    pub const NEW: Self = Self { link: Link::Connecting, last_frame_at: None };

    /// Returns `true` if the data of this connection is current at `now`.
    pub fn is_live(self, now: Millis) -> bool {
        self.link.is_live() && self.last_frame_at.is_some_and(|at| now - at <= STALE_AFTER)
    }

    /// Returns the worse of two connections. `self` is the fleet stream, whose heartbeats are the measure of
    /// time: `other` is judged by the time of the last of them.
    pub fn or_worse(self, other: Self) -> Self {
        let other_is_fine = self.last_frame_at.is_some_and(|at| other.is_live(at));
        if self.link.is_live() && !other_is_fine { other } else { self }
    }
}

/// The list of rides is requested every 5 s. A response older than this is not current any more.
const LIST_STALE_AFTER: Millis = 12_000.0;

/// The newest rides, and whether they are current.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RideList {
    /// The rides, newest first.
    pub rides: Vec<Ride>,
    /// `true` if there are older rides.
    pub has_more: bool,
    /// The time of the newest response; `None` before the first.
    pub received_at: Option<Millis>,
    /// The failure of the newest request, if it failed.
    pub failure: Option<Failure>,
}

impl RideList {
    /// Returns `true` if the list is current at `now`.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.failure.is_none() && self.received_at.is_some_and(|at| now - at <= LIST_STALE_AFTER)
    }
}

/// A failed call, for people and for the form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Failure {
    /// One sentence.
    pub text: String,
    /// The gRPC status code.
    pub code: i32,
    /// The machine-readable reason from `ErrorInfo`; may be empty.
    pub reason: String,
    /// The field that caused the failure ("pickup", "dropoff"), from `BadRequest`; may be empty.
    pub field: String,
    /// The earliest time of the next attempt, from `RetryInfo`.
    pub retry_at: Option<Millis>,
    /// The id of the call in the server's log, from `RequestInfo`; may be empty.
    pub request_id: String,
}

/// The role of a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Has rides, and sees no others.
    Rider,
    /// Has a car.
    Driver,
    /// May see and do everything.
    Dispatcher,
}

/// The identity of the page at the server.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Identity {
    /// Anonymous: the page sends no token, and the server has not asked for one.
    #[default]
    Anonymous,
    /// Signed in, with a token that the server issued or that a person entered.
    SignedIn {
        /// The role in the token. `None` until the server has reported it.
        role: Option<Role>,
        /// The subject of the token; empty for a guest.
        subject: String,
    },
    /// Refused: the server requires a token, and rejected the page's token or did not issue one.
    Refused(Failure),
}

/// The state of a request to the server.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum RemoteData<T> {
    /// Nothing was requested.
    #[default]
    Idle,
    /// The response has not arrived yet.
    Loading,
    /// The server could not be reached, and the request is sent again.
    Retrying,
    /// The result.
    Ready(T),
    /// The failure.
    Failed(Failure),
}

impl<T> RemoteData<T> {
    /// Returns `true` while a response is expected.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Loading | Self::Retrying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(heard_at: Millis) -> Connection {
        Connection { link: Link::Live, last_frame_at: Some(heard_at) }
    }

    #[test]
    fn an_old_frame_is_never_live() {
        assert!(live(0.0).is_live(5_000.0) && !live(0.0).is_live(5_001.0));
        assert!(!Connection { link: Link::Connecting, last_frame_at: Some(0.0) }.is_live(1.0));
    }

    #[test]
    fn a_list_is_as_good_as_the_newest_look() {
        let mut list = RideList::default();
        assert!(!list.is_fresh(0.0), "nothing was requested yet");
        list.received_at = Some(0.0);
        assert!(list.is_fresh(12_000.0) && !list.is_fresh(12_001.0));
        list.failure = Some(Failure::default());
        assert!(!list.is_fresh(1.0));
    }

    #[test]
    fn a_page_is_as_live_as_the_worse_of_its_streams() {
        let waiting = Connection { link: Link::Waiting { retry_at: 9.0 }, last_frame_at: Some(1.0) };
        let offline = Connection { link: Link::Offline, last_frame_at: None };
        assert_eq!(live(4_000.0).or_worse(live(0.0)), live(4_000.0), "heartbeats are 4 s apart");
        assert_eq!(live(6_000.0).or_worse(live(0.0)), live(0.0));
        assert_eq!(live(2.0).or_worse(waiting), waiting);
        assert_eq!(offline.or_worse(live(2.0)), offline);
    }
}
