//! Limits on the use of resources: cases R, over real sockets.

use std::{
    num::NonZeroU32,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use grpc_edge::Limits;
use http::{Request, StatusCode};
use rides_proto::v1::{self, rides_client::RidesClient};
use rides_server::service_limits::ServiceLimits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services::{self, NeverResponds};
use crate::{
    fleet::viewer::{helsinki, watch},
    harness::{
        SOON,
        car::car,
        cuttable_stream::CuttableStream,
        http::Http,
        places::place,
        port_with, raw_h2,
        rider::{Rider, booking},
        server, soon, web,
        wire::details,
    },
};

/// A receive window in bytes that is smaller than one message.
const LESS_THAN_A_MESSAGE: u32 = 10;

/// Limits without exempt addresses, so that they apply to loopback.
fn strict() -> Limits {
    Limits { exempt_addresses: Vec::new(), ..Limits::default() }
}

fn a_second(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Asserts that the status is RESOURCE_EXHAUSTED with this reason and a retry delay.
#[track_caller]
fn assert_busy(status: &Status, reason: &str) {
    assert_busy_for(status, reason, SOON);
}

/// Asserts the same, with a retry delay of at most `longest`.
#[track_caller]
fn assert_busy_for(status: &Status, reason: &str, longest: Duration) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, reason);
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap();
    assert!(wait > Duration::ZERO && wait <= longest, "{wait:?}");
}

