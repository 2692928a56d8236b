//! Tests of `Fleet.Drive` over a real socket, with the generated client.

use std::{convert::Infallible, future::pending};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use rides_proto::v1::{
    self, Location,
    drive_request::{self as up, Message as Up},
    drive_response::{self as down, Message},
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Codec as _;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use super::*;
use crate::{
    fleet::{CarUpdate, CarView, Offer, Order},
    positions::CarState,
    rides::{
        model::{OpenOffer, RideState},
        testing::{booking, car, crew, request},
    },
    services::{
        fleet::tests::{FleetFixture, fleet_fixture},
        principal::unproven,
    },
};

/// The client's end of a stream.
struct Driver {
    up: mpsc::Sender<DriveRequest>,
    down: Streaming<DriveResponse>,
}

impl Driver {
    async fn connect(bench: &FleetFixture) -> Self {
        let (up, requests) = mpsc::channel(64);
        let requests = ReceiverStream::new(requests);
        let down = bench.client.clone().drive(requests).await.expect("opened").into_inner();
        Self { up, down }
    }

    /// Connects, and signs on as a car at the railway station.
    async fn on_shift(bench: &FleetFixture, n: u8) -> Self {
        let mut driver = Self::connect(bench).await;
        driver.say(sign_on(n)).await;
        assert!(matches!(driver.hear().await, Message::SignedOn(_)));
        driver
    }

    async fn say(&self, message: Up) {
        self.up.send(DriveRequest { message: Some(message) }).await.expect("the stream is open");
    }

    async fn hear(&mut self) -> Message {
        let response = self.down.message().await.expect("live").expect("not over");
        response.message.expect("a known message")
    }

    async fn end(&mut self) -> Result<(), Status> {
        while self.down.message().await?.is_some() {}
        Ok(())
    }
}

fn station() -> Option<Location> {
    Some(Location { lat: 60.171, lng: 24.941 })
}

fn sign_on(n: u8) -> Up {
    let crew = crew(n);
    Up::SignOn(up::SignOn { car_id: crew.car.get(), driver_id: crew.driver, location: station() })
}

/// Returns the car when it satisfies `wanted`.
async fn car_when(bench: &FleetFixture, n: u8, wanted: impl Fn(&CarView) -> bool) -> CarView {
    loop {
        if let Some(view) = bench.fleet.car(car(n)).await.expect("open").filter(&wanted) {
            return view;
        }
        tokio::task::yield_now().await;
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Makes the brief that withdraws an offer, as of `version` of its ride.
fn withdrawn(version: u64, reason: &str) -> CarUpdate {
    let ride = RideId::new("r");
    let order = Some(Order::OfferWithdrawn { ride: ride.clone(), reason: reason.into() });
    CarUpdate { ride, version, state: CarState::Free, begins_trip: false, order }
}

/// Books a ride and offers it to a car, as dispatch does.
async fn offered_ride(bench: &FleetFixture, n: u8) -> RideId {
    let request = request("r", &[]);
    let ride = bench.rides.book(request, booking("ada")).await.expect("booked").id;
    let expires_at = SystemTime::now() + Duration::from_secs(60);
    let offer = OpenOffer { pickup_eta: Duration::from_secs(90), expires_at };
    bench.rides.command(&ride, Command::Offer { crew: crew(n), offer }).await.expect("offered");
    ride
}

#[tokio::test]
async fn a_day_from_sign_on_to_sign_off() {
    let mut bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    let position = up::Position { location: Some(Location { lat: 60.2, lng: 24.9 }), ..Default::default() };
    driver.say(Up::Position(position)).await;
    let view = car_when(&bench, 1, |car| car.at.is_some_and(|at| at.lat() == 60.2)).await;
    assert!(view.connected && view.crew == Some(crew(1)));
    driver.say(Up::SetDuty(up::SetDuty { on_duty: false })).await;
    car_when(&bench, 1, |car| car.state == CarState::OffDuty).await;
    driver.say(Up::SignOff(up::SignOff {})).await;
    driver.end().await.expect("ended with OK");
    assert_eq!(bench.gone.recv().await, Some(car(1)));
    assert_eq!(bench.fleet.car(car(1)).await, Ok(None));
}

#[tokio::test]
async fn who_does_not_sign_on_first_is_sent_away() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::connect(&bench).await;
    driver.say(Up::SetDuty(up::SetDuty { on_duty: true })).await;
    let status = driver.end().await.expect_err("not signed on");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NOT_SIGNED_ON"));
}

/// The handler does not wait for [`SIGN_ON_WITHIN`] after the client has left.
#[tokio::test]
async fn who_leaves_before_signing_on_is_let_go_at_once() {
    let bench = fleet_fixture().await;
    let (held, gone) = oneshot::channel::<()>();
    let silent = Body::from_stream(stream::once(async move {
        let _held = held;
        pending::<Result<Bytes, Infallible>>().await
    }));
    let decoder = ProstCodec::<DriveResponse, DriveRequest>::default().decoder();
    let up = Streaming::new_request(decoder, silent, None, None);
    let down = DriveHandler::new(bench.fleet.clone(), bench.rides.clone()).call(unproven(up)).await;
    drop(down);
    assert!(timeout(SIGN_ON_WITHIN / 2, gone).await.expect("the handler waits for the sign-on").is_err());
}

#[tokio::test]
async fn the_newest_connection_is_the_car() {
    let bench = fleet_fixture().await;
    let mut old = Driver::on_shift(&bench, 1).await;
    let mut new = Driver::on_shift(&bench, 1).await;
    let status = old.end().await.expect_err("superseded");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "SIGNED_ON_ELSEWHERE"));
    assert_eq!(bench.fleet.update_car(car(1), withdrawn(3, "late")).await, Ok(true));
    let expected = down::OfferWithdrawn { ride_id: "r".into(), reason: "late".into() };
    assert_eq!(new.hear().await, Message::OfferWithdrawn(expected));
}

