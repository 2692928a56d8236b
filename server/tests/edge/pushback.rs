//! The delay before the next attempt, in `RetryInfo` and in `grpc-retry-pushback-ms`: CLIENT-7.

use std::time::Duration;

use grpc_edge::Limits;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::services::failing;
use crate::harness::{
    Running, port_with, server, soon, web,
    wire::{details, pushback, retry_after},
};

const NOW: &str = "/test.Failing/Now";
const WATCH: &str = "/rides.v1.Fleet/Watch";
const EMPTY: &[u8] = &[0; 5];

async fn with(limits: Limits) -> Running {
    port_with(failing("it was let in"), Limits { exempt_addresses: Vec::new(), ..limits }).await
}

#[tokio::test]
async fn a_status_with_retry_info_has_the_same_delay_as_pushback() {
    let once = with(Limits { max_calls_per_second: 1.try_into().unwrap(), ..Limits::default() }).await;
    let closed = with(Limits { max_calls_per_address: 0, ..Limits::default() }).await;
    let full = server().limiting_services(|limits| limits.max_viewers = 0).run().await;
    for (server, path, code, reason) in [
        (&once, NOW, Code::ResourceExhausted, "TOO_MANY_CALLS"),
        (&closed, NOW, Code::ResourceExhausted, "TOO_MANY_OPEN_CALLS"),
        (&full, WATCH, Code::ResourceExhausted, "TOO_MANY_VIEWERS"),
    ] {
        for mut dialect in server.dialects().await {
            let mut status = dialect.say(path, EMPTY).await.status;
            while status.code() == Code::Internal {
                status = dialect.say(path, EMPTY).await.status;
            }
            assert_eq!((details(&status).0, details(&status).1.as_str()), (code, reason), "{dialect:?}");
            let wait = retry_after(&status).expect("a delay in RetryInfo");
            let millis = Duration::from_millis(
                pushback(&status).expect("a delay in the pushback").try_into().unwrap(),
            );
            assert!(millis >= wait && millis < wait + Duration::from_millis(1), "{millis:?} {wait:?}");
        }
    }
}

/// The status is in the HTTP trailers or in the gRPC-Web trailers.
#[tokio::test]
async fn a_stream_that_ends_with_the_server_says_when_to_open_it_again() {
    let server = server().run().await;
    let mut native = HealthClient::new(server.channel().await);
    let mut native = native.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let [mut h1, mut h2] = server.both().await;
    let watch = || web::call("/grpc.health.v1.Health/Watch", &HealthCheckRequest::default());
    let streams = [web::open(&mut h1, watch()).await, web::open(&mut h2, watch()).await];
    server.stop();
    let ended = async {
        while native.message().await?.is_some() {}
        Ok::<(), tonic::Status>(())
    };
    let mut statuses = vec![soon("the end", ended).await.expect_err("the stream ends with the server")];
    for mut stream in streams {
        while soon("the end", stream.next()).await.is_some() {}
        statuses.push(stream.status());
    }
    for status in statuses {
        assert_eq!((status.code(), details(&status).1.as_str()), (Code::Unavailable, "GOING_DOWN"));
        assert_eq!((retry_after(&status), pushback(&status)), (Some(Duration::from_secs(1)), Some(1_000)));
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_has_a_negative_pushback() {
    let server =
        port_with(failing("it was let in"), Limits { max_message_size: 100, ..Limits::default() }).await;
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
