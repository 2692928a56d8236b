//! Shutdown: streams end at once, calls in progress finish, and connections close.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use grpc_edge::Limits;
use http::{StatusCode, header::CONNECTION};
use prost::Message as _;
use rides_proto::v1::{self, rides_client::RidesClient};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use super::services::{self, GatedHandler, NeverResponds};
use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{Running, SOON, http::Http, places::place, port_with, raw_h2, server, soon, web, wire::Wire},
};

/// Far less than the drain timeout. Everything that is told to end does so within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

const NATIVE: &str = "application/grpc";

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
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "GOING_DOWN");
        assert!(details.retry_info().is_some() && details.request_info().is_some(), "{details:?}");
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

/// CLIENT-3: two GOAWAY frames, of which the second has the id of the last stream that is served (RFC 9113,
/// section 6.8).
#[tokio::test]
async fn calls_that_cross_the_goaway_are_served_and_streams_are_refused_for_another_server() {
    let (gate, executed) = (GatedHandler::default(), Arc::new(AtomicUsize::new(0)));
    let router = gate.router().merge(services::counting(executed.clone()));
    let server = port_with(router, Limits::default()).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    up.ask(1, NATIVE, "/test.Gate/Pass").await.unwrap();
    soon("the first call", gate.begun.notified()).await;

    server.stop();
    let warning = soon("the warning", down.next_of(raw_h2::GOAWAY)).await.unwrap();
    assert_eq!((warning.last_stream(), warning.error()), (i32::MAX as u32, raw_h2::NO_ERROR));
    let ping = soon("the ping", down.next_of(raw_h2::PING)).await.unwrap();
    for (stream, content_type, path, answer) in [
        (3, NATIVE, "/rides.v1.Rides/Get", raw_h2::HEADERS),
        (5, web::PROTO, "/rides.v1.Rides/Get", raw_h2::HEADERS),
        (7, NATIVE, "/grpc.health.v1.Health/Watch", raw_h2::HEADERS),
        (9, NATIVE, "/rides.v1.Rides/Watch", raw_h2::RST_STREAM),
        (11, NATIVE, "/rides.v1.Rides/Track", raw_h2::RST_STREAM),
        (13, NATIVE, "/rides.v1.Fleet/Drive", raw_h2::RST_STREAM),
        // A browser would report a reset only as a failed fetch.
        (15, web::PROTO, "/rides.v1.Rides/Watch", raw_h2::HEADERS),
    ] {
        up.ask(stream, content_type, path).await.unwrap();
        let frame = soon("a response", down.next_on(stream)).await.unwrap();
        assert_eq!(frame.kind, answer, "{content_type} {path}: {frame:?}");
        if answer == raw_h2::RST_STREAM {
            assert_eq!(frame.error(), raw_h2::REFUSED_STREAM, "gRPC clients retry it by themselves");
        }
    }
    assert_eq!(executed.load(Ordering::Relaxed), 2, "only the two unary calls");
    up.send(raw_h2::PING, raw_h2::ACK, 0, &ping.payload).await.unwrap();
    let last = soon("the last GOAWAY", down.next_of(raw_h2::GOAWAY)).await.unwrap();
    assert_eq!((last.last_stream(), last.error()), (15, raw_h2::NO_ERROR));
    gate.open.notify_waiters();
    assert_eq!(soon("the response to the first call", down.next_on(1)).await.unwrap().kind, raw_h2::HEADERS);
    drop(up);
    assert!(server.stopped().await < AT_ONCE);
}

/// CLIENT-3: GOAWAY comes before the end of the stream. So the client opens its next stream at another server.
#[tokio::test]
async fn a_connection_is_told_to_open_no_more_before_its_streams_end() {
    let server = server().run().await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    up.ask(1, NATIVE, "/grpc.health.v1.Health/Watch").await.unwrap();
    assert_eq!(soon("the headers", down.next_on(1)).await.unwrap().kind, raw_h2::HEADERS);
    server.stop();
    let mut told = false;
    loop {
        let frame = soon("the end of the stream", down.next()).await.unwrap();
        told |= frame.kind == raw_h2::GOAWAY;
        if (frame.kind, frame.stream) == (raw_h2::HEADERS, 1) {
            return assert!(told, "the trailers came before GOAWAY");
        }
    }
}

