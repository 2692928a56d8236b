//! Tests of `rides.v1.Rides` with a fleet and dispatch, without the network.

use std::time::Duration;

use futures_util::StreamExt as _;
use rides_proto::{
    geo::LatLng,
    v1::{rides_server::Rides as _, watch_response::Message},
};
use tokio::sync::mpsc;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;
use crate::{
    dispatch::DispatchOptions,
    fleet::{DriverConnection, FleetOptions, Order},
    positions::FleetTick,
    rides::{
        journal::MemoryJournal,
        testing::{car, city, crew, on_streets},
    },
    services::principal::unproven,
};

/// The service with a fleet, the rides task and dispatch. Tests run it on paused time.
struct RidesFixture {
    service: RidesService,
    _ticks: mpsc::Receiver<FleetTick>,
}

async fn rides_fixture() -> RidesFixture {
    let (ticks, _ticks) = mpsc::channel(4);
    let (opened, opened_rides) = mpsc::channel(64);
    let (gone, gone_cars) = mpsc::channel(64);
    let (fleet, _) = Fleet::spawn(FleetOptions::default(), ticks, gone);
    let (rides, _) = Rides::spawn(Arc::new(MemoryJournal::new()), opened).await.expect("readable");
    let options = DispatchOptions::default();
    dispatch::spawn(city(), fleet.clone(), rides.clone(), opened_rides, gone_cars, options);
    RidesFixture { service: RidesService::new(city(), fleet, rides, BookingLimits::default()), _ticks }
}

fn ends() -> (LatLng, LatLng) {
    let places = on_streets(2);
    (places[0], places[1])
}

fn location(at: LatLng) -> Option<v1::Location> {
    Some(at.into())
}

fn booking_request(request_id: &str) -> v1::BookRequest {
    let (pickup, dropoff) = ends();
    v1::BookRequest {
        request_id: request_id.into(),
        pickup: location(pickup),
        dropoff: location(dropoff),
        rider_id: "ada".into(),
        ..v1::BookRequest::default()
    }
}

fn start_request(car_id: i64) -> v1::StartRequest {
    let driver_id = "bob".into();
    v1::StartRequest { car_id, driver_id, location: location(ends().0), ..v1::StartRequest::default() }
}

/// Returns the code, the reason in `ErrorInfo` and the first field in `BadRequest`.
fn details(status: &Status) -> (Code, String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let field = details.bad_request().map(|bad| bad.field_violations[0].field.clone()).unwrap_or_default();
    (status.code(), reason, field)
}

impl RidesFixture {
    async fn book(&self, request: v1::BookRequest) -> Result<v1::Ride, Status> {
        let response = self.service.book(unproven(request)).await?;
        Ok(response.into_inner().ride.expect("always there"))
    }

    async fn watch(&self, ride_id: &str, epoch: &str, after_version: u64) -> Result<RideStream, Status> {
        let (ride_id, epoch) = (ride_id.to_owned(), epoch.to_owned());
        let request = v1::WatchRequest { ride_id, epoch, after_version };
        Ok(RideStream(self.service.watch(unproven(request)).await?.into_inner()))
    }

    /// Accepts the next offer as car `n`, and brings its ride to the start of its trip.
    async fn drive(&self, link: &mut DriverConnection, n: u8) {
        let Some(Order::Offer(offer)) = link.orders.recv().await else { panic!("an offer first") };
        let car = car(n);
        for command in [Command::Accept { car }, Command::Arrive { car }, Command::PickUp { car }] {
            self.service.rides.command(&offer.ride.id, command).await.expect("in order");
            link.orders.recv().await.expect("an order");
        }
    }
}

struct RideStream(<RidesService as v1::rides_server::Rides>::WatchStream);

impl RideStream {
    async fn next(&mut self) -> Option<Message> {
        let response = self.0.next().await?.expect("no error");
        Some(response.message.expect("never empty"))
    }

    async fn opened(&mut self) -> v1::watch_response::Opened {
        match self.next().await {
            Some(Message::Opened(opened)) => opened,
            other => panic!("opened comes first: {other:?}"),
        }
    }

    /// Returns the versions of all events up to the end of the stream.
    async fn versions(mut self) -> Vec<u64> {
        let mut versions = Vec::new();
        while let Some(message) = self.next().await {
            if let Message::Event(event) = message {
                versions.push(event.version);
            }
        }
        versions
    }
}

#[tokio::test(start_paused = true)]
async fn a_quote_is_what_a_booking_costs() {
    let board = rides_fixture().await;
    let (pickup, dropoff) = ends();
    let request = v1::QuoteRequest {
        pickup: location(pickup),
        dropoff: location(dropoff),
        ..v1::QuoteRequest::default()
    };
    let quote = board.service.quote(unproven(request)).await.expect("on the map").into_inner();
    assert_eq!(quote.pickup_eta, None, "no car is free");

    let link = board.service.fleet.sign_on(crew(1), Some(dropoff)).await.expect("open");
    let again = board.service.quote(unproven(request)).await.expect("on the map").into_inner();
    assert!(again.pickup_eta.is_some());
    drop(link);

    let ride = board.book(booking_request("k")).await.expect("on the map");
    assert_eq!((ride.version, ride.state()), (1, v1::RideState::Requested));
    assert_eq!((ride.fare, ride.distance_m), (quote.fare, quote.trip_distance_m));
    assert_eq!((ride.pickup, ride.route), (quote.pickup, quote.route));
}

