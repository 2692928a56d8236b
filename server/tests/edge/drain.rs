use std::time::Duration;

use prost::Message as _;
use rides_server::edge::Limits;
use tokio::{net::TcpStream, time::timeout};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use super::services::{self, Gate, Never};
use crate::harness::{SOON, http::Http, port_with, server, web};

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
    let server = port_with(gate.router(), Limits::default()).await;
    let calls = server.both().await.map(|mut http| {
        tokio::spawn(async move { web::ask(&mut http, web::call("/test.Gate/Pass", &())).await })
    });
    for _ in &calls {
        timeout(SOON, gate.begun.notified()).await.unwrap();
    }

    server.stop();
    // Until nobody can connect any more, the server has not noticed.
    while TcpStream::connect(server.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gate.open.notify_waiters();
    for call in calls {
        assert_eq!(call.await.unwrap().status.message(), "passed");
    }
    assert!(server.stopped().await < AT_ONCE);
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
