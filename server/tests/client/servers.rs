//! Several servers: calls go to the first, and to the next when the first has stopped.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::process::Child;

use super::{client, run, start};
use crate::harness::{
    http::Http,
    process::{address, process},
};

async fn serving() -> (Child, SocketAddr) {
    let mut child = process(&["--cars=0", "--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut child).await;
    (child, addr)
}

/// The number of successful calls of these methods, from the metrics of the server.
pub(super) async fn ok_calls(addr: SocketAddr, calls: &[&str]) -> f64 {
    let figures = Http::h1(addr).await.get("/metrics").await;
    let of = |call: &str| {
        let name = format!("rides_rpcs_total{{method=\"{call}\",code=\"Ok\"}} ");
        figures.text().lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
    };
    calls.iter().filter_map(|call| of(call)).sum()
}

const QUOTE: [&str; 3] = ["quote", "Mannerheimintie", "Kaisaniemenkatu"];
/// The calls that `QUOTE` makes. It searches for two places.
const CALLS: [&str; 2] = ["rides.v1.City/FindPlaces", "rides.v1.Rides/Quote"];

#[tokio::test]
async fn calls_go_to_one_server_and_on_to_the_next_when_it_is_stopped() {
    let ((mut first, a), (_second, b)) = (serving().await, serving().await);
    for _ in 0..4 {
        run(client(&[a, b], &QUOTE)).await.success_output();
    }
    assert_eq!((ok_calls(a, &CALLS).await, ok_calls(b, &CALLS).await), (12.0, 0.0), "three calls each");

    first.kill().await.unwrap();
    for _ in 0..4 {
        run(client(&[a, b], &QUOTE)).await.success_output();
    }
    assert_eq!(ok_calls(b, &CALLS).await, 12.0, "every call succeeded on the other server");
}

/// The second server does not have the ride.
#[tokio::test]
async fn a_ride_is_looked_for_where_it_was_booked() {
    let ((_first, a), (_second, b)) = (serving().await, serving().await);
    let mut watch = start(client(&[a, b], &["book", QUOTE[1], QUOTE[2], "--watch", "--json"]));
    let booked: Value = serde_json::from_str(&watch.says("\"ride\"").await).unwrap();
    watch.says("\"opened\"").await;
    let id = booked["ride"]["rideId"].as_str().unwrap();
    assert_eq!(run(client(&[a, b], &["cancel", id, "--json"])).await.json()[0]["ride"]["rideId"], *id);
    watch.says("\"cancelled\"").await;
    assert_eq!(watch.ends().await.code(), Some(0));
}

#[tokio::test]
async fn when_all_are_gone_it_says_so() {
    let ((mut first, a), (mut second, b)) = (serving().await, serving().await);
    first.kill().await.unwrap();
    second.kill().await.unwrap();
    run(client(&[a, b], &QUOTE)).await.assert_error(78, "UNAVAILABLE: cannot reach http://127.0.0.1:");
}
