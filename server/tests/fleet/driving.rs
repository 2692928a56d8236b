//! The `Fleet.Drive` stream: sign-on, repeated messages and refusals.

use futures_util::future::join_all;
use rides_proto::v1::{self, RideState, drive_request as up};
use tonic::{Code, Status};

use super::viewer::{Viewer, helsinki};
use crate::harness::{
    Running,
    car::{Car, car},
    places::{NOWHERE, place},
    rider::Rider,
    server,
    wire::{assert_refused, details},
};

fn sign_on(car_id: i64) -> up::SignOn {
    up::SignOn { car_id, driver_id: "aino".into(), location: Some(place(1)) }
}

async fn says_first(server: &Running, message: up::Message) -> Result<(), Status> {
    let car = Car::connects(server).await;
    car.says(message).await;
    car.ends().await
}

#[tokio::test]
async fn a_stream_that_does_not_begin_well_is_ended() {
    let server = server().run().await;
    for (bad, reason, field) in [
        (sign_on(0), "NOT_POSITIVE", "sign_on.car_id"),
        (up::SignOn { driver_id: String::new(), ..sign_on(1) }, "MISSING", "sign_on.driver_id"),
        (up::SignOn { driver_id: "x".repeat(65), ..sign_on(1) }, "TOO_LONG", "sign_on.driver_id"),
        (up::SignOn { location: Some(NOWHERE), ..sign_on(1) }, "NOT_ON_EARTH", "sign_on.location"),
    ] {
        let ending = says_first(&server, up::Message::SignOn(bad)).await;
        assert_refused(ending, Code::InvalidArgument, reason, field);
    }
    let ending = says_first(&server, up::Message::SetDuty(up::SetDuty { on_duty: true })).await;
    assert_refused(ending, Code::FailedPrecondition, "NOT_SIGNED_ON", "");
    car(1).signs_on(&server).await.signs_off().await;
}

#[tokio::test]
async fn the_newest_connection_is_the_car_and_has_its_ride() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut older = car(1).at(place(1)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    older.takes(&ride).await;
    let mut newer = car(1).signs_on(&server).await;
    assert_eq!(newer.number, older.number);
    assert_refused(older.ends().await, Code::Aborted, "SIGNED_ON_ELSEWHERE", "");
    assert_eq!(newer.is_assigned(&ride).await.state(), RideState::Assigned);
    newer.arrives(&ride).await;
}

/// A driver repeats a message, because the response may have been lost with the connection.
#[tokio::test]
async fn whatever_a_driver_says_again_on_a_new_connection_is_done_once() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut driver = car(1).at(place(1)).signs_on(&server).await;
    assert_eq!(driver.ride, "", "a new car has no ride");
    let ride = rider.books("key").await.ride_id;
    driver.is_offered(&ride).await;
    let ride_id = || ride.clone();
    for (n, message) in (3..).zip([
        up::Message::Accept(up::AcceptOffer { ride_id: ride_id() }),
        up::Message::Arrive(up::Arrive { ride_id: ride_id() }),
        up::Message::PickUp(up::PickUp { ride_id: ride_id() }),
        up::Message::DropOff(up::DropOff { ride_id: ride_id() }),
    ]) {
        driver.says(message.clone()).await;
        driver.hears().await;
        drop(driver);
        driver = car(1).signs_on(&server).await;
        if n < 6 {
            assert_eq!(driver.ride, ride);
            assert_eq!(driver.is_assigned(&ride).await.version, n);
        } else {
            assert_eq!(driver.ride, "", "the ride has ended");
        }
        driver.says(message).await;
        let state = match n {
            3 => RideState::Assigned,
            4 => RideState::Arrived,
            5 => RideState::OnTrip,
            _ => RideState::Completed,
        };
        assert_eq!(driver.is_updated().await, (n, state));
    }
    let next = rider.books("next").await.ride_id;
    driver.is_offered(&next).await;
}

/// CLIENT-11: a driver repeats any earlier message on the same connection.
#[tokio::test]
async fn a_repeated_message_about_a_ride_further_on_is_answered_with_the_ride() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut driver = car(1).at(place(1)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    let ride_id = || ride.clone();
    let said = [
        (up::Message::Accept(up::AcceptOffer { ride_id: ride_id() }), RideState::Assigned),
        (up::Message::Arrive(up::Arrive { ride_id: ride_id() }), RideState::Arrived),
        (up::Message::PickUp(up::PickUp { ride_id: ride_id() }), RideState::OnTrip),
        (up::Message::DropOff(up::DropOff { ride_id: ride_id() }), RideState::Completed),
    ];
    driver.is_offered(&ride).await;
    for (n, (message, state)) in said.iter().enumerate() {
        driver.says(message.clone()).await;
        driver.hears().await;
        for (earlier, _) in &said[..=n] {
            driver.says(earlier.clone()).await;
            assert_eq!(driver.is_updated().await, (n as u64 + 3, *state), "{earlier:?}");
        }
    }
    for left in [
        up::Message::Decline(up::DeclineOffer { ride_id: ride_id() }),
        up::Message::GiveBack(up::GiveBack { ride_id: ride_id(), reason: String::new() }),
    ] {
        driver.says(left).await;
        assert_eq!(driver.is_refused().await.reason, "WRONG_STATE");
    }
    let next = rider.books("next").await.ride_id;
    driver.is_offered(&next).await;
}