#[tokio::test(start_paused = true)]
async fn bad_bookings_say_which_field_and_why() {
    let board = rides_fixture().await;
    let good = booking_request("k");
    let nan = Some(v1::Location { lat: f64::NAN, lng: 0.0 });
    let at_sea = Some(v1::Location { lat: 0.0, lng: 0.0 });
    for (request, reason, field) in [
        (v1::BookRequest { request_id: String::new(), ..good.clone() }, "BAD_LENGTH", "request_id"),
        (v1::BookRequest { request_id: "x".repeat(65), ..good.clone() }, "BAD_LENGTH", "request_id"),
        (v1::BookRequest { pickup: None, ..good.clone() }, "MISSING", "pickup"),
        (v1::BookRequest { dropoff: nan, ..good.clone() }, "NOT_ON_EARTH", "dropoff"),
        (v1::BookRequest { dropoff: at_sea, ..good.clone() }, "OFF_MAP", "dropoff"),
        (v1::BookRequest { dropoff: good.pickup, ..good.clone() }, "SAME_PLACE", "dropoff"),
        (v1::BookRequest { r#type: 7, ..good.clone() }, "UNKNOWN_VALUE", "type"),
        (v1::BookRequest { rider_id: "x".repeat(65), ..good.clone() }, "TOO_LONG", "rider_id"),
    ] {
        let status = board.book(request).await.expect_err(field);
        assert_eq!(details(&status), (Code::InvalidArgument, reason.into(), field.into()));
    }
    let first = board.book(good.clone()).await.expect("good");
    assert_eq!(board.book(good.clone()).await.expect("the same").ride_id, first.ride_id);
    let status = board.book(v1::BookRequest { r#type: 1, ..good }).await.expect_err("another booking");
    assert_eq!(details(&status), (Code::InvalidArgument, "KEY_REUSED".into(), "request_id".into()));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_follows_a_ride_from_booking_to_the_fare() {
    let board = rides_fixture().await;
    let (pickup, dropoff) = ends();
    let mut link = board.service.fleet.sign_on(crew(1), Some(pickup)).await.expect("open");
    let ride = board.book(booking_request("k")).await.expect("on the map");
    let mut watched = board.watch(&ride.ride_id, "", 0).await.expect("there");
    let opened = watched.opened().await;
    assert!(!opened.resumed);
    board.drive(&mut link, 1).await;

    let end = v1::EndRequest { ride_id: ride.ride_id.clone(), location: location(dropoff), time: None };
    let ended = board.service.end(unproven(end.clone())).await.expect("on trip").into_inner();
    assert!(ended.distance_m > 0, "the meter ran");
    let again = board.service.end(unproven(end)).await.expect("safe to repeat").into_inner();
    assert_eq!(again, ended);

    assert_eq!(watched.versions().await, [1, 2, 3, 4, 5, 6]);
    let mut resumed = board.watch(&ride.ride_id, &opened.epoch, 4).await.expect("there");
    let reopened = resumed.opened().await;
    assert_eq!((reopened.resumed, reopened.head_version), (true, 6));
    assert_eq!(resumed.versions().await, [5, 6]);
    let other = "6c1e2c5a-94cf-4f0e-8a3c-5b1f1f3b2d22";
    assert_eq!(
        board.watch(&ride.ride_id, other, 4).await.expect("there").versions().await,
        [1, 2, 3, 4, 5, 6]
    );
    let status = board.watch(&ride.ride_id, "garbage", 4).await.err().expect("no epoch");
    assert_eq!(details(&status).0, Code::InvalidArgument);
    assert_eq!(board.watch("nobody's", "", 0).await.err().map(|status| status.code()), Some(Code::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_the_car_come_and_hears_a_beat_when_nothing_moves() {
    let board = rides_fixture().await;
    let (pickup, dropoff) = ends();
    let ride = board.book(booking_request("k")).await.expect("on the map");
    let mut watched = board.watch(&ride.ride_id, "", 0).await.expect("there");
    watched.opened().await;
    assert!(matches!(watched.next().await, Some(Message::Event(_))));
    let start = tokio::time::Instant::now();
    assert!(matches!(watched.next().await, Some(Message::Heartbeat(_))));
    assert_eq!(start.elapsed().as_secs(), 4);

    let fleet = &board.service.fleet;
    let mut link = fleet.sign_on(crew(1), Some(dropoff)).await.expect("open");
    let Some(Order::Offer(offer)) = link.orders.recv().await else { panic!("an offer first") };
    board.service.rides.command(&offer.ride.id, Command::Accept { car: car(1) }).await.expect("offered");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match watched.next().await {
            Some(Message::Progress(progress)) => seen.push(progress),
            Some(Message::Event(_) | Message::Heartbeat(_)) => {}
            other => panic!("{other:?}"),
        }
        if seen.len() == 2 {
            let report =
                PositionReport { car: car(1), at: pickup, heading_deg: None, time: SystemTime::now() };
            fleet.report(vec![report]).await.expect("open");
        }
    }
    assert!(seen[0].route.is_some() && seen[1].route.is_none(), "a route is sent once");
    let eta = |progress: &v1::Progress| progress.eta.map(|eta| (eta.seconds, eta.nanos));
    assert!(eta(&seen[2]) < eta(&seen[0]), "nearer is sooner");
}

#[tokio::test(start_paused = true)]
async fn a_street_ride_runs_from_start_to_end_anywhere_on_earth() {
    let board = rides_fixture().await;
    let at_sea = |lng| Some(v1::Location { lat: 0.0, lng });
    let start = v1::StartRequest { location: at_sea(0.0), ..start_request(7) };
    let id = board.service.start(unproven(start.clone())).await.expect("anywhere").into_inner().id;
    let again = board.service.start(unproven(start.clone())).await.expect("safe to repeat").into_inner().id;
    assert_eq!(again, id);
    let start = v1::StartRequest { driver_id: "eve".into(), ..start };
    let busy = board.service.start(unproven(start)).await.expect_err("one ride a car");
    assert_eq!(details(&busy), (Code::FailedPrecondition, "CAR_BUSY".into(), String::new()));

    let positions =
        [0.001, 0.002].map(|lng| Ok(v1::TrackRequest { car_id: 7, time: None, location: at_sea(lng) }));
    let count =
        track(&board.service.fleet, &Principal::Anonymous, futures_util::stream::iter(positions)).await;
    assert_eq!(count.expect("all good"), 2);
    let end = v1::EndRequest { ride_id: id.clone(), location: None, time: None };
    let ended = board.service.end(unproven(end)).await.expect("on trip").into_inner();
    assert!((220..226).contains(&ended.distance_m), "{}", ended.distance_m);

    let cancel = v1::CancelRequest { ride_id: id, ..v1::CancelRequest::default() };
    let status = board.service.cancel(unproven(cancel)).await.expect_err("over");
    assert_eq!(details(&status), (Code::FailedPrecondition, "WRONG_STATE".into(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_track_stream_ends_at_its_first_bad_position() {
    let board = rides_fixture().await;
    let good = v1::TrackRequest { car_id: 7, time: None, location: location(ends().0) };
    let bad = v1::TrackRequest { car_id: 0, ..good };
    let requests = [good, bad, v1::TrackRequest { car_id: 8, ..good }].map(Ok);
    let status = track(&board.service.fleet, &Principal::Anonymous, futures_util::stream::iter(requests))
        .await
        .expect_err("car 0");
    assert_eq!(
        details(&status),
        (Code::InvalidArgument, "NOT_POSITIVE".into(), "positions[1].car_id".into())
    );
    let car = |n| board.service.fleet.car(car(n));
    assert!(car(7).await.expect("open").is_some(), "what came before counts");
    assert_eq!(car(8).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn starts_are_checked_field_by_field() {
    let board = rides_fixture().await;
    for (request, field) in [
        (v1::StartRequest { car_id: 0, ..start_request(1) }, "car_id"),
        (v1::StartRequest { driver_id: String::new(), ..start_request(1) }, "driver_id"),
        (v1::StartRequest { location: None, ..start_request(1) }, "location"),
    ] {
        let status = board.service.start(unproven(request)).await.expect_err(field);
        assert_eq!((details(&status).0, details(&status).2), (Code::InvalidArgument, field.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_ride_is_listed_as_such_without_its_route() {
    let board = rides_fixture().await;
    let ride = board.book(booking_request("k")).await.expect("on the map");
    let cancel = v1::CancelRequest { ride_id: ride.ride_id.clone(), reason: "a tram".into(), by: 0 };
    for _ in 0..2 {
        let cancelled = board.service.cancel(unproven(cancel.clone())).await.expect("safe to repeat");
        assert_eq!(cancelled.into_inner().ride.map(|ride| ride.cancelled_by()), Some(v1::Actor::Rider));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let list = |page_size, page_token: &str, states| {
        let page_token = page_token.to_owned();
        let request = v1::ListRequest { page_size, page_token, rider_id: "ada".into(), states };
        board.service.list(unproven(request))
    };
    let cancelled = v1::RideState::Cancelled.into();
    let page = list(0, "", vec![cancelled]).await.expect("fine").into_inner();
    assert_eq!((page.rides.len(), page.next_page_token.as_str()), (1, ""));
    assert_eq!((page.rides[0].route.as_ref(), page.rides[0].cancel_reason.as_str()), (None, "a tram"));
    assert!(
        list(0, "", vec![v1::RideState::OnTrip.into()]).await.expect("fine").into_inner().rides.is_empty()
    );
    for (size, token, states, field) in
        [(201, "", vec![], "page_size"), (1, "garbage", vec![], "page_token"), (1, "", vec![99], "states[0]")]
    {
        let status = list(size, token, states).await.expect_err(field);
        assert_eq!((details(&status).0, details(&status).2), (Code::InvalidArgument, field.into()));
    }
}
