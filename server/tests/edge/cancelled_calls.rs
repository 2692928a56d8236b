//! Clients that cancel their calls or close their connections.

use std::time::{Duration, Instant};

use grpc_edge::Limits;
use tokio::net::TcpStream;

use super::services::NeverResponds;
use crate::harness::{http::Http, port_with, soon, web};

/// The number of calls. Only the median is checked, because a busy machine may delay some of them.
const CALLS: usize = 20;
/// The time in which half of the calls must be dropped. Over HTTP/2 this is at once. A client of HTTP/1.1 may
/// have closed only its sending half (BAD-9), so that a call without a response is dropped after one second.
const SOON_ENOUGH: [(&str, Duration); 2] =
    [("HTTP/1.1", Duration::from_millis(1_100)), ("HTTP/2", Duration::from_millis(100))];

/// `--nocapture` shows the times.
#[tokio::test]
async fn a_call_that_nobody_waits_for_is_dropped() {
    let never = NeverResponds::default();
    let server = port_with(never.router(), Limits::default()).await;
    for (version, soon_enough) in SOON_ENOUGH {
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let stream = TcpStream::connect(server.addr).await.unwrap();
            // Clients set this option. Without it the kernel delays the reset by 40 ms, in case there is more
            // to send.
            stream.set_nodelay(true).unwrap();
            let mut http = match version {
                "HTTP/2" => Http::h2_over(server.addr, stream).await,
                _ => Http::h1_over(server.addr, stream).await.unwrap(),
            };
            let call = web::ask(&mut http, web::call("/test.Never/Answer", &()));
            tokio::select! {
                reply = call => panic!("a response: {reply:?}"),
                () = never.begun.notified() => {}
            }
            let closed = Instant::now();
            soon("the end of the call", never.dropped.notified()).await;
            took.push(closed.elapsed());
        }
        took.sort();
        let (min, median, max) = (took[0], took[CALLS / 2], took[CALLS - 1]);
        eprintln!(
            "{version}: dropped within {min:?} (min), {median:?} (median), {max:?} (max) of {CALLS} calls"
        );
        assert!(median < soon_enough, "{version}: {took:?}");
    }
}
