//! Conversion of generated messages to the page's data model. Malformed input never panics: it is an error, or
//! one car, street or ride less on the screen.

use bytes::Bytes;
use rides_proto::{
    convert::unpack_path,
    geo::{Bounds, LatLng},
    ids::{CarNumber, RideId},
    tiles::{CELL_ZOOM, Cell},
    v1,
};
use tonic::{Code, Status};

use super::fleet::{CarMove, CarReport, CellUpdate, FleetFrame};
use crate::model::{
    Area, AreaKind, CarState, Detail, Failure, Money, Place, Quote, Rail, RailKind, Ride, RideState,
    RideType, Street, StreetClass,
};

/// A description of the invalid part of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server sent {0}")]
pub struct Malformed(&'static str);

impl Malformed {
    /// The first message of the map, with its properties, is missing.
    pub(super) const MAP_WITHOUT_BEGINNING: Self = Self("a map without its beginning");
    /// The first event of the ride is missing.
    pub(super) const RIDE_WITHOUT_BEGINNING: Self = Self("a ride without its beginning");
}

type DecodeResult<T> = Result<T, Malformed>;

/// A result with the valid items, and the last error if some items were invalid.
pub type WithInvalid<T> = (T, Option<Malformed>);

/// Collects the valid items, and the last error.
fn collect_valid<T>(items: impl IntoIterator<Item = DecodeResult<T>>) -> WithInvalid<Vec<T>> {
    let mut wrong = None;
    let good = items.into_iter().filter_map(|item| item.map_err(|why| wrong = Some(why)).ok()).collect();
    (good, wrong)
}

/// Decodes a message of the fleet stream. Invalid cells are left out.
///
/// # Errors
/// If `message` is not a valid protobuf message.
pub fn fleet_frame(message: Bytes) -> Result<WithInvalid<FleetFrame>, Status> {
    grpc_web_fetch::decode(message).map(frame_of)
}

fn frame_of(message: v1::WatchFleetResponse) -> WithInvalid<FleetFrame> {
    let (cells, wrong) = collect_valid(message.cells.iter().map(cell_update));
    let (densities, misplaced) =
        collect_valid(message.densities.iter().map(|density| Ok((cell(density.cell)?, density.cars))));
    let detail = match message.detail() {
        v1::MapDetail::Unspecified => None,
        v1::MapDetail::Cars => Some(Detail::Cars),
        v1::MapDetail::Densities => Some(Detail::Densities),
    };
    let is_first = !message.epoch.is_empty();
    let levels = match message.density_zoom {
        0 => 0,
        zoom => CELL_ZOOM.saturating_sub(zoom),
    };
    let frame = FleetFrame {
        time: unix_millis(message.time.as_ref()) as f64,
        epoch: is_first.then_some(message.epoch),
        tick_interval: message.tick_interval.as_ref().map(|interval| seconds(interval) * 1e3),
        levels: is_first.then_some(levels),
        detail,
        cells,
        densities,
    };
    (frame, wrong.or(misplaced))
}

fn cell(number: u32) -> DecodeResult<Cell> {
    Cell::new(number).ok_or(Malformed("a cell that is not on Earth"))
}

fn cell_update(frame: &v1::CellFrame) -> DecodeResult<CellUpdate> {
    let cell = cell(frame.cell)?;
    let count = frame.cars.len();
    let columns = [frame.dx.len(), frame.dy.len(), frame.headings.len(), frame.states.len()];
    if columns != [count; 4] {
        return Err(Malformed("a cell whose columns differ in length"));
    }
    let cars = (0..count).map(|i| CarReport {
        number: CarNumber(frame.cars[i]),
        at: cell.point(frame.dx[i], frame.dy[i]),
        turn: turn(frame.headings[i]),
        state: car_state(frame.states[i]),
    });
    let count = frame.moved.len();
    if [frame.moved_east.len(), frame.moved_south.len(), frame.moved_headings.len()] != [count; 3] {
        return Err(Malformed("a cell whose columns differ in length"));
    }
    let moved = (0..count).map(|i| CarMove {
        number: CarNumber(frame.moved[i]),
        way: (frame.moved_east[i], frame.moved_south[i]),
        turn: turn(frame.moved_headings[i]),
    });
    Ok(CellUpdate {
        cell,
        tick: frame.tick,
        snapshot: frame.snapshot,
        cars: cars.collect(),
        moved: moved.collect(),
        left: frame.left.iter().copied().map(CarNumber).collect(),
    })
}

fn turn(heading: u32) -> f32 {
    (heading % 128) as f32 / 128.0
}

/// Converts a car's state. A state that this page does not know becomes `OffDuty`.
fn car_state(state: i32) -> CarState {
    match v1::CarState::try_from(state) {
        Ok(v1::CarState::Free) => CarState::Free,
        Ok(v1::CarState::Offered) => CarState::Offered,
        Ok(v1::CarState::ToPickup) => CarState::ToPickup,
        Ok(v1::CarState::AtPickup) => CarState::AtPickup,
        Ok(v1::CarState::OnTrip) => CarState::OnTrip,
        Ok(v1::CarState::OffDuty | v1::CarState::Unspecified) | Err(_) => CarState::OffDuty,
    }
}

pub(super) fn streets(streets: Vec<v1::Street>) -> WithInvalid<Vec<Street>> {
    collect_valid(streets.into_iter().map(|street| {
        Ok(Street {
            class: street_class(street.class()),
            line: line(street.path.as_ref(), 2)?,
            name: street.name,
            one_way: street.one_way,
        })
    }))
}

fn street_class(class: v1::StreetClass) -> StreetClass {
    match class {
        v1::StreetClass::Motorway => StreetClass::Motorway,
        v1::StreetClass::Primary => StreetClass::Primary,
        v1::StreetClass::Secondary => StreetClass::Secondary,
        v1::StreetClass::Tertiary => StreetClass::Tertiary,
        v1::StreetClass::Residential => StreetClass::Residential,
        v1::StreetClass::Service | v1::StreetClass::Unspecified => StreetClass::Service,
        v1::StreetClass::Footway => StreetClass::Footway,
    }
}

pub(super) fn areas(areas: Vec<v1::Area>) -> WithInvalid<Vec<Area>> {
    collect_valid(areas.into_iter().map(|area| {
        let kind = match area.kind() {
            v1::AreaKind::Building => AreaKind::Building,
            v1::AreaKind::Water => AreaKind::Water,
            v1::AreaKind::Park => AreaKind::Park,
            v1::AreaKind::Square => AreaKind::Square,
            v1::AreaKind::Unspecified => return Err(Malformed("an area of unknown kind")),
        };
        let rings = area.rings.iter().map(|ring| line(Some(ring), 3)).collect::<DecodeResult<Vec<_>>>()?;
        Ok(Area { kind, rings, name: area.name, height_m: area.height_m })
    }))
}

pub(super) fn rails(rails: Vec<v1::Rail>) -> WithInvalid<Vec<Rail>> {
    collect_valid(rails.into_iter().map(|rail| {
        let kind = match rail.kind() {
            v1::RailKind::Train => RailKind::Train,
            v1::RailKind::Tram => RailKind::Tram,
            v1::RailKind::Subway => RailKind::Subway,
            v1::RailKind::Unspecified => return Err(Malformed("a rail of unknown kind")),
        };
        Ok(Rail { kind, line: line(rail.path.as_ref(), 2)? })
    }))
}

pub(super) fn bounds(bounds: Option<v1::Bounds>) -> DecodeResult<Bounds> {
    bounds.and_then(|bounds| bounds.try_into().ok()).ok_or(Malformed("invalid bounds"))
}

/// Decodes a line of at least `at_least` points.
fn line(path: Option<&v1::Path>, at_least: usize) -> DecodeResult<Vec<LatLng>> {
    let line = path.and_then(unpack_path).filter(|line| line.len() >= at_least);
    line.ok_or(Malformed("a line that is invalid or too short"))
}

/// Decodes a route. An absent route is empty.
pub(super) fn route(path: Option<&v1::Path>) -> DecodeResult<Vec<LatLng>> {
    path.map_or(Ok(Vec::new()), |path| unpack_path(path).ok_or(Malformed("an invalid route")))
}

pub(super) fn point(location: Option<v1::Location>) -> DecodeResult<LatLng> {
    location.and_then(|location| location.try_into().ok()).ok_or(Malformed("a place that is not on Earth"))
}

pub(super) fn place(name: String, location: Option<v1::Location>) -> DecodeResult<Place> {
    Ok(Place { name, at: point(location)? })
}

/// Converts the streets that a search found. If several streets have the same name, "near" is a part of each name.
pub(super) fn places(places: Vec<v1::Place>) -> WithInvalid<Vec<Place>> {
    collect_valid(places.into_iter().map(|found| {
        let v1::Place { mut name, location, near } = found;
        if !near.is_empty() {
            name = [&name, ", near ", &near].concat();
        }
        place(name, location)
    }))
}

pub(super) fn ride(ride: v1::Ride) -> DecodeResult<Ride> {
    let place_of = |name, at: Option<v1::Location>| at.map(|at| place(name, Some(at))).transpose();
    Ok(Ride {
        state: ride_state(ride.state())?,
        kind: match ride.r#type() {
            v1::RideType::Regular => RideType::Regular,
            v1::RideType::Pool => RideType::Pool,
        },
        id: RideId::new(ride.ride_id),
        version: ride.version,
        rider_id: ride.rider_id,
        pickup: place_of(ride.pickup_name, ride.pickup)?,
        dropoff: place_of(ride.dropoff_name, ride.dropoff)?,
        car_id: Some(ride.car_id).filter(|id| *id != 0),
        driver_id: ride.driver_id,
        fare: money(ride.fare),
        distance_m: ride.distance_m,
        duration_s: whole_seconds(ride.duration.as_ref()),
        route: route(ride.route.as_ref())?,
        requested_at: unix_millis(ride.requested_at.as_ref()),
        updated_at: unix_millis(ride.updated_at.as_ref()),
        cancel_reason: ride.cancel_reason,
    })
}

