//! Several addresses: calls take turns, and go on when a server is stopped.

use std::net::SocketAddr;

use tokio::process::Child;

use super::{client, said};
use crate::harness::{
    http::Http,
    process::{address, process},
};

async fn serving() -> (Child, SocketAddr) {
    let mut child = process(&["--cars=0", "--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut child).await;
    (child, addr)
}

/// How many of these calls a server has answered.
pub(super) async fn answered(addr: SocketAddr, calls: &[&str]) -> f64 {
    let figures = Http::h1(addr).await.get("/metrics").await;
    let of = |call: &str| {
        let name = format!("rides_rpcs_total{{method=\"{call}\",code=\"Ok\"}} ");
        figures.text().lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
    };
    calls.iter().filter_map(|call| of(call)).sum()
}

const QUOTE: [&str; 3] = ["quote", "Mannerheimintie", "Kaisaniemenkatu"];
/// What it takes.
const CALLS: [&str; 2] = ["rides.v1.City/FindPlaces", "rides.v1.Rides/Quote"];

#[tokio::test]
async fn calls_take_turns_and_go_on_when_a_server_is_stopped() {
    let ((mut first, a), (_second, b)) = (serving().await, serving().await);
    for _ in 0..4 {
        said(client(&[a, b], &QUOTE)).await.well();
    }
    let (of_first, of_second) = (answered(a, &CALLS).await, answered(b, &CALLS).await);
    assert_eq!(of_first + of_second, 12.0, "three calls each");
    assert!((4.0..=8.0).contains(&of_first), "every other one: {of_first} and {of_second}");

    first.kill().await.unwrap();
    for _ in 0..4 {
        said(client(&[a, b], &QUOTE)).await.well();
    }
    assert_eq!(answered(b, &CALLS).await, of_second + 12.0, "nobody noticed");
}

#[tokio::test]
async fn when_all_are_gone_it_says_so() {
    let ((mut first, a), (mut second, b)) = (serving().await, serving().await);
    first.kill().await.unwrap();
    second.kill().await.unwrap();
    said(client(&[a, b], &QUOTE)).await.badly(78, "UNAVAILABLE: cannot reach http://127.0.0.1:");
}