/// CLIENT-3: a connection in the backlog of the kernel is served.
#[tokio::test]
async fn a_client_that_had_connected_is_served_once_more() {
    let server = port_with(services::failing("served"), Limits::default()).await;
    // The server does not run until this task waits, because the runtime has one thread.
    let connect = || {
        let stream = std::net::TcpStream::connect(server.addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let (mut h1, h2) = (connect(), connect());
    h1.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    server.stop();
    let (mut up, mut down) = raw_h2::on(TcpStream::from_std(h2).unwrap()).await;
    up.ask(1, NATIVE, "/test.Failing/Now").await.unwrap();
    let mut heard = Vec::new();
    while let Some(frame) = soon("the response and the end", down.next()).await {
        heard.push((frame.kind, frame.stream));
    }
    for frame in [(raw_h2::HEADERS, 1), (raw_h2::GOAWAY, 0)] {
        assert!(heard.contains(&frame), "{frame:?} is not in {heard:?}");
    }
    drop(up);
    let mut answer = String::new();
    let mut h1 = TcpStream::from_std(h1).unwrap();
    soon("the response and the end", h1.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("alive\n"), "{answer}");
    assert!(server.stopped().await < AT_ONCE);
}

/// The client keeps its sending half open.
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
    let never = NeverResponds::default();
    let limits = Limits { drain_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = port_with(never.router().merge(services::flood()), limits).await;

    // On each HTTP version: a client that does not read, and a handler that does not respond.
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
        assert!(call.await.is_err(), "a call without a response");
    }
    timeout(SOON, never.dropped.notified()).await.expect("the handler still runs");
}

#[tokio::test]
async fn a_call_in_progress_may_finish() {
    let gate = GatedHandler::default();
    let server = port_with(gate.router(), Limits::default()).await;
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

/// Waits until the server refuses connections, which is the sign that its shutdown has begun.
async fn until_it_goes(server: &Running) {
    let refused = async { while TcpStream::connect(server.addr).await.is_ok() {} };
    soon("the refusal of a new connection", refused).await;
}

/// CLIENT-3: HTTP/1.1 has no GOAWAY, and a proxy may use a connection that it keeps at any time. The next
/// response has `connection: close`.
#[tokio::test]
async fn a_connection_of_http1_that_is_kept_hears_of_the_end_by_its_next_response() {
    let server = port_with(services::failing("served"), Limits::default()).await;
    let mut http = Http::h1(server.addr).await;
    let mut calls = 0;
    loop {
        let answer = http.get("/healthz").await;
        assert_eq!(answer.status, StatusCode::OK, "call {calls} is lost");
        calls += 1;
        if answer.headers.get(CONNECTION).is_some_and(|it| it == "close") {
            break;
        }
        server.stop();
    }
    assert!(calls > 1);
    assert!(server.stopped().await < AT_ONCE);
}

/// CLIENT-3: a load balancer uses another server at once, also when calls in progress take long.
#[tokio::test]
async fn new_connections_are_refused_while_calls_in_progress_end() {
    let gate = GatedHandler::default();
    let server = port_with(gate.router(), Limits { drain_timeout: SOON, ..Limits::default() }).await;
    let mut http = Http::h1(server.addr).await;
    let call = tokio::spawn(async move { web::ask(&mut http, web::call("/test.Gate/Pass", &())).await });
    timeout(SOON, gate.begun.notified()).await.unwrap();
    let silent = TcpStream::connect(server.addr).await.unwrap();
    server.stop();
    until_it_goes(&server).await;

    gate.open.notify_waiters();
    assert_eq!(call.await.unwrap().status.message(), "passed");
    let addr = server.addr;
    assert!(server.stopped().await < AT_ONCE, "a silent client delays the shutdown");
    assert!(TcpStream::connect(addr).await.is_err());
    drop(silent);
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