/// CLIENT-11: the second message is refused with `PASSED_OVER`.
#[tokio::test]
async fn a_repeated_decline_or_give_back_is_refused() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut driver = car(1).at(place(1)).signs_on(&server).await;
    let declined = rider.books("declined").await.ride_id;
    driver.is_offered(&declined).await;
    driver.declines(&declined).await;
    driver.declines(&declined).await;
    let refused = driver.is_refused().await;
    assert_eq!((refused.ride_id.as_str(), refused.reason.as_str()), (declined.as_str(), "PASSED_OVER"));
    driver.says_accept(&declined).await;
    assert_eq!(driver.is_refused().await.reason, "WRONG_STATE", "no car has the offer");
    rider.cancel(&declined).await.unwrap();

    let given_back = rider.books("given back").await.ride_id;
    driver.takes(&given_back).await;
    driver.gives_back(&given_back).await;
    assert_eq!(driver.loses(&given_back).await, "given back");
    driver.gives_back(&given_back).await;
    let refused = driver.is_refused().await;
    assert_eq!((refused.ride_id.as_str(), refused.reason.as_str()), (given_back.as_str(), "PASSED_OVER"));
}

/// CLIENT-11: the offer may already be with another car.
#[tokio::test]
async fn a_repeated_decline_is_refused_though_another_car_has_the_offer_by_then() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let mut driver = car(1).at(place(1)).signs_on(&server).await;
    let mut other = car(2).at(place(3)).signs_on(&server).await;
    let ride = Rider(wire).books("key").await.ride_id;
    driver.is_offered(&ride).await;
    driver.declines(&ride).await;
    driver.declines(&ride).await;
    assert_eq!(driver.is_refused().await.reason, "PASSED_OVER");
    other.is_offered(&ride).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_the_stream_goes_on() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut holder = car(1).at(place(1)).signs_on(&server).await;
    let mut other = car(2).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    holder.takes(&ride).await;

    for (message, code, reason) in [
        (up::Message::Arrive(up::Arrive { ride_id: ride.clone() }), Code::FailedPrecondition, "NOT_YOURS"),
        (
            up::Message::DropOff(up::DropOff { ride_id: ride.clone() }),
            Code::FailedPrecondition,
            "WRONG_STATE",
        ),
        (up::Message::Accept(up::AcceptOffer { ride_id: "nobody's".into() }), Code::NotFound, "NO_SUCH_RIDE"),
        (up::Message::SignOn(sign_on(2)), Code::FailedPrecondition, "ALREADY_SIGNED_ON"),
    ] {
        other.says(message).await;
        let refused = other.is_refused().await;
        assert_eq!((refused.code, refused.reason.as_str()), (i32::from(code), reason));
    }
    holder.says(up::Message::PickUp(up::PickUp { ride_id: ride.clone() })).await;
    assert_eq!(holder.is_refused().await.reason, "WRONG_STATE", "the car has not arrived");
    holder.arrives(&ride).await;
}

#[tokio::test]
async fn a_malformed_message_ends_the_stream_and_no_other() {
    let server = server().run().await;
    let good = || up::Position { location: Some(place(1)), ..Default::default() };
    let mut bystander = car(9).at(place(1)).signs_on(&server).await;
    for (bad, field) in [
        (up::Position { location: None, ..good() }, "position.location"),
        (up::Position { location: Some(NOWHERE), ..good() }, "position.location"),
        (up::Position { heading_deg: Some(f64::INFINITY), ..good() }, "position.heading_deg"),
        (up::Position { speed_mps: Some(f64::NAN), ..good() }, "position.speed_mps"),
        (
            up::Position { time: Some(prost_types::Timestamp { seconds: i64::MIN, nanos: 7 }), ..good() },
            "position.time",
        ),
    ] {
        let car = car(1).signs_on(&server).await;
        car.says(up::Message::Position(bad)).await;
        let status = car.ends().await.unwrap_err();
        let (code, _, named) = details(&status);
        assert_eq!((code, named.as_str()), (Code::InvalidArgument, field));
    }
    let [wire, _] = server.wires().await;
    bystander.takes(&Rider(wire).books("key").await.ride_id).await;
}

#[tokio::test]
async fn a_car_whose_clock_is_slow_is_seen_where_it_is() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let mut viewer = Viewer::of(&wire, helsinki()).await;
    let car = car(1).at(place(1)).signs_on(&server).await;
    let an_hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let position =
        up::Position { location: Some(place(2)), time: Some(an_hour_ago.into()), ..Default::default() };
    car.says(up::Message::Position(position)).await;
    let there = |at: v1::Location| crate::harness::places::distance_m(at, place(2)) < 0.1;
    viewer.until(car.number, |dot| dot.is_some_and(|dot| there(dot.at))).await;
}

#[tokio::test]
async fn a_free_car_on_a_break_is_offered_nothing() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let mut viewer = Viewer::of(&wire, helsinki()).await;
    let near = car(1).at(place(1)).signs_on(&server).await;
    near.says(up::Message::SetDuty(up::SetDuty { on_duty: false })).await;
    viewer.until(near.number, |dot| dot.is_some_and(|dot| dot.state == v1::CarState::OffDuty)).await;
    let mut far = car(2).at(place(3)).signs_on(&server).await;
    far.takes(&Rider(wire).books("key").await.ride_id).await;
}

#[tokio::test]
async fn a_hundred_cars_on_one_server_each_have_a_number_of_their_own() {
    let server = server().run().await;
    let cars = join_all((1..=100).map(|id| car(id).at(place(1)).signs_on(&server))).await;
    let mut numbers: Vec<_> = cars.iter().map(|car| car.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100);
    let [wire, _] = server.wires().await;
    Viewer::of(&wire, helsinki()).await.until_cars(100).await;
}
