//! What the page knows, in its own words. Generated messages stop at `store`.

use std::sync::Arc;

pub use grpc_web_fetch::Link;
use grpc_web_fetch::StreamState;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::{CarNumber, RideId},
};

/// A point in time: milliseconds on the browser's monotonic clock (`performance.now()`).
pub type Millis = f64;

/// The city to draw. Grows while it loads; `complete` says when it is all there.
#[derive(Clone, PartialEq, Debug)]
pub struct CityMap {
    /// For people: "Helsinki".
    pub name: String,
    /// What the map covers.
    pub bounds: Bounds,
    /// "© OpenStreetMap contributors".
    pub attribution: String,
    /// Changes when the map does.
    pub version: String,
    /// Streets, widest class first.
    pub streets: Vec<Street>,
    /// Buildings, water, parks, squares.
    pub areas: Vec<Area>,
    /// Train, tram and subway tracks.
    pub rails: Vec<Rail>,
    /// Whether everything has arrived.
    pub complete: bool,
}

/// How important a street is, widest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreetClass {
    /// Motorways and trunk roads.
    Motorway,
    /// Primary.
    Primary,
    /// Secondary.
    Secondary,
    /// Tertiary.
    Tertiary,
    /// Residential and unclassified.
    Residential,
    /// Yards, alleys and parking aisles.
    Service,
    /// Not for cars.
    Footway,
}

/// A street, or a piece of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Street {
    /// How important.
    pub class: StreetClass,
    /// May be empty.
    pub name: String,
    /// At least two points.
    pub line: Vec<LatLng>,
    /// Cars follow `line` only forwards.
    pub one_way: bool,
}

/// What an area is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AreaKind {
    /// A building.
    Building,
    /// Sea, lake, river.
    Water,
    /// Park, garden, grass.
    Park,
    /// Square or pedestrian area.
    Square,
}

/// A polygon with holes, filled by the even-odd rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Area {
    /// What it is.
    pub kind: AreaKind,
    /// Closed without repeating the first point.
    pub rings: Vec<Vec<LatLng>>,
    /// May be empty.
    pub name: String,
    /// Of a building; 0: unknown.
    pub height_m: u32,
}

/// What runs on a track.
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
    /// What runs on it.
    pub kind: RailKind,
    /// At least two points.
    pub line: Vec<LatLng>,
}

/// What a car is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CarState {
    /// Free.
    Free,
    /// Has an offer to answer.
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

/// How a car moves between two updates, for the painter to interpolate: at `from` until `from_at`, at `to`
/// from `to_at` on, on a straight line between. Places are unit-Mercator (`tiles::unit_mercator`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarGlide {
    /// Its number in fleet frames.
    pub number: CarNumber,
    /// Where it was drawn when the newest update came.
    pub from: (f64, f64),
    /// Where the newest update says it is.
    pub to: (f64, f64),
    /// Heading at `from`, in turns clockwise from north.
    pub from_turn: f32,
    /// Heading at `to`, in turns; within half a turn of `from_turn`, so that mixing takes the short way.
    pub to_turn: f32,
    /// When the glide begins.
    pub from_at: Millis,
    /// When the glide ends.
    pub to_at: Millis,
    /// What it is doing.
    pub state: CarState,
}

/// How closely a viewport is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Each car.
    #[default]
    Cars,
    /// How many cars each cell holds: each would be more than a screen can show.
    Densities,
}

/// The cars of the cells in view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CarsInView {
    /// How many.
    pub count: usize,
    /// How they are shown.
    pub detail: Detail,
}

/// The kind of ride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RideType {
    /// A car to oneself.
    #[default]
    Regular,
    /// Shared and cheaper.
    Pool,
}

/// Where a ride is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RideState {
    /// Looking for a car.
    Requested,
    /// Offered to a car.
    Offered,
    /// A car is on its way.
    Assigned,
    /// The car waits at the pickup.
    Arrived,
    /// Under way.
    OnTrip,
    /// Over and done.
    Completed,
    /// Called off.
    Cancelled,
    /// No car took it.
    Expired,
}

impl RideState {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired)
    }

    /// Whether it can still be cancelled.
    pub fn can_cancel(self) -> bool {
        matches!(self, Self::Requested | Self::Offered | Self::Assigned | Self::Arrived)
    }
}

