//! Shutdown of the program with open streams: case L11.

use std::{net::SocketAddr, process::Stdio};

use futures_util::future::join_all;
use rides_proto::v1;
use tokio::{net::TcpStream, process::Child};
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_types::StatusExt as _;

use crate::{
    fleet::viewer::helsinki,
    harness::{
        SOON,
        http::StuckClient,
        process::{address, process, signal},
        rider::Rider,
        soon,
        wire::{Messages, Wire},
    },
};

/// The number of streams on each native connection.
const STREAMS: usize = 225;
/// The number of native connections.
const CONNECTIONS: usize = 4;
/// The number of gRPC-Web streams, with one connection each.
const WEB: usize = 100;

async fn serve(drain_timeout: &str) -> (Child, SocketAddr) {
    let args = ["--cars=0", "--listen=127.0.0.1:0", "--drain-timeout", drain_timeout];
    let mut child = process(&args).stderr(Stdio::null()).spawn().unwrap();
    let addr = address(&mut child).await;
    (child, addr)
}

/// Opens `count` streams. Half of them watch a ride, and half the fleet.
async fn watches(wire: &Wire, ride: &str, count: usize) -> Vec<Watching> {
    let opened = (0..count).map(async |n| match n % 2 {
        0 => {
            let request = v1::WatchRequest { ride_id: ride.to_owned(), ..Default::default() };
            let mut messages = wire.open("/rides.v1.Rides/Watch", request).await.unwrap();
            messages.expect().await;
            Watching::Ride(messages)
        }
        _ => {
            let request = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
            let mut messages = wire.open("/rides.v1.Fleet/Watch", request).await.unwrap();
            messages.expect().await;
            Watching::Fleet(messages)
        }
    });
    join_all(opened).await
}

enum Watching {
    Ride(Messages<v1::WatchResponse>),
    Fleet(Messages<v1::WatchFleetResponse>),
}

impl Watching {
    async fn last_word(self) -> Status {
        match self {
            Self::Ride(messages) => messages.expect_error().await,
            Self::Fleet(messages) => messages.expect_error().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_are_told_at_once_and_one_that_is_stuck_holds_nothing_for_long() {
    let (mut child, addr) = serve("5").await;
    let rider = Rider(Wire::Web(addr));
    let ride = rider.books("key").await.ride_id;
    let mut watching = watches(&Wire::Web(addr), &ride, WEB).await;
    for _ in 0..CONNECTIONS {
        let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
        watching.extend(watches(&Wire::Native(channel), &ride, STREAMS).await);
    }
    assert_eq!(watching.len(), 1_000);
    let _stuck = StuckClient::on(addr).await;
    let mut health: Messages<HealthCheckResponse> =
        rider.0.open("/grpc.health.v1.Health/Watch", HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.expect().await.status(), ServingStatus::Serving);

    signal(&child, "TERM").await;
    assert_eq!(health.expect().await.status(), ServingStatus::NotServing);
    for status in join_all(watching.into_iter().map(Watching::last_word)).await {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
    }
    assert!(child.try_wait().unwrap().is_none(), "the server ended before the stuck stream");
    assert_eq!(soon("the exit of the program", child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut child, addr) = serve("600").await;
    let _stuck = StuckClient::on(addr).await;
    signal(&child, "INT").await;
    let heard = async { while TcpStream::connect(addr).await.is_ok() {} };
    soon("the first signal", heard).await;
    assert!(child.try_wait().unwrap().is_none(), "the server ended before the stuck stream");
    signal(&child, "TERM").await;
    let status = tokio::time::timeout(SOON, child.wait()).await.expect("the server still waits").unwrap();
    assert_eq!(status.code(), Some(130));
}