pub(super) fn rides(rides: Vec<v1::Ride>) -> WithInvalid<Vec<Ride>> {
    collect_valid(rides.into_iter().map(ride))
}

fn ride_state(state: v1::RideState) -> DecodeResult<RideState> {
    Ok(match state {
        v1::RideState::Requested => RideState::Requested,
        v1::RideState::Offered => RideState::Offered,
        v1::RideState::Assigned => RideState::Assigned,
        v1::RideState::Arrived => RideState::Arrived,
        v1::RideState::OnTrip => RideState::OnTrip,
        v1::RideState::Completed => RideState::Completed,
        v1::RideState::Cancelled => RideState::Cancelled,
        v1::RideState::Expired => RideState::Expired,
        v1::RideState::Unspecified => return Err(Malformed("a ride in an unknown state")),
    })
}

pub(super) fn quote(quote: v1::QuoteResponse) -> DecodeResult<Quote> {
    Ok(Quote {
        fare: money(quote.fare),
        pickup_eta_s: quote.pickup_eta.as_ref().map(|eta| whole_seconds(Some(eta))),
        trip_s: whole_seconds(quote.trip_duration.as_ref()),
        trip_m: quote.trip_distance_m,
        route: route(quote.route.as_ref())?,
        pickup: place(quote.pickup_name, quote.pickup)?,
        dropoff: place(quote.dropoff_name, quote.dropoff)?,
    })
}