/// An exact amount.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Money {
    /// ISO 4217.
    pub currency: String,
    /// Cents, for EUR.
    pub minor_units: i64,
}

/// A point with the name of its street.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// May be empty.
    pub name: String,
    /// Where.
    pub at: LatLng,
}

/// A ride as of its newest event.
#[derive(Clone, PartialEq, Debug)]
pub struct Ride {
    /// Its id.
    pub id: RideId,
    /// Number of the newest event.
    pub version: u64,
    /// Where it is in its life.
    pub state: RideState,
    /// Regular or pool.
    pub kind: RideType,
    /// Who asked for it; may be empty.
    pub rider_id: String,
    /// From.
    pub pickup: Option<Place>,
    /// To. Unknown for rides off the street.
    pub dropoff: Option<Place>,
    /// The car that has it or is offered it.
    pub car_id: Option<i64>,
    /// Its driver; may be empty.
    pub driver_id: String,
    /// Quoted, and once completed, to be paid.
    pub fare: Money,
    /// Of the trip.
    pub distance_m: u32,
    /// Of the trip, in seconds.
    pub duration_s: u32,
    /// Pickup to drop-off. Empty in lists.
    pub route: Vec<LatLng>,
    /// Unix milliseconds.
    pub requested_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Why it was cancelled; may be empty.
    pub cancel_reason: String,
}

#[cfg(test)]
impl Ride {
    /// One of which nothing else is known.
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
    /// Event number, from 1 without gaps.
    pub version: u64,
    /// Unix milliseconds.
    pub at: i64,
    /// For people, in one short line: "Offered to car 17".
    pub text: String,
    /// The ride's state after it.
    pub state: RideState,
}

/// How far the car is.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    /// Its number in fleet frames.
    pub car: CarNumber,
    /// Where it is.
    pub at: LatLng,
    /// Seconds to the pickup, or on the trip to the drop-off.
    pub eta_s: u32,
    /// Metres left.
    pub remaining_m: u32,
    /// The way it is expected to take.
    pub route: Arc<Vec<LatLng>>,
}

/// The ride that the person follows.
#[derive(Clone, PartialEq, Debug)]
pub struct FollowedRide {
    /// As of its newest event.
    pub ride: Ride,
    /// Every event, in order.
    pub timeline: Vec<TimelineEntry>,
    /// Number of the newest event that the server has told of, when its last stream opened.
    pub head: u64,
    /// While a car is under way.
    pub progress: Option<Progress>,
    /// After a reconnect.
    pub resumed: Option<Resumed>,
}

impl FollowedRide {
    /// How many events are not in the timeline that should be: up to the newest one that is known of.
    pub fn missed(&self) -> u64 {
        self.head.max(self.ride.version).saturating_sub(self.timeline.len() as u64)
    }
}

/// What a reconnect brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resumed {
    /// The version it went on from.
    pub at_version: u64,
    /// Events between that and the head when the stream opened: all of them were then sent.
    pub caught_up: u64,
    /// False: the server could not resume, and the whole ride came again.
    pub exact: bool,
    /// Events that came twice since the ride is followed, and were dropped.
    pub repeats: u64,
    /// Times that an event was left out, and was asked for again.
    pub gaps: u64,
}

/// What a ride would cost.
#[derive(Clone, PartialEq, Debug)]
pub struct Quote {
    /// To pay.
    pub fare: Money,
    /// Seconds until a car is at the pickup; `None`: no car is free.
    pub pickup_eta_s: Option<u32>,
    /// Seconds of trip.
    pub trip_s: u32,
    /// Metres of trip.
    pub trip_m: u32,
    /// The way.
    pub route: Vec<LatLng>,
    /// Snapped to the street.
    pub pickup: Place,
    /// Snapped to the street.
    pub dropoff: Place,
}

/// A live stream sends something every 4 s: older than this, it is not live, whatever the socket says.
const STALE_AFTER: Millis = 5_000.0;

/// How a stream is, or the page with all of its streams.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connection {
    /// What it is doing.
    pub link: Link,
    /// When the newest frame or heartbeat came, of this attempt or of one before it.
    pub heard_at: Option<Millis>,
}

impl From<StreamState> for Connection {
    fn from(StreamState { link, heard_at }: StreamState) -> Self {
        Self { link, heard_at }
    }
}

