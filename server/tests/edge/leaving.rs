//! Clients that give up their calls.

use std::time::Instant;

use rides_server::edge::Limits;

use super::services::Never;
use crate::harness::{port_with, soon, web};

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_dropped() {
    let never = Never::default();
    let server = port_with(never.router(), Limits::default()).await;
    for mut http in server.both().await {
        let call = tokio::spawn(async move {
            web::ask(&mut http, web::call("/test.Never/Answer", &())).await;
        });
        soon("the call", never.begun.notified()).await;
        call.abort();
        soon("its end", never.dropped.notified()).await;
    }
}

/// Measures, and asserts nothing: `cargo test -p rides-server --test all -- --ignored --nocapture how_soon`
#[tokio::test]
#[ignore = "it measures"]
async fn how_soon_a_call_that_is_closed_is_dropped() {
    const CALLS: usize = 100;
    let never = Never::default();
    let server = port_with(never.router(), Limits::default()).await;
    for (version, of) in [("HTTP/1.1", 0), ("HTTP/2", 1)] {
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let mut http = server.both().await.into_iter().nth(of).unwrap();
            let call = web::ask(&mut http, web::call("/test.Never/Answer", &()));
            tokio::select! {
                reply = call => panic!("it was answered: {reply:?}"),
                () = never.begun.notified() => {}
            }
            let closed = Instant::now();
            soon("its end", never.dropped.notified()).await;
            took.push(closed.elapsed());
        }
        took.sort();
        eprintln!(
            "{version}: of {CALLS} calls that were closed, handlers were dropped within {:?} (min), {:?} (median), {:?} (max)",
            took[0],
            took[CALLS / 2],
            took[CALLS - 1],
        );
    }
}
