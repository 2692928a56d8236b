//! Connections that send more frames than their calls need are read more slowly: case R7, over real sockets.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use grpc_edge::Limits;
use http::StatusCode;
use tonic::Code;

use super::services::{self, NeverResponds};
use crate::harness::{Running, http::Http, port_with, raw_h2, soon};

/// Frames per second. Twice as many may come at once.
const PACE: u32 = 500;

/// Limits without exempt addresses, so that they apply to loopback.
fn strict() -> Limits {
    Limits { exempt_addresses: Vec::new(), max_frames_per_second: rate(PACE), ..Limits::default() }
}

fn rate(per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(per_second).unwrap()
}

/// Asserts that `frames` frames took at least half of the time that they need at this rate. The last ones are
/// read together, which is faster.
#[track_caller]
fn assert_paced(begun: Instant, frames: u32) {
    let least = Duration::from_secs(1) * (frames - 2 * PACE) / PACE;
    assert!(begun.elapsed() >= least.mul_f64(0.5), "{:?}, and not {least:?}", begun.elapsed());
}

async fn assert_others_are_served(server: &Running) {
    for mut http in server.both().await {
        assert_eq!(soon("a response", http.get("/healthz")).await.status, StatusCode::OK);
    }
}

/// R7: this holds also if the sender reads the responses.
#[tokio::test]
async fn a_flood_of_frames_is_read_at_its_pace() {
    const FRAMES: u32 = 4 * PACE;
    for kind in [raw_h2::PING, raw_h2::SETTINGS] {
        let payload: &[u8] = if kind == raw_h2::PING { &[7; 8] } else { &[] };
        let server = port_with(NeverResponds::default().router(), strict()).await;
        let (mut up, mut down) = raw_h2::connect(server.addr).await;
        let begun = Instant::now();
        let flood = async {
            for _ in 0..FRAMES {
                up.send(kind, 0, 0, payload).await.unwrap();
            }
        };
        let answers = async {
            for _ in 0..FRAMES {
                soon("a response", down.next_of(kind)).await.unwrap();
            }
        };
        tokio::join!(flood, answers, assert_others_are_served(&server));
        assert_paced(begun, FRAMES);
    }
}

/// R7: a refused call costs as much as 100 frames, because refusing it costs more than sending it.
#[tokio::test]
async fn calls_that_are_refused_are_read_at_their_pace() {
    const CALLS: u32 = 18;
    let limits = Limits { max_calls_per_second: NonZeroU32::MIN, ..strict() };
    let server = port_with(services::failing("it was let in"), limits).await;
    let mut dialects = server.dialects().await;
    for dialect in [dialects.pop().unwrap(), dialects.swap_remove(0)].iter_mut() {
        let begun = Instant::now();
        for _ in 0..CALLS {
            let code = dialect.say("/test.Failing/Now", b"").await.status.code();
            assert!([Code::Internal, Code::ResourceExhausted].contains(&code), "{code:?}");
        }
        // The calls within the limit cost little.
        assert_paced(begun, 100 * (CALLS - 3));
    }
}

/// Makes calls and cancels them at once. Then waits for the response to a ping, after which all of them were
/// read.
async fn cancel_at_once(
    up: &mut raw_h2::FrameSender,
    down: &mut raw_h2::FrameReceiver,
    streams: impl Iterator<Item = u32>,
) {
    for stream in streams {
        up.call(stream, "/test.Never/Answer").await.unwrap();
        up.cancel(stream).await.unwrap();
    }
    up.send(raw_h2::PING, 0, 0, &[7; 8]).await.unwrap();
    loop {
        let frame = soon("the response to a ping", down.next()).await.expect("the connection has ended");
        assert_ne!(frame.kind, raw_h2::GOAWAY, "{frame:?}");
        if (frame.kind, frame.payload.as_slice()) == (raw_h2::PING, &[7; 8]) {
            return;
        }
    }
}

/// The odd numbers from `first`: the stream ids of a client.
fn streams(first: u32, count: u32) -> impl Iterator<Item = u32> {
    (first..).step_by(2).take(count as usize)
}

/// CLIENT-1, CLIENT-2: as many calls as a session may begin at once, each with data after its reset, as when a
/// group of tasks is cancelled.
#[tokio::test]
async fn a_group_of_calls_that_is_cancelled_costs_nobody_the_connection() {
    let limits = Limits { exempt_addresses: Vec::new(), ..Limits::default() };
    let server = port_with(NeverResponds::default().router(), limits).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let begun = Instant::now();
    for stream in streams(1, 200) {
        up.call(stream, "/test.Never/Answer").await.unwrap();
        up.cancel(stream).await.unwrap();
        up.send(raw_h2::DATA, raw_h2::END_STREAM, stream, &[0; 5]).await.unwrap();
    }
    cancel_at_once(&mut up, &mut down, streams(401, 0)).await;
    // The calls cost 1,800 of the 2,000 frames that may come at once. A pause would take at least a second.
    assert!(begun.elapsed() < Duration::from_secs(1), "the connection was slowed: {:?}", begun.elapsed());
}