impl Connection {
    /// Nothing has come yet.
    pub const NEW: Self = Self { link: Link::Connecting, heard_at: None };

    /// Whether what it brought is what is so now.
    pub fn is_live(self, now: Millis) -> bool {
        self.link.is_live() && self.heard_at.is_some_and(|at| now - at <= STALE_AFTER)
    }

    /// A page is as live as the worse of its streams; `self` is the one that always speaks.
    pub fn or_worse(self, other: Self) -> Self {
        let other_is_fine = self.heard_at.is_some_and(|at| other.is_live(at));
        if self.link.is_live() && !other_is_fine { other } else { self }
    }
}

/// Rides are asked for every 5 s: what an answer older than this told may not be so now.
const LIST_STALE_AFTER: Millis = 12_000.0;

/// The newest rides, and how good that knowledge is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RideList {
    /// Newest first.
    pub rides: Vec<Ride>,
    /// True if there are older ones.
    pub has_more: bool,
    /// When the newest answer came; `None` before the first.
    pub answered_at: Option<Millis>,
    /// Why the newest look brought nothing, if it did not.
    pub failure: Option<Failure>,
}

impl RideList {
    /// Whether it tells what is so now.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.failure.is_none() && self.answered_at.is_some_and(|at| now - at <= LIST_STALE_AFTER)
    }
}

/// A failed call, for people and for the form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Failure {
    /// One sentence.
    pub text: String,
    /// gRPC status code.
    pub code: i32,
    /// Machine-readable reason from ErrorInfo; may be empty.
    pub reason: String,
    /// The field it is about ("pickup", "dropoff"), from BadRequest; may be empty.
    pub field: String,
    /// From when on the same may pass, as the server says in RetryInfo.
    pub retry_at: Option<Millis>,
    /// What the server calls this call in its log, from RequestInfo; may be empty.
    pub request_id: String,
}

/// What the server takes a caller for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Has their own rides, and sees no others.
    Rider,
    /// Has a car.
    Driver,
    /// May do and see everything.
    Dispatcher,
}

/// Who the page is to the server.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Standing {
    /// Nobody: it shows no token, and the server has not asked for one.
    #[default]
    Nobody,
    /// The server gave the page a token, or a person did.
    SignedIn {
        /// What it is for. `None` until the server has said so.
        role: Option<Role>,
        /// Who a person said to be; empty for a guest.
        subject: String,
    },
    /// The server asks for a token, and refused the one it was shown, or to give one out.
    Refused(Failure),
}

/// Something asked of the server: idle, asked, answered or failed.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Remote<T> {
    /// Nothing was asked.
    #[default]
    Idle,
    /// The answer is on its way.
    Loading,
    /// The server could not be reached, and is asked again.
    Retrying,
    /// Here it is.
    Ready(T),
    /// It failed.
    Failed(Failure),
}

impl<T> Remote<T> {
    /// Whether an answer is still to come.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Loading | Self::Retrying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(heard_at: Millis) -> Connection {
        Connection { link: Link::Live, heard_at: Some(heard_at) }
    }

    #[test]
    fn an_old_frame_is_never_live() {
        assert!(live(0.0).is_live(5_000.0) && !live(0.0).is_live(5_001.0));
        assert!(!Connection { link: Link::Connecting, heard_at: Some(0.0) }.is_live(1.0));
    }

    #[test]
    fn a_list_is_as_good_as_the_newest_look() {
        let mut list = RideList::default();
        assert!(!list.is_fresh(0.0), "nobody has looked");
        list.answered_at = Some(0.0);
        assert!(list.is_fresh(12_000.0) && !list.is_fresh(12_001.0));
        list.failure = Some(Failure::default());
        assert!(!list.is_fresh(1.0));
    }

    #[test]
    fn a_page_is_as_live_as_the_worse_of_its_streams() {
        let waiting = Connection { link: Link::Waiting { retry_at: 9.0 }, heard_at: Some(1.0) };
        let offline = Connection { link: Link::Offline, heard_at: None };
        assert_eq!(live(4_000.0).or_worse(live(0.0)), live(4_000.0), "heartbeats are 4 s apart");
        assert_eq!(live(6_000.0).or_worse(live(0.0)), live(0.0));
        assert_eq!(live(2.0).or_worse(waiting), waiting);
        assert_eq!(offline.or_worse(live(2.0)), offline);
    }
}