/// R6: the client sends nothing, or never ends its headers.
#[tokio::test]
async fn who_does_not_begin_is_let_go() {
    let limits = Limits { header_timeout: Duration::from_millis(100), ..Limits::default() };
    let server = port_with(NeverResponds::default().router(), limits).await;
    for beginning in ["", "PRI * HTTP", "GET / HT", "GET /healthz HTTP/1.1\r\nhost: somewhere.example\r\n"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(SOON, stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "still open after {beginning:?}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = port_with(NeverResponds::default().router(), limits).await;
    let mut first = Http::h1(server.addr).await;
    assert_eq!(first.get("/healthz").await.status, StatusCode::OK);

    let mut second = Http::h1(server.addr).await;
    let mut answer = std::pin::pin!(second.get("/healthz"));
    assert!(timeout(Duration::from_millis(100), answer.as_mut()).await.is_err());
    drop(first);
    assert_eq!(timeout(SOON, answer).await.unwrap().status, StatusCode::OK);
}

/// L15: packets are lost in both directions, and neither end gets a FIN.
#[tokio::test]
async fn a_peer_that_vanishes_frees_its_calls() {
    let never = NeverResponds::default();
    let (ping, pong) = (Duration::from_millis(200), Duration::from_millis(200));
    let server =
        port_with(never.router(), Limits { ping_interval: ping, ping_timeout: pong, ..Limits::default() })
            .await;
    let line = CuttableStream::to(server.addr).await;
    let cut = line.cut.clone();
    let mut http = Http::h2_over(server.addr, line).await;
    let call = tokio::spawn(async move { web::ask(&mut http, web::call("/test.Never/Answer", &())).await });
    timeout(SOON, never.begun.notified()).await.unwrap();
    assert!(
        timeout(5 * (ping + pong), never.dropped.notified()).await.is_err(),
        "a client that responds to pings"
    );

    cut.store(true, Ordering::Relaxed);
    timeout(SOON, never.dropped.notified()).await.expect("the handler still runs");
    assert!(!call.is_finished(), "the peer does not know that the connection is closed");
    call.abort();
}

#[tokio::test]
async fn one_channel_holds_two_hundred_streams() {
    let never = NeverResponds::default();
    let server = port_with(never.router(), Limits::default()).await;
    let channel = server.channel().await;
    for _ in 0..200 {
        let mut client = tonic::client::Grpc::new(channel.clone());
        tokio::spawn(async move {
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/test.Never/Answer");
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            client.unary(tonic::Request::new(()), path, codec).await
        });
        timeout(SOON, never.begun.notified()).await.expect("the stream was not taken");
    }
}

/// B6: over HTTP/1.1 each stream is a connection. Seven tabs are one more than a browser has connections, and
/// there is one more request.
#[tokio::test]
async fn seven_tabs_over_http1_are_served() {
    let server = server().run().await;
    let view = || v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    let mut tabs = Vec::new();
    for _ in 0..7 {
        let mut http = Http::h1(server.addr).await;
        let mut stream = web::open(&mut http, web::call("/rides.v1.Fleet/Watch", &view())).await;
        assert!(soon("a frame", stream.next()).await.is_some());
        tabs.push((http, stream));
    }
    let mut http = Http::h1(server.addr).await;
    assert_eq!(soon("a response", http.get("/readyz")).await.status, StatusCode::OK);
    for (_http, stream) in &mut tabs {
        assert!(soon("a heartbeat", stream.next()).await.is_some(), "the stream has ended");
    }
}

/// R6: the client sends only the preface, and does not respond to pings.
#[tokio::test]
async fn a_preface_alone_is_no_conversation() {
    let (ping, pong) = (Duration::from_millis(100), Duration::from_millis(100));
    let server = port_with(
        NeverResponds::default().router(),
        Limits { ping_interval: ping, ping_timeout: pong, ..Limits::default() },
    )
    .await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(raw_h2::PREFACE).await.unwrap();
    let mut answer = Vec::new();
    soon("the end", stream.read_to_end(&mut answer)).await.ok();
}

/// R6: after the headers the client sends nothing, or one byte now and then.
#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    let never = NeverResponds::default();
    let limits = Limits { body_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = port_with(never.router(), limits).await;
    let head = format!(
        "POST /rides.v1.Rides/Book HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ncontent-length: 99\r\n\r\n",
        web::PROTO
    );
    let (mut down, mut up) = TcpStream::connect(server.addr).await.unwrap().into_split();
    up.write_all(head.as_bytes()).await.unwrap();
    let dribble = tokio::spawn(async move {
        while up.write_all(b"\0").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    soon("the end", down.read_to_end(&mut answer)).await.ok();
    assert!(String::from_utf8_lossy(&answer).contains("grpc-status: 4"), "{answer:?}");
    dribble.abort();

    for path in ["/rides.v1.Rides/Book", "/rides.v1.Fleet/Watch"] {
        let (mut up, mut down) = raw_h2::connect(server.addr).await;
        up.call(1, path).await.unwrap();
        let answer = soon("a response", down.next_of(raw_h2::HEADERS)).await.unwrap();
        assert_eq!(answer.stream, 1);
    }
}

/// R6: an upload without a first message.
#[tokio::test]
async fn an_upload_that_does_not_begin_is_given_up() {
    let server = server().limited(|limits| limits.body_timeout = Duration::from_millis(200)).run().await;
    let mut client = RidesClient::new(server.channel().await);
    let status = soon("the end", client.track(stream::pending())).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

/// R6: an upload without a second message.
#[tokio::test]
async fn an_upload_that_falls_silent_is_given_up() {
    let server = server().limited(|limits| limits.upload_timeout = Duration::from_millis(200)).run().await;
    let position = v1::TrackRequest { car_id: 1, time: None, location: Some(place(1)) };
    let mut client = RidesClient::new(server.channel().await);
    let upload = stream::iter([position]).chain(stream::pending());
    let silent = soon("the end", client.track(upload)).await.unwrap_err();
    let driver = car(1).signs_on(&server).await;
    for status in [silent, driver.ends().await.unwrap_err()] {
        assert_eq!(
            (details(&status).0, details(&status).1),
            (Code::DeadlineExceeded, "NOTHING_SENT".to_owned())
        );
    }
}

/// R1: the stream beyond `--max-streams` is reset.
#[tokio::test]
async fn one_stream_too_many_on_a_connection_is_refused() {
    let never = NeverResponds::default();
    let server = port_with(never.router(), Limits { max_streams: 10, ..Limits::default() }).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let settings = soon("settings", down.next_of(raw_h2::SETTINGS)).await.unwrap();
    assert_eq!(settings.setting(raw_h2::MAX_CONCURRENT_STREAMS), Some(10));
    for stream in 0..11 {
        up.call(2 * stream + 1, "/test.Never/Answer").await.unwrap();
    }
    let refused = soon("the refusal", down.next_of(raw_h2::RST_STREAM)).await.unwrap();
    assert_eq!((refused.stream, refused.error()), (21, raw_h2::REFUSED_STREAM));
}

/// R2: the calls are on separate connections, and the refusal is the same in each protocol.
#[tokio::test]
async fn one_open_call_too_many_of_an_address_is_refused() {
    let never = NeverResponds::default();
    let server = port_with(never.router(), Limits { max_calls_per_address: 3, ..strict() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut http = Http::h1(server.addr).await;
        held.push(tokio::spawn(
            async move { web::ask(&mut http, web::call("/test.Never/Answer", &())).await },
        ));
        soon("the call", never.begun.notified()).await;
    }
    for mut dialect in server.dialects().await {
        let said = dialect.say("/test.Never/Answer", &[0; 5]).await;
        assert_busy(&said.status, "TOO_MANY_OPEN_CALLS");
    }
    held.pop().unwrap().abort();
    soon("the end of the call", never.dropped.notified()).await;
    let mut http = Http::h1(server.addr).await;
    tokio::spawn(async move { web::ask(&mut http, web::call("/test.Never/Answer", &())).await });
    soon("a call in the place of the other", never.begun.notified()).await;
}

/// BAD-4: neither one guest nor many guests at one address can take the whole fleet.
#[tokio::test]
async fn open_rides_are_limited_by_rider_and_by_the_address_of_guests() {
    let few = |limits: &mut ServiceLimits| {
        (limits.max_open_rides, limits.max_open_rides_per_address) = (2, 3);
    };
    let server =
        server().requiring_tokens().limited(|limits| *limits = strict()).limiting_services(few).run().await;
    for (n, wire) in server.wires().await.into_iter().enumerate() {
        let rider = |name: &str| Rider(wire.with(server.rider(&format!("{name} {n}"))));
        let wish = |n: u32| v1::BookRequest { rider_id: String::new(), ..booking(&n.to_string()) };
        let (ada, bob) = (rider("ada"), rider("bob"));
        let first = ada.book(wish(1)).await.unwrap();
        ada.book(wish(2)).await.unwrap();
        let refused = ada.book(wish(3)).await.unwrap_err();
        assert_busy_for(&refused, "TOO_MANY_OPEN_RIDES", Duration::from_secs(60));
        assert!(refused.message().contains("of this rider: the limit is 2"), "{refused:?}");
        assert_eq!(ada.book(wish(1)).await.unwrap(), first, "a repeated booking is the same ride");

        let third = bob.book(wish(1)).await.unwrap();
        let refused = bob.book(wish(2)).await.unwrap_err();
        assert_busy_for(&refused, "TOO_MANY_OPEN_RIDES", Duration::from_secs(60));
        assert!(refused.message().contains("from this address: the limit is 3"), "{refused:?}");
        ada.cancel(&first.ride_id).await.unwrap();
        bob.book(wish(2)).await.expect("a cancelled ride frees a permit");

        let eve = Rider(wire.with(server.dispatcher()));
        let rider_id = third.rider_id;
        for n in 0..5 {
            let wish = v1::BookRequest { rider_id: rider_id.clone(), ..booking(&format!("{rider_id} {n}")) };
            eve.book(wish).await.expect("dispatchers have no limit");
        }
        for ride in eve.list(v1::ListRequest::default()).await.unwrap().rides {
            _ = eve.cancel(&ride.ride_id).await;
        }
    }
}

/// BAD-4: behind a proxy each session has its own limit, and all guests have one limit together.
#[tokio::test]
async fn at_an_exempt_address_open_rides_are_limited_by_session_and_for_all_guests() {
    let few = |limits: &mut ServiceLimits| {
        (limits.max_open_rides, limits.max_open_rides_per_address) = (2, 1);
        limits.max_open_rides_at_exempt_addresses = 4;
    };
    let server = server().limiting_services(few).run().await;
    for wire in server.wires().await {
        let program = Rider(wire.clone());
        let guest = |name: &str| Rider(wire.with(server.rider(&format!("{name} {wire:?}"))));
        let wish = |n: u32| v1::BookRequest { rider_id: String::new(), ..booking(&n.to_string()) };
        let (ada, bob, eve) = (guest("ada"), guest("bob"), guest("eve"));
        let first = ada.book(wish(1)).await.unwrap();
        let mut booked = vec![first.clone(), ada.book(wish(2)).await.unwrap()];
        let refused = ada.book(wish(3)).await.unwrap_err();
        assert_busy_for(&refused, "TOO_MANY_OPEN_RIDES", Duration::from_secs(60));
        assert!(refused.message().contains("of this rider: the limit is 2"), "{refused:?}");

        booked.extend([bob.book(wish(1)).await.unwrap(), bob.book(wish(2)).await.unwrap()]);
        let refused = eve.book(wish(1)).await.unwrap_err();
        assert_busy_for(&refused, "TOO_MANY_OPEN_RIDES", Duration::from_secs(60));
        let text = "of all guests at exempt addresses: the limit is 4";
        assert!(refused.message().contains(text), "{refused:?}");
        assert_eq!(ada.book(wish(1)).await.unwrap(), first, "a repeated booking is the same ride");
        ada.cancel(&first.ride_id).await.unwrap();
        booked.push(eve.book(wish(1)).await.expect("a cancelled ride frees a permit"));

        for n in 0..20 {
            program.books(&format!("{wire:?} {n}")).await;
        }
        for ride in &booked[1..] {
            program.cancel(&ride.ride_id).await.unwrap();
        }
    }
}

/// R10: the refusal does not wait for the body.
#[tokio::test]
async fn who_calls_too_often_is_told_how_long_to_wait() {
    let limits = Limits { max_calls_per_second: a_second(1), ..strict() };
    let server = port_with(services::failing("it was let in"), limits).await;
    let mut dialects = server.dialects().await;
    for dialect in &mut dialects {
        let mut status = dialect.say("/test.Failing/Now", b"").await.status;
        for _ in 0..20 {
            status = dialect.say("/test.Failing/Now", b"").await.status;
        }
        assert_busy(&status, "TOO_MANY_CALLS");
    }

    let head = format!(
        "POST /rides.v1.Rides/Book HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ncontent-length: 9999\r\n\r\n",
        web::PROTO
    );
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 512];
    let length = soon("the refusal", stream.read(&mut answer)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("grpc-status: 8"));
}

/// Many clients share the address of a proxy. Loopback is exempt by default.
#[tokio::test]
async fn an_exempt_address_is_under_no_limit_of_an_address() {
    let limits = Limits {
        max_calls_per_second: a_second(1),
        max_calls_per_address: 1,
        max_connections_per_address: 1,
        ..Limits::default()
    };
    let server = port_with(services::failing("it was let in"), limits).await;
    for mut dialect in server.dialects().await {
        for _ in 0..10 {
            assert_eq!(dialect.say("/test.Failing/Now", b"").await.status.code(), Code::Internal);
        }
    }
}

/// W28: the client reads nothing, and the transport no longer polls the body. The deadline ends the call
/// nevertheless.
#[tokio::test]
async fn a_stuck_viewer_gives_its_place_back_at_its_deadline() {
    let server = server().limiting_services(|limits| limits.max_viewers = 1).run().await;
    let view = || v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    let mut http = Http::h2_with_window(server.addr, LESS_THAN_A_MESSAGE).await;
    let mut call = web::call("/rides.v1.Fleet/Watch", &view());
    call.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let _stuck = web::open(&mut http, call).await;
    let [wire, _] = server.wires().await;
    assert!(watch(&wire, view()).await.is_err());
    let freed = async { while watch(&wire, view()).await.is_err() {} };
    soon("the slot of the viewer", freed).await;
}

#[tokio::test]
async fn one_viewer_too_many_is_told_to_come_again() {
    let server = server().limiting_services(|limits| limits.max_viewers = 1).run().await;
    let view = || v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    for wire in server.wires().await {
        let mut first = watch(&wire, view()).await.unwrap();
        first.expect().await;
        for other in server.wires().await {
            let refused = match watch(&other, view()).await {
                Ok(refused) => refused.expect_error().await,
                Err(status) => status,
            };
            assert_busy(&refused, "TOO_MANY_VIEWERS");
        }
        drop(first);
        let freed = async {
            while let Some(Err(_)) | None = match watch(&wire, view()).await {
                Ok(mut messages) => messages.next().await,
                Err(status) => Some(Err(status)),
            } {}
        };
        soon("the slot of the viewer", freed).await;
    }
}

/// R3: gRPC's flow control slows the sender down. No message is lost, and other uploads are not slowed.
#[tokio::test]
async fn an_upload_that_is_too_fast_is_slowed_and_no_other() {
    let server = server().limited(|limits| limits.max_messages_per_second = a_second(50)).run().await;
    let positions = |car_id, count: u64| {
        let position = move |_| v1::TrackRequest { car_id, time: None, location: Some(place(1)) };
        stream::iter((0..count).map(position))
    };
    let mut client = RidesClient::new(server.channel().await);
    let mut other = client.clone();
    let begun = Instant::now();
    let hasty = tokio::spawn(async move { client.track(positions(1, 150)).await });
    assert_eq!(other.track(positions(2, 40)).await.unwrap().into_inner().count, 40);
    assert!(!hasty.is_finished());
    assert_eq!(hasty.await.unwrap().unwrap().into_inner().count, 150);
    // 50 messages are free, and the others come at 50 per second. One message is read before it is counted.
    assert!(begun.elapsed() > Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

/// R3: many small unread messages are not a flood.
#[tokio::test]
async fn windows_full_of_small_messages_cost_nobody_the_connection() {
    const UPLOADS: u32 = 12;
    let server = server().limited(|limits| limits.max_messages_per_second = a_second(1)).run().await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let settings = soon("settings", down.next_of(raw_h2::SETTINGS)).await.unwrap();
    let window = settings.setting(raw_h2::INITIAL_WINDOW_SIZE).unwrap_or(raw_h2::DEFAULT_WINDOW);
    let position = web::frame(&v1::TrackRequest { car_id: 1, time: None, location: Some(place(1)) });
    for upload in 0..UPLOADS {
        let stream = 1 + 2 * upload;
        up.call(stream, "/rides.v1.Rides/Track").await.unwrap();
        for _ in 0..window as usize / position.len() {
            up.send(raw_h2::DATA, 0, stream, &position).await.unwrap();
        }
    }
    up.send(raw_h2::PING, 0, 0, &[7; 8]).await.unwrap();
    let answered = async {
        while let Some(frame) = down.next().await {
            assert_ne!(frame.kind, raw_h2::GOAWAY, "{frame:?}");
            if (frame.kind, &frame.payload[..]) == (raw_h2::PING, &[7; 8]) {
                return;
            }
        }
        panic!("the connection has ended");
    };
    soon("the response to the ping", answered).await;
}

#[tokio::test]
async fn one_connection_too_many_of_an_address_is_closed() {
    let limits = Limits { max_connections_per_address: 2, ..strict() };
    let server = port_with(NeverResponds::default().router(), limits).await;
    let mut connections = server.both().await;
    for http in &mut connections {
        assert_eq!(http.get("/healthz").await.status, StatusCode::OK);
    }
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(soon("the end of the connection", third.read(&mut [0; 1])).await.unwrap_or(0), 0);
    drop(connections);
    let served = async {
        loop {
            let get = Request::get("/healthz").body("").unwrap();
            if let Ok(mut http) = Http::try_h1(server.addr).await
                && http.try_open(get).await.is_ok()
            {
                return;
            }
        }
    };
    soon("a connection", served).await;
}

#[tokio::test]
async fn a_connection_without_calls_is_not_kept() {
    let never = NeverResponds::default();
    let limits = Limits { idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let server = port_with(never.router(), limits).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    up.call(1, "/test.Never/Answer").await.unwrap();
    soon("the call", never.begun.notified()).await;
    let goaway = timeout(Duration::from_millis(600), down.next_of(raw_h2::GOAWAY)).await;
    assert!(goaway.is_err(), "a connection with a call is closed");
    up.cancel(1).await.unwrap();
    soon("the GOAWAY", down.next_of(raw_h2::GOAWAY)).await.unwrap();
}

/// R7: a flood of CONTINUATION frames.
#[tokio::test]
async fn headers_without_an_end_end_their_connection() {
    let server = port_with(NeverResponds::default().router(), Limits::default()).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let flood = tokio::spawn(async move {
        let block = raw_h2::header("x-more", &"7".repeat(100)).repeat(100);
        up.send(raw_h2::HEADERS, 0, 1, &block).await?;
        for _ in 0..10_000 {
            up.send(raw_h2::CONTINUATION, 0, 1, &block).await?;
        }
        std::io::Result::Ok(())
    });
    let goaway = soon("the end", down.next_of(raw_h2::GOAWAY)).await.unwrap();
    assert_eq!(goaway.error(), raw_h2::ENHANCE_YOUR_CALM);
    assert!(flood.await.unwrap().is_err(), "the connection is closed");
}

/// R7: the server stops reading from a client that sends pings and does not read the responses.
#[tokio::test]
async fn a_flood_of_pings_waits_for_its_own_answers() {
    let server = port_with(NeverResponds::default().router(), Limits::default()).await;
    let (mut up, _unread) = raw_h2::connect(server.addr).await;
    let flood = async {
        for n in 0..10_000_000u64 {
            if up.send(raw_h2::PING, 0, 0, &n.to_be_bytes()).await.is_err() {
                return;
            }
        }
    };
    assert!(timeout(Duration::from_secs(3), flood).await.is_err(), "the server read all pings");
    for mut http in server.both().await {
        assert_eq!(soon("a response", http.get("/healthz")).await.status, StatusCode::OK);
    }
}
