//! The delay before the next attempt, for clients that read `RetryInfo` and for those that read `grpc-retry-pushback-ms`: CLIENT-7.

use std::time::Duration;

use rides_server::edge::Limits;
use tonic::Code;

use super::services::failing;
use crate::harness::{
    Running, port_that_goes, port_with,
    wire::{details, pushback, retry_after},
};

const NOW: &str = "/test.Failing/Now";
const WATCH: &str = "/rides.v1.Fleet/Watch";
const EMPTY: &[u8] = &[0; 5];

async fn with(limits: Limits) -> Running {
    port_with(failing("it was let in"), Limits { exempt: Vec::new(), ..limits }).await
}

#[tokio::test]
async fn a_status_with_retry_info_has_the_same_delay_as_pushback() {
    let once = with(Limits { calls_per_second: 1.try_into().unwrap(), ..Limits::default() }).await;
    let closed = with(Limits { calls_per_address: 0, ..Limits::default() }).await;
    let full = with(Limits { viewers: 0, ..Limits::default() }).await;
    let going = port_that_goes(failing("it was let in")).await;
    for (server, path, code, reason) in [
        (&once, NOW, Code::ResourceExhausted, "TOO_MANY_CALLS"),
        (&closed, NOW, Code::ResourceExhausted, "TOO_MANY_OPEN_CALLS"),
        (&full, WATCH, Code::ResourceExhausted, "TOO_MANY_VIEWERS"),
        (&going, NOW, Code::Unavailable, "GOING_DOWN"),
    ] {
        for mut dialect in server.dialects().await {
            let mut status = dialect.say(path, EMPTY).await.status;
            while status.code() == Code::Internal {
                status = dialect.say(path, EMPTY).await.status;
            }
            assert_eq!((details(&status).0, details(&status).1.as_str()), (code, reason), "{dialect:?}");
            let wait = retry_after(&status).expect("when to call again");
            let millis = Duration::from_millis(pushback(&status).expect("both ways").try_into().unwrap());
            assert!(millis >= wait && millis < wait + Duration::from_millis(1), "{millis:?} {wait:?}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_has_a_negative_pushback() {
    let server = port_with(failing("it was let in"), Limits { message: 100, ..Limits::default() }).await;
    for mut dialect in server.dialects().await {
        let status = dialect.say("/rides.v1.Rides/Book", b"\0\0\0\0\x65").await.status;
        assert_eq!(
            (status.code(), details(&status).1.as_str()),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
        );
        assert_eq!((retry_after(&status), pushback(&status)), (None, Some(-1)), "{dialect:?}");
    }
}

#[tokio::test]
async fn a_status_without_retry_info_has_no_pushback() {
    let server = port_with(failing("it was let in"), Limits::default()).await;
    for mut dialect in server.dialects().await {
        let status = dialect.say(NOW, EMPTY).await.status;
        assert_eq!((status.code(), retry_after(&status), pushback(&status)), (Code::Internal, None, None));
    }
}
