use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use rides_proto::v1::{self, rides_client::RidesClient};
use rides_server::edge::Limits;
use tokio::{net::TcpStream, time::timeout};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use super::services::{self, Gate, Never};
use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        Running, SOON, http::Http, places::place, port_that_goes, port_with, server, soon, web, wire::Wire,
    },
};

/// Far less than the drain timeout: what is told to end does so.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn streams_are_told_that_the_server_goes() {
    let server = server().run().await;
    let mut web_streams = Vec::new();
    for http in &mut server.both().await {
        let watch = web::call("/grpc.health.v1.Health/Watch", &HealthCheckRequest::default());
        let mut stream = web::open(http, watch).await;
        assert_eq!(serving(&stream.next().await.unwrap()), ServingStatus::Serving);
        web_streams.push(stream);
    }
    let mut native = HealthClient::new(server.channel().await);
    let mut native_stream = native.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    native_stream.message().await.unwrap().unwrap();

    server.stop();
    for mut stream in web_streams {
        assert_eq!(serving(&stream.next().await.unwrap()), ServingStatus::NotServing);
        assert!(stream.next().await.is_none());
        let status = stream.status();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.get_details_retry_info().is_some());
    }
    assert_eq!(native_stream.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(native_stream.message().await.unwrap_err().code(), Code::Unavailable);

    let addr = server.addr;
    assert!(server.stopped().await < AT_ONCE);
    assert!(TcpStream::connect(addr).await.is_err());
}

fn serving(message: &[u8]) -> ServingStatus {
    HealthCheckResponse::decode(message).unwrap().status()
}