#[tokio::test]
async fn a_lost_connection_leaves_the_car_on_the_map() {
    let bench = fleet_fixture().await;
    // The first connection breaks. The second is half closed without a sign-off.
    drop(Driver::on_shift(&bench, 1).await);
    let Driver { up, mut down } = Driver::on_shift(&bench, 2).await;
    drop(up);
    assert_eq!(down.message().await.expect_err("no sign-off").code(), Code::Cancelled);
    for n in 1..=2 {
        let view = car_when(&bench, n, |car| !car.connected).await;
        assert!(view.at.is_some());
    }
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused_and_the_stream_goes_on() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    driver.say(Up::Accept(up::AcceptOffer { ride_id: "nowhere".into() })).await;
    let Message::Refused(refused) = driver.hear().await else { panic!("not refused") };
    assert_eq!((refused.ride_id.as_str(), refused.reason.as_str()), ("nowhere", "NO_SUCH_RIDE"));
    assert_eq!(refused.code, Code::NotFound as i32);

    driver.say(sign_on(1)).await;
    let Message::Refused(refused) = driver.hear().await else { panic!("not refused") };
    assert_eq!(refused.reason, "ALREADY_SIGNED_ON");

    let ride = offered_ride(&bench, 1).await.to_string();
    driver.say(Up::Arrive(up::Arrive { ride_id: ride })).await;
    let Message::Refused(refused) = driver.hear().await else { panic!("not refused") };
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition as i32, "WRONG_STATE"));
}

#[tokio::test]
async fn a_malformed_message_ends_the_stream() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    driver.say(Up::Position(up::Position::default())).await;
    let status = driver.end().await.expect_err("malformed");
    assert_eq!(status.code(), Code::InvalidArgument);
    let bad = status.get_details_bad_request().expect("details");
    assert_eq!(bad.field_violations[0].field, "position.location");
    car_when(&bench, 1, |car| !car.connected).await;
}

#[tokio::test]
async fn a_driver_takes_a_ride_to_its_end() {
    let bench = fleet_fixture().await;
    let driver = Driver::on_shift(&bench, 1).await;
    let ride = offered_ride(&bench, 1).await;
    let mut log = bench.rides.watch(&ride).await.expect("booked");
    let ride_id = ride.to_string();
    let steps = [
        (Up::Accept(up::AcceptOffer { ride_id: ride_id.clone() }), RideState::Assigned),
        (Up::Arrive(up::Arrive { ride_id: ride_id.clone() }), RideState::Arrived),
        (Up::PickUp(up::PickUp { ride_id: ride_id.clone() }), RideState::OnTrip),
        (Up::DropOff(up::DropOff { ride_id }), RideState::Completed),
    ];
    for (step, state) in steps {
        driver.say(step).await;
        let log = log.wait_for(|log| log.ride.state >= state).await.expect("not closed before");
        assert_eq!(log.ride.state, state);
    }
}

#[tokio::test]
async fn who_comes_back_hears_of_its_ride_again() {
    let bench = fleet_fixture().await;
    drop(Driver::on_shift(&bench, 1).await);
    let ride = offered_ride(&bench, 1).await;
    bench.rides.command(&ride, Command::Accept { car: car(1) }).await.expect("accepted");
    let mut driver = Driver::on_shift(&bench, 1).await;
    let Message::Assignment(down::Assignment { ride: Some(assigned) }) = driver.hear().await else {
        panic!("no assignment")
    };
    assert_eq!(assigned.ride_id, ride.as_str());
}

#[tokio::test]
async fn an_offer_says_all_a_driver_needs() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    let ride = offered_ride(&bench, 1).await;
    let ride = bench.rides.get(&ride).await.expect("booked");
    let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let offer = Offer { ride, pickup_eta: Duration::from_secs(90), expires_at };
    let (state, order) = (CarState::Offered, Some(Order::Offer(offer)));
    let brief = CarUpdate { ride: RideId::new("r"), version: 2, state, begins_trip: false, order };
    assert_eq!(bench.fleet.update_car(car(1), brief).await, Ok(true));
    let Message::Offer(offer) = driver.hear().await else { panic!("no offer") };
    assert_eq!((offer.pickup_name.as_str(), offer.dropoff_name.as_str()), ("Street 0", "Street 5"));
    assert_eq!(offer.fare, Some(v1::Money { currency: "EUR".into(), minor_units: 700 }));
    assert_eq!(offer.pickup_eta.map(|eta| eta.seconds), Some(90));
    assert_eq!(offer.expires_at.map(|at| at.seconds), Some(1_800_000_000));
    assert!(offer.pickup.is_some() && offer.dropoff.is_some());
}

#[tokio::test]
async fn a_silent_line_beats() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    let Message::Heartbeat(beat) = driver.hear().await else { panic!("not a heartbeat") };
    assert!(beat.time.is_some());
}

#[tokio::test]
async fn a_driver_who_does_not_read_is_cut() {
    let bench = fleet_fixture().await;
    let mut driver = Driver::on_shift(&bench, 1).await;
    // Messages so long that all buffers on the way are full before the queue has its maximum number of messages.
    let reason = "x".repeat(100_000);
    let mut sent = 0;
    while bench.fleet.update_car(car(1), withdrawn(sent, &reason)).await == Ok(true) {
        sent += 1;
        assert!(sent < 1_000, "the stream was not ended");
        tokio::task::yield_now().await;
    }
    let status = driver.end().await.expect_err("cut");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(!bench.fleet.car(car(1)).await.expect("open").expect("in its grace time").connected);
}