/// CLIENT-1, CLIENT-2: a client at an exempt address is not slowed for the calls that it cancels.
#[tokio::test]
async fn an_exempt_address_may_cancel_without_end() {
    let server = port_with(NeverResponds::default().router(), Limits::default()).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    for burst in 0..100 {
        cancel_at_once(&mut up, &mut down, streams(1 + 200 * burst, 100)).await;
    }
}

/// CLIENT-2: the server responds with a reset to data that was under way when the client cancelled.
#[tokio::test]
async fn data_of_calls_that_were_cancelled_never_ends_the_connection() {
    const CALLS: u32 = 3_000;
    let server = port_with(NeverResponds::default().router(), Limits::default()).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let calls = async {
        for stream in streams(1, CALLS) {
            up.call(stream, "/test.Never/Answer").await.unwrap();
            up.cancel(stream).await.unwrap();
            up.send(raw_h2::DATA, raw_h2::END_STREAM, stream, &[0; 5]).await.unwrap();
        }
        up.send(raw_h2::PING, 0, 0, &[7; 8]).await.unwrap();
    };
    let answers = async {
        let mut resets = 0;
        loop {
            let frame = soon("a frame", down.next()).await.expect("the connection has ended");
            match frame.kind {
                raw_h2::PING if frame.payload == [7; 8] => return resets,
                raw_h2::RST_STREAM => resets += u32::from(frame.error() == raw_h2::STREAM_CLOSED),
                kind => assert_ne!(kind, raw_h2::GOAWAY, "{frame:?}"),
            }
        }
    };
    let ((), resets) = tokio::join!(calls, answers);
    // The library h2 ignores such data for the last few streams, which it still remembers.
    assert!(resets > 1_024, "only {resets} resets");
}

/// R7: others are served at once, and the sender of the flood waits.
#[tokio::test]
async fn a_flood_of_resets_is_read_at_its_pace() {
    const CALLS: u32 = PACE;
    let limits = Limits { max_calls_per_second: rate(100_000), ..strict() };
    let server = port_with(NeverResponds::default().router(), limits).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let begun = Instant::now();
    tokio::join!(cancel_at_once(&mut up, &mut down, streams(1, CALLS)), assert_others_are_served(&server));
    assert_paced(begun, 5 * CALLS);
}

/// R7: each call beyond `--max-streams` is refused with a reset, which counts too.
#[tokio::test]
async fn a_flood_of_refused_streams_is_read_at_its_pace() {
    const CALLS: u32 = PACE;
    let server = port_with(NeverResponds::default().router(), Limits { max_streams: 1, ..strict() }).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    up.call(1, "/test.Never/Answer").await.unwrap();
    let begun = Instant::now();
    let flood = async {
        for stream in streams(3, CALLS) {
            up.call(stream, "/test.Never/Answer").await.unwrap();
        }
    };
    let refusals = async {
        for _ in 0..CALLS {
            let refusal = soon("a refusal", down.next_of(raw_h2::RST_STREAM)).await.unwrap();
            assert_eq!(refusal.error(), raw_h2::REFUSED_STREAM);
        }
    };
    tokio::join!(flood, refusals, assert_others_are_served(&server));
    assert_paced(begun, 5 * CALLS);
}

/// R7: `--max-resets` ends a connection when the operator allows more frames.
#[tokio::test]
async fn more_resets_than_are_allowed_end_the_connection() {
    let limits = Limits {
        exempt_addresses: Vec::new(),
        max_frames_per_second: rate(1_000_000),
        max_resets: 5,
        ..Limits::default()
    };
    let server = port_with(NeverResponds::default().router(), limits).await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let flood = tokio::spawn(async move {
        for stream in streams(1, 100_000) {
            up.call(stream, "/test.Never/Answer").await?;
            up.cancel(stream).await?;
        }
        std::io::Result::Ok(())
    });
    let goaway = soon("the end", down.next_of(raw_h2::GOAWAY)).await.unwrap();
    assert_eq!(goaway.error(), raw_h2::ENHANCE_YOUR_CALM);
    assert!(flood.await.unwrap().is_err(), "the connection is closed");
    assert_eq!(Http::h2(server.addr).await.get("/healthz").await.status, StatusCode::OK);
}
