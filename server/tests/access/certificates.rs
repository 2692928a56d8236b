use std::{fmt, path::Path};

use rides_proto::{
    ids::CarId,
    v1::{
        self, DriveRequest, EndRequest, StartRequest, TrackRequest,
        drive_request::{self as up, Message as Up},
        drive_response::Message as Down,
        fleet_client::FleetClient,
        rides_client::RidesClient,
    },
};
use rides_server::tls::{Files, development::Development};
use tonic::{Code, Request, Status, transport::Channel};

use crate::harness::{
    Running,
    places::place,
    rider::{Rider, booking},
    server, soon,
    tls::Client,
    wire::{Wire, assert_refused},
};

fn driver_of(dir: &Path, car: i64) -> Files {
    let (development, car) = (Development::at(dir), CarId::new(car).unwrap());
    development.ensure(&[]).unwrap();
    development.ensure_driver(car).unwrap();
    development.driver(car)
}

/// A server that asks for tokens or certificates, and a connection that shows one of car 7.
async fn strict_with_seven(dir: &Path) -> (Running, Channel) {
    let seven = driver_of(dir, 7);
    let development = Development::at(dir);
    let server = server()
        .requiring_tokens()
        .with_files(development.server())
        .over_tls(|tls| tls.client_ca = Some(development.ca()))
        .run()
        .await;
    let channel = Client::with(server.addr, &development.ca(), Some(seven)).channel().await.unwrap();
    (server, channel)
}

fn bearing<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = token.map(|token| format!("Bearer {token}").parse().unwrap());
    bearer.map(|bearer| request.metadata_mut().insert("authorization", bearer));
    request
}

/// What a driver may ask, for `car`, in each of the four ways.
async fn all_four(channel: &Channel, car: i64, token: Option<&str>) -> [Result<(), Status>; 4] {
    let (mut rides, mut fleet) = (RidesClient::new(channel.clone()), FleetClient::new(channel.clone()));
    let driver_id = format!("driver-{car}");
    let position = TrackRequest { car_id: car, time: None, location: Some(place(1)) };
    let tracked = rides.track(bearing(tokio_stream::once(position), token)).await.map(|_| ());
    let sign_on = up::SignOn { car_id: car, driver_id: driver_id.clone(), location: Some(place(1)) };
    let up = tokio_stream::iter([Up::SignOn(sign_on), Up::SignOff(up::SignOff {})]);
    let up = tokio_stream::StreamExt::map(up, |message| DriveRequest { message: Some(message) });
    let drove = async {
        let mut down = fleet.drive(bearing(up, token)).await?.into_inner();
        let said = soon("an answer", down.message()).await?.and_then(|said| said.message);
        assert!(matches!(said, Some(Down::SignedOn(_))), "{said:?}");
        Ok(())
    };
    let drove = drove.await;
    let start = StartRequest { car_id: car, driver_id, location: Some(place(1)), ..Default::default() };
    let started = rides.start(bearing(start, token)).await;
    let ride_id = started.as_ref().map_or("none".to_owned(), |ride| ride.get_ref().id.clone());
    let ended = rides.end(bearing(EndRequest { ride_id, ..Default::default() }, token)).await;
    [tracked, drove, started.map(|_| ()), ended.map(|_| ())]
}

#[track_caller]
fn assert_not_your_car<T: fmt::Debug>(outcome: Result<T, Status>) {
    assert_refused(outcome, Code::PermissionDenied, "NOT_YOUR_CAR", "");
}

/// A certificate is as good as a token of its car, and opens nothing else.
#[tokio::test]
async fn a_certificate_is_a_driver_of_its_car() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, channel) = strict_with_seven(dir.path()).await;
    assert!(all_four(&channel, 7, None).await.iter().all(Result::is_ok));
    let [tracked, drove, started, ended] = all_four(&channel, 8, None).await;
    for refused in [tracked, drove, started] {
        assert_not_your_car(refused);
    }
    assert_refused(ended, Code::NotFound, "NO_SUCH_RIDE", "");

    let wire = Wire::Native(channel.clone());
    let booked = Rider(wire.clone()).book(booking("key")).await;
    assert_refused(booked, Code::PermissionDenied, "NOT_FOR_YOUR_ROLE", "");
    let anothers = Rider(wire).get("0199f0a0-7c1e-7000-8000-5f3f9a1c2d4e").await;
    assert_refused(anothers, Code::NotFound, "NO_SUCH_RIDE", "");
}

#[tokio::test]
async fn a_token_beside_a_certificate_must_be_of_the_same_car() {
    let dir = tempfile::tempdir().unwrap();
    let (server, channel) = strict_with_seven(dir.path()).await;
    assert!(all_four(&channel, 7, Some(&server.driver(7))).await.iter().all(Result::is_ok));
    for other in [server.driver(8), server.rider("ada"), server.dispatcher()] {
        for car in [7, 8] {
            for refused in all_four(&channel, car, Some(&other)).await {
                assert_not_your_car(refused);
            }
        }
        let wire = Wire::Native(channel.clone()).with(other);
        let who: Result<v1::WhoAmIResponse, _> = wire.ask("/rides.v1.Sessions/WhoAmI", ()).await;
        assert_not_your_car(who);
    }
}