pub(super) fn money(money: Option<v1::Money>) -> Money {
    money.map_or_else(Money::default, |money| Money {
        currency: money.currency,
        minor_units: money.minor_units,
    })
}

/// Returns a duration in seconds, rounded to the nearest. A negative duration is 0.
pub(super) fn whole_seconds(duration: Option<&prost_types::Duration>) -> u32 {
    duration.map_or(0, |duration| seconds(duration).round() as u32)
}

fn seconds(duration: &prost_types::Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

pub(super) fn unix_millis(time: Option<&prost_types::Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000))
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self { text: malformed.to_string(), code: Code::Internal.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn cell_frame() -> v1::CellFrame {
        v1::CellFrame {
            cell: 18653 * 32768 + 9484,
            tick: 3,
            cars: vec![7],
            dx: vec![1],
            dy: vec![-2],
            headings: vec![32],
            states: vec![v1::CarState::OnTrip.into()],
            ..Default::default()
        }
    }

    /// MAP-4
    #[test]
    fn streets_of_one_name_are_told_apart() {
        let found = |name: &str, near: &str| v1::Place {
            name: name.into(),
            near: near.into(),
            location: Some(v1::Location { lat: 60.17, lng: 24.94 }),
        };
        let (places, wrong) = places(vec![found("Church Street", "North 1"), found("Mill Lane", "")]);
        let names: Vec<_> = places.into_iter().map(|place| place.name).collect();
        assert_eq!(
            (names, wrong),
            (vec!["Church Street, near North 1".to_owned(), "Mill Lane".to_owned()], None)
        );
    }

    #[test]
    fn columns_become_cars() {
        let update = cell_update(&cell_frame()).expect("well formed");
        let cell = Cell::new(18653 * 32768 + 9484).expect("on Earth");
        let car =
            CarReport { number: CarNumber(7), at: cell.point(1, -2), turn: 0.25, state: CarState::OnTrip };
        assert_eq!(update.cars, [car]);
    }

    #[test]
    fn a_bad_cell_costs_that_cell_only() {
        let message = v1::WatchFleetResponse {
            cells: vec![v1::CellFrame { dy: vec![], ..cell_frame() }, cell_frame()],
            ..Default::default()
        };
        let (frame, wrong) = frame_of(message);
        assert_eq!((frame.cells.len(), wrong.is_some()), (1, true));
    }

    #[test]
    fn densities_are_read_with_the_detail_that_they_belong_to() {
        let density = |cell, cars| v1::CellDensity { cell, cars };
        let message = v1::WatchFleetResponse {
            densities: vec![density(7, 640), density(u32::MAX, 1)],
            detail: v1::MapDetail::Densities.into(),
            ..Default::default()
        };
        let (frame, wrong) = frame_of(message);
        let known = Cell::new(7).expect("on Earth");
        assert_eq!((frame.detail, frame.densities), (Some(Detail::Densities), vec![(known, 640)]));
        assert!(wrong.is_some());
    }

    #[test]
    fn a_ride_without_a_state_is_none() {
        assert!(ride(v1::Ride::default()).is_err());
        let off_earth = v1::Location { lat: f64::NAN, lng: 0.0 };
        let state = v1::RideState::Requested.into();
        assert!(ride(v1::Ride { state, pickup: Some(off_earth), ..Default::default() }).is_err());
        assert!(ride(v1::Ride { state, ..Default::default() }).is_ok());
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(message) = v1::WatchFleetResponse::decode(&bytes[..]) {
                frame_of(message);
            }
            if let Ok(message) = v1::GetMapResponse::decode(&bytes[..]) {
                _ = (streets(message.streets), areas(message.areas), rails(message.rails));
            }
            if let Ok(message) = v1::Ride::decode(&bytes[..]) {
                _ = ride(message);
            }
        }
    }
}
