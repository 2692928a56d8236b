//! Clients that give up their calls.

use std::time::{Duration, Instant};

use rides_server::edge::Limits;
use tokio::net::TcpStream;

use super::services::Never;
use crate::harness::{http::Http, port_with, soon, web};

/// Of so many calls, so that one for which this machine had no time decides nothing.
const CALLS: usize = 20;
/// The time in which half of them must have dropped their handlers: at once over HTTP/2. A client of HTTP/1.1 may have closed its sending
/// side only (BAD-9), so that a call without a response is dropped a second later.
const SOON_ENOUGH: [(&str, Duration); 2] =
    [("HTTP/1.1", Duration::from_millis(1_100)), ("HTTP/2", Duration::from_millis(100))];

/// `--nocapture` shows how soon.
#[tokio::test]
async fn a_call_that_nobody_waits_for_is_dropped() {
    let never = Never::default();
    let server = port_with(never.router(), Limits::default()).await;
    for (version, soon_enough) in SOON_ENOUGH {
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let stream = TcpStream::connect(server.addr).await.unwrap();
            // As clients do: else the kernel keeps the reset for 40 ms, in case there is more to say.
            stream.set_nodelay(true).unwrap();
            let mut http = match version {
                "HTTP/2" => Http::h2_over(server.addr, stream).await,
                _ => Http::h1_over(server.addr, stream).await.unwrap(),
            };
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
        let (min, median, max) = (took[0], took[CALLS / 2], took[CALLS - 1]);
        eprintln!(
            "{version}: dropped within {min:?} (min), {median:?} (median), {max:?} (max) of {CALLS} calls"
        );
        assert!(median < soon_enough, "{version}: {took:?}");
    }
}