/// L11: on a connection that is still open.
#[tokio::test]
async fn a_call_that_comes_too_late_is_told_to_come_again_and_does_nothing() {
    let executed = Arc::new(AtomicUsize::new(0));
    let server = port_that_goes(services::counting(executed.clone())).await;
    for wire in server.wires().await {
        let asked = wire.ask::<_, v1::GetResponse>("/rides.v1.Rides/Get", v1::GetRequest::default()).await;
        let watched = async {
            let watch = v1::WatchRequest::default();
            let mut messages = wire.open::<_, v1::WatchResponse>("/rides.v1.Rides/Watch", watch).await?;
            messages.next().await.expect("an end without a status")
        };
        for status in [asked.unwrap_err(), watched.await.unwrap_err()] {
            assert_eq!(status.code(), Code::Unavailable, "{wire:?}");
            let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert!(retry.is_some_and(|delay| delay > Duration::ZERO), "{wire:?}: {status:?}");
        }
        let health = wire.ask("/grpc.health.v1.Health/Check", HealthCheckRequest::default()).await;
        assert_eq!(
            health.map(|health: HealthCheckResponse| health.status()).unwrap(),
            ServingStatus::NotServing
        );
    }
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// A client that has more to send, for all anyone knows.
#[tokio::test]
async fn an_upload_without_an_end_is_ended() {
    let server = server().draining_for(SOON).run().await;
    let mut client = RidesClient::new(server.channel().await);
    let position = v1::TrackRequest { car_id: 1, time: None, location: Some(place(1)) };
    let upload = stream::iter([position]).chain(stream::pending());
    let call = tokio::spawn(async move { client.track(upload).await });
    let mut viewer = Viewer::of(&Wire::Web(server.addr), helsinki()).await;
    viewer.until_cars(1).await;

    server.stop();
    let status = soon("the end", call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    drop(viewer);
    assert!(server.stopped().await < AT_ONCE);
}

#[tokio::test]
async fn a_stream_that_always_has_more_ends_too() {
    let server = port_with(services::flood(), Limits::default()).await;
    let mut streams = Vec::new();
    let mut connections = server.both().await;
    for http in &mut connections {
        let mut stream = web::open(http, web::call("/test.Flood/Watch", &())).await;
        stream.next().await.unwrap();
        streams.push(stream);
    }
    server.stop();
    for mut stream in streams {
        while stream.next().await.is_some() {}
        assert_eq!(stream.status().code(), Code::Unavailable);
    }
    assert!(server.stopped().await < AT_ONCE);
}

#[tokio::test]
async fn neither_a_handler_nor_a_client_that_is_stuck_can_hold_it() {
    let never = Never::default();
    let limits = Limits { drain: Duration::from_millis(200), ..Limits::default() };
    let server = port_with(never.router().merge(services::flood()), limits).await;

    // Two clients that do not read, and one handler that does not answer, on each HTTP version.
    let mut held = Vec::new();
    for mut http in server.both().await {
        let stream = web::open(&mut http, web::call("/test.Flood/Watch", &())).await;
        held.push((http, stream));
    }
    let calls = [Http::h1(server.addr).await, Http::h2(server.addr).await].map(|mut http| {
        tokio::spawn(async move { web::ask(&mut http, web::call("/test.Never/Answer", &())).await })
    });
    for _ in &calls {
        timeout(SOON, never.begun.notified()).await.unwrap();
    }

    server.stop();
    assert!(server.stopped().await < AT_ONCE);
    for call in calls {
        assert!(call.await.is_err(), "there was no answer to give");
    }
    timeout(SOON, never.dropped.notified()).await.expect("the handler runs on");
}

#[tokio::test]
async fn a_call_in_progress_may_finish() {
    let gate = Gate::default();
    let server = port_with(gate.router().merge(services::failing("not yet")), Limits::default()).await;
    let calls = server.both().await.map(|mut http| {
        tokio::spawn(async move { web::ask(&mut http, web::call("/test.Gate/Pass", &())).await })
    });
    for _ in &calls {
        timeout(SOON, gate.begun.notified()).await.unwrap();
    }

    server.stop();
    until_it_goes(&server).await;
    gate.open.notify_waiters();
    for call in calls {
        assert_eq!(call.await.unwrap().status.message(), "passed");
    }
    assert!(server.stopped().await < AT_ONCE);
}

/// Until new calls are refused, the server has not noticed that it is to go.
async fn until_it_goes(server: &Running) {
    let refused = async {
        loop {
            let reply = web::ask(&mut Http::h1(server.addr).await, web::call("/test.Failing/Now", &())).await;
            if reply.status.code() == Code::Unavailable {
                return reply.status;
            }
        }
    };
    let status = soon("the refusal of a new call", refused).await;
    assert!(status.get_details_retry_info().is_some());
}

/// Who connects while calls in progress may still end is told to come again, and holds nothing up.
#[tokio::test]
async fn a_new_connection_is_answered_until_the_end() {
    let gate = Gate::default();
    let server = port_with(
        gate.router().merge(services::failing("not yet")),
        Limits { drain: SOON, ..Limits::default() },
    )
    .await;
    let mut http = Http::h1(server.addr).await;
    let call = tokio::spawn(async move { web::ask(&mut http, web::call("/test.Gate/Pass", &())).await });
    timeout(SOON, gate.begun.notified()).await.unwrap();
    server.stop();
    until_it_goes(&server).await;

    for mut late in server.both().await {
        let reply = web::ask(&mut late, web::call("/test.Gate/Pass", &())).await;
        assert_eq!(reply.status.code(), Code::Unavailable);
        assert!(reply.status.get_details_retry_info().is_some());
    }
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    gate.open.notify_waiters();
    assert_eq!(call.await.unwrap().status.message(), "passed");
    let addr = server.addr;
    assert!(server.stopped().await < AT_ONCE);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_connection_without_calls_holds_nothing() {
    let server = server().draining_for(SOON).run().await;
    let mut connections = server.both().await;
    for http in &mut connections {
        assert_eq!(http.get("/readyz").await.text(), "ready\n");
    }
    server.stop();
    assert!(server.stopped().await < AT_ONCE);
}
