//! Streams that end because their token expires.

use std::time::{Duration, SystemTime};

use rides_proto::{
    ids::CarId,
    v1::{self, rides_client::RidesClient},
};
use rides_server::sessions::{Role, Session};
use tonic::{Code, Request, Status};

use crate::{
    fleet::viewer::{helsinki, watch},
    harness::{Running, car::car, places::place, rider::Rider, server, soon, wire::assert_refused},
};

/// The lifetime of a token: long enough to open a stream on a busy machine.
const LIFE: Duration = Duration::from_secs(4);

fn soon_over() -> SystemTime {
    SystemTime::now() + LIFE
}

fn brief(server: &Running, role: Role, subject: &str) -> String {
    server.token(Session::new(role, subject, soon_over()))
}

/// Asserts that a stream ended with `SESSION_OVER`.
#[track_caller]
fn assert_over(ending: Result<(), Status>) {
    assert_refused(ending, Code::Unauthenticated, "SESSION_OVER", "");
}

/// A2: with a new token the stream resumes after the last event.
#[tokio::test]
async fn a_followed_ride_ends_with_its_token_and_resumes_with_the_next() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let ada = Rider(wire.with(server.rider("ada")));
        let ride = ada.books(&format!("{wire:?}")).await.ride_id;
        let mut followed = Rider(wire.with(brief(&server, Role::Rider, "ada"))).watches(&ride).await;
        assert_eq!(followed.event().await.unwrap().version, 1);
        let epoch = followed.opened.epoch.clone();
        assert_over(Err(followed.expect_error().await));

        let mut resumed = ada.resumes(&ride, &epoch, 1).await.unwrap();
        assert!(resumed.opened.resumed);
        ada.cancel(&ride).await.unwrap();
        assert_eq!(resumed.event().await.unwrap().version, 2, "the next event");
    }
}

/// A2: `Fleet.Watch`.
#[tokio::test]
async fn a_view_of_the_map_ends_with_its_token() {
    let server = server().requiring_tokens().with_cars(3).run().await;
    for wire in server.wires().await {
        let request = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
        let frames = watch(&wire.with(brief(&server, Role::Rider, "ada")), request).await.unwrap();
        assert_over(Err(frames.expect_error().await));
    }
}

/// A2: `Fleet.Drive` and `Rides.Track`.
#[tokio::test]
async fn a_drivers_streams_end_with_their_token() {
    let server = server().requiring_tokens().run().await;
    let token = server.token(Session::of_driver("driver-7", CarId::new(7).unwrap(), soon_over()));
    let driver = car(7).at(place(1)).showing(token.clone()).signs_on(&server).await;

    let mut upload = Request::new(tokio_stream::pending());
    upload.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut client = RidesClient::new(server.channel().await);
    let uploaded = soon("the end of the upload", client.track(upload)).await;
    assert_over(uploaded.map(|_| ()));
    assert_over(driver.ends().await);
    car(7).showing(server.driver(7)).signs_on(&server).await.signs_off().await;
}
