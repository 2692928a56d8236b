//! Client certificates: the car they belong to, expiry and revocation.

use std::{fmt, fs, path::Path, time::Duration};

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
use rides_server::tls::{CertificateFiles, development::DevelopmentCa};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::harness::{
    Running,
    authority::Authority,
    places::place,
    rider::{Rider, booking},
    server, soon,
    tls::TlsClient,
    wire::{Wire, assert_refused, details},
};

fn driver_of(dir: &Path, car: i64) -> CertificateFiles {
    let (development, car) = (DevelopmentCa::at(dir), CarId::new(car).unwrap());
    development.ensure(&[]).unwrap();
    development.ensure_driver(car).unwrap();
    development.driver(car)
}

/// Returns a server that requires a token or a certificate, and a connection with the certificate of car 7.
async fn strict_with_seven(dir: &Path) -> (Running, Channel) {
    let seven = driver_of(dir, 7);
    let development = DevelopmentCa::at(dir);
    let server = server()
        .requiring_tokens()
        .with_files(development.server())
        .over_tls(|tls| tls.client_ca = Some(development.ca()))
        .run()
        .await;
    let channel = TlsClient::with(server.addr, &development.ca(), Some(seven)).channel().await.unwrap();
    (server, channel)
}

fn bearing<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = token.map(|token| format!("Bearer {token}").parse().unwrap());
    bearer.map(|bearer| request.metadata_mut().insert("authorization", bearer));
    request
}

/// Makes each of the four calls that are for drivers (Track, Drive, Start, End) for `car`.
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
        let said = soon("a response", down.message()).await?.and_then(|said| said.message);
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

/// A certificate has the rights of a driver's token for the same car, and no others.
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

/// Returns a server that trusts the certificates of `authority`, and a function that makes clients of it.
async fn trusting(authority: &Authority, dir: &Path) -> (Running, impl Fn(CertificateFiles) -> TlsClient) {
    let development = DevelopmentCa::at(dir);
    development.ensure(&[]).unwrap();
    let server = server()
        .requiring_tokens()
        .with_files(development.server())
        .over_tls(|tls| (tls.client_ca, tls.client_crl) = (Some(authority.ca()), Some(authority.crl())))
        .run()
        .await;
    let (addr, ca) = (server.addr, development.ca());
    (server, move |own| TlsClient::with(addr, &ca, Some(own)))
}

/// Signs a car on, and returns both halves of its stream.
async fn drives(channel: &Channel, car: i64) -> (mpsc::Sender<DriveRequest>, Streaming<v1::DriveResponse>) {
    let (up, said) = mpsc::channel(1);
    let sign_on = up::SignOn { car_id: car, driver_id: format!("driver-{car}"), location: Some(place(1)) };
    up.send(DriveRequest { message: Some(Up::SignOn(sign_on)) }).await.unwrap();
    let mut fleet = FleetClient::new(channel.clone());
    let mut down = soon("headers", fleet.drive(ReceiverStream::new(said))).await.unwrap().into_inner();
    let first = soon("a response", down.message()).await.unwrap().and_then(|said| said.message);
    assert!(matches!(first, Some(Down::SignedOn(_))), "{first:?}");
    (up, down)
}

/// Asserts that the stream ends with `CERTIFICATE_OVER`.
async fn ends_with_its_certificate<T>(mut stream: Streaming<T>) {
    let end = async {
        loop {
            match stream.message().await {
                Ok(message) => assert!(message.is_some(), "the stream ended with OK"),
                Err(status) => return status,
            }
        }
    };
    let status = soon("the end", end).await;
    assert_eq!(
        (details(&status).0, details(&status).1),
        (Code::Unauthenticated, "CERTIFICATE_OVER".to_owned())
    );
}

async fn uploads(channel: &Channel, car: i64) -> Result<(), Status> {
    let position = TrackRequest { car_id: car, time: None, location: Some(place(1)) };
    RidesClient::new(channel.clone()).track(tokio_stream::once(position)).await.map(|_| ())
}

/// A2: a certificate expires.
#[tokio::test]
async fn a_certificate_that_ends_ends_its_streams() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let (_server, client) = trusting(&authority, dir.path()).await;
    let short = client(authority.certifies(7, Duration::from_secs(3))).channel().await.unwrap();
    let long = client(authority.certifies(8, Duration::from_secs(3600))).channel().await.unwrap();
    let (_up, ending) = drives(&short, 7).await;
    let (_up, lasting) = drives(&long, 8).await;

    ends_with_its_certificate(ending).await;
    // The connection stays open, but every new call on it is refused.
    assert_refused(uploads(&short, 7).await, Code::Unauthenticated, "CERTIFICATE_OVER", "");
    uploads(&long, 8).await.unwrap();
    drop(lasting);
}

/// A2: a certificate is revoked.
#[tokio::test]
async fn a_certificate_that_is_revoked_ends_its_streams_and_opens_no_more() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let (_server, client) = trusting(&authority, dir.path()).await;
    let hour = Duration::from_secs(3600);
    let [seven, eight] = [7, 8].map(|car| client(authority.certifies(car, hour)));
    let (lost, kept) = (seven.channel().await.unwrap(), eight.channel().await.unwrap());
    let (_up, ending) = drives(&lost, 7).await;
    let (_up, lasting) = drives(&kept, 8).await;

    authority.revokes(&[7]);
    ends_with_its_certificate(ending).await;
    assert_refused(uploads(&lost, 7).await, Code::Unauthenticated, "CERTIFICATE_OVER", "");
    let again =
        async { Ok::<_, crate::harness::http::ConnectError>(uploads(&seven.channel().await?, 7).await?) };
    assert!(again.await.is_err(), "the handshake succeeded");
    uploads(&kept, 8).await.unwrap();
    uploads(&eight.channel().await.unwrap(), 8).await.unwrap();
    drop(lasting);
}

#[tokio::test]
async fn a_list_of_revoked_certificates_that_is_none_is_said_at_once() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let development = DevelopmentCa::at(dir.path());
    development.ensure(&[]).unwrap();
    fs::write(authority.crl(), fs::read(authority.ca()).unwrap()).unwrap();
    let server = server()
        .with_files(development.server())
        .over_tls(|tls| (tls.client_ca, tls.client_crl) = (Some(authority.ca()), Some(authority.crl())));
    let error = server.fails().await;
    assert!(error.contains("contains no certificate revocation list"), "{error}");
}
