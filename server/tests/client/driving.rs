//! `rides-server client drive`: a driver at a terminal or in a script.

use std::process::Stdio;

use rides_proto::v1::{self, RideState};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

#[cfg(unix)]
use super::run;
use super::{client, start, typed};
use crate::harness::{
    Running,
    car::car,
    places::{north_of, place},
    rider::{Rider, booking},
    server,
    wire::Wire,
};

/// Books a ride of 200 m.
async fn books(server: &Running) -> (Rider, v1::Ride) {
    let rider = Rider(Wire::Web(server.addr));
    let dropoff = Some(north_of(place(1), 200.0));
    let ride = rider.book(v1::BookRequest { dropoff, ..booking("key") }).await.unwrap();
    (rider, ride)
}

#[tokio::test]
async fn a_car_takes_a_ride_drives_it_and_goes_home() {
    let server = server().run().await;
    let at = typed(place(1));
    let args = ["drive", "--car=7", "--at", &at, "--speed=500", "--rides=1"];
    let mut taxi = start(client(&[server.addr], &args));
    taxi.says("signed on").await;
    let (rider, ride) = books(&server).await;
    for line in ["offered: ", "assigned: to ", "on trip: to ", "completed: ", "signed off"] {
        taxi.says(line).await;
    }
    assert_eq!(taxi.ends().await.code(), Some(0));
    let ride = rider.get(&ride.ride_id).await.unwrap();
    assert_eq!((ride.state(), ride.car_id, ride.driver_id.as_str()), (RideState::Completed, 7, "driver-7"));
}

#[tokio::test]
async fn what_a_driver_hears_is_lines_for_scripts() {
    let server = server().run().await;
    let at = typed(place(1));
    let args = ["drive", "--car=7", "--at", &at, "--speed=500", "--rides=1", "--json"];
    let mut taxi = start(client(&[server.addr], &args));
    taxi.says("{\"signedOn\":{").await;
    books(&server).await;
    for said in ["offer", "assignment", "_ARRIVED", "_ON_TRIP", "_COMPLETED"] {
        let line = taxi.says(said).await;
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    }
    assert_eq!(taxi.ends().await.code(), Some(0));
}

#[tokio::test]
async fn a_driver_is_whom_the_token_is_for_and_is_asked() {
    let server = server().requiring_tokens().run().await;
    let at = typed(place(1));
    let mut drive = client(&[server.addr], &["drive", "--at", &at, "--ask"]);
    drive.env("RIDES_TOKEN", server.driver(7)).stdin(Stdio::piped());
    let mut taxi = start(drive);
    taxi.says("signed on").await;
    let rider = server.as_rider("ada").await;
    let ride = rider.books("key").await;
    taxi.says("offered: ").await;
    assert_eq!(
        rider.get(&ride.ride_id).await.unwrap().state(),
        RideState::Offered,
        "accepted without a question"
    );
    taxi.child.stdin.as_mut().unwrap().write_all(b"y\n").await.unwrap();
    taxi.says("assigned: to ").await;
    assert_eq!(rider.get(&ride.ride_id).await.unwrap().driver_id, "driver-7");
}

#[tokio::test]
async fn a_car_that_somebody_else_drives_now_goes_home() {
    let server = server().run().await;
    let at = typed(place(1));
    let mut ours = start(client(&[server.addr], &["drive", "--car=7", "--at", &at]));
    ours.says("signed on").await;
    let _theirs = car(7).at(place(1)).signs_on(&server).await;
    assert_eq!(ours.ends().await.code(), Some(74), "ABORTED");
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_signs_off() {
    let server = server().run().await;
    let at = typed(place(1));
    let mut taxi = start(client(&[server.addr], &["drive", "--car=7", "--at", &at]));
    taxi.says("signed on").await;
    crate::harness::process::signal(&taxi.child, "INT").await;
    taxi.says("signed off").await;
    assert_eq!(taxi.ends().await.code(), Some(0));
    let table = run(client(&[server.addr], &["top", "--once"])).await;
    assert!(table.success_output().contains("0 cars"), "{table:?}");
}
