//! Viewers that read slowly or not at all: cases L17, L18 and L19.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, body::Body, response::Response, routing::post};
use bytes::Bytes;
use futures_util::stream;
use grpc_edge::Limits;
use prost::Message as _;
use rides_proto::v1;
use tonic::Code;

use super::viewer::{Viewer, helsinki};
use crate::harness::{
    car::{Car, car},
    http::Http,
    places::{north_of, place},
    port_with, server, soon, web,
    wire::{details, pushback, retry_after},
};

/// Bytes of a stream's window: less than one frame of the map.
const TINY_WINDOW: u32 = 10;

fn watch_helsinki() -> http::Request<Bytes> {
    let request = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    web::call("/rides.v1.Fleet/Watch", &request)
}

/// The number of viewers that the server has dropped because they did not read.
async fn dropped_viewers(http: &mut Http) -> u64 {
    let figures = http.get("/metrics").await;
    let line = figures.text().lines().find_map(|line| line.strip_prefix("rides_viewers_let_go_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Moves a car back and forth, 20 times per second.
async fn to_and_fro(car: &Car) {
    for n in 0.. {
        car.reports(north_of(place(1), f64::from(n % 2) * 5.0)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// L17: one of 21 viewers reads nothing. The others get their frames. The stream of the stuck viewer ends with
/// an error.
#[tokio::test]
async fn who_is_stuck_is_told_so_in_the_end_and_delays_nobody() {
    let server = server().letting_viewers_go_after(Duration::from_secs(1)).run().await;
    let [native, page] = server.wires().await;
    let car = car(1).at(place(1)).signs_on(&server).await;
    let mut http = Http::h2_with_window(server.addr, TINY_WINDOW).await;
    let mut figures = Http::h1(server.addr).await;
    let before = dropped_viewers(&mut figures).await;
    let mut stuck = web::open(&mut http, watch_helsinki()).await;
    let mut awake = Vec::new();
    for wire in [&native, &page].into_iter().cycle().take(20) {
        awake.push(Viewer::of(wire, helsinki()).await);
    }

    let watching = async {
        while dropped_viewers(&mut figures).await == before {
            for viewer in &mut awake {
                viewer.next().await;
            }
        }
    };
    tokio::select! {
        () = soon("the stuck viewer is dropped", watching) => {}
        () = to_and_fro(&car) => {}
    }

    let mut ticks = Vec::new();
    while let Some(message) = soon("the rest of it", stuck.next()).await {
        ticks.push(v1::WatchFleetResponse::decode(message).unwrap().tick);
    }
    assert!(ticks.len() <= 3, "only buffered frames, no backlog: {ticks:?}");
    let status = stuck.status();
    let (code, reason, _) = details(&status);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "VIEWER_TOO_SLOW"));
    assert_eq!((retry_after(&status), pushback(&status)), (Some(Duration::from_secs(1)), Some(1_000)));
}

/// L19: three of four streams of one connection are not read. The fourth gets all its frames.
#[tokio::test]
async fn who_reads_one_of_four_streams_misses_nothing_of_it() {
    let server = server().run().await;
    let car = car(1).at(place(1)).signs_on(&server).await;
    let mut http = Http::h2_with_window(server.addr, TINY_WINDOW).await;
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(web::open(&mut http, watch_helsinki()).await);
    }
    let mut read = web::open(&mut http, watch_helsinki()).await;
    let reading = async {
        let mut ticks = Vec::new();
        while ticks.len() < 8 {
            let message = read.next().await.expect("the stream has ended");
            ticks.push(v1::WatchFleetResponse::decode(message).unwrap().tick);
        }
        ticks
    };
    let ticks = tokio::select! {
        ticks = soon("eight frames", reading) => ticks,
        () = to_and_fro(&car) => unreachable!("a car that drives for ever"),
    };
    assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
}

/// A service with an endless stream of messages of 16 kB. It counts the messages that the transport has taken.
fn city_of_frames(taken: Arc<AtomicUsize>) -> Router {
    let frame = Bytes::from(vec![0; 16_000]);
    Router::new().route(
        "/test.City/Watch",
        post(move || {
            let (frame, taken) = (frame.clone(), taken.clone());
            let frames = stream::repeat_with(move || {
                taken.fetch_add(1, Relaxed);
                Ok::<_, Infallible>(frame.clone())
            });
            let response = Response::builder().header("content-type", "application/grpc");
            std::future::ready(response.body(Body::from_stream(frames)).unwrap())
        }),
    )
}

/// L18: 20 clients that do not read, over each HTTP version. For each of them the server holds at most `MOST`
/// messages.
#[tokio::test]
async fn who_reads_slowly_holds_little() {
    const READERS: usize = 20;
    /// The most messages in all buffers between the handler and one reader. Nearly all of them are in the
    /// kernel.
    const MOST: usize = 20;
    let taken = Arc::new(AtomicUsize::new(0));
    let server = port_with(city_of_frames(taken.clone()), Limits::default()).await;
    for is_h2 in [false, true] {
        taken.store(0, Relaxed);
        let mut held = Vec::new();
        for _ in 0..READERS {
            let mut http = match is_h2 {
                false => Http::h1(server.addr).await,
                true => Http::h2_with_window(server.addr, 65_535).await,
            };
            let stream = http.open(web::call("/test.City/Watch", &())).await;
            held.push((http, stream));
        }
        // Wait until the transport takes no more messages.
        let mut before = usize::MAX;
        while taken.load(Relaxed) != before {
            before = taken.load(Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(before > READERS, "every reader has got a message");
        assert!(before <= READERS * MOST, "{} messages each (HTTP/2: {is_h2})", before / READERS);
    }
}
