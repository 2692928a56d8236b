//! The deadline of a call, `grpc-timeout`.

use bytes::Bytes;
use grpc_edge::Limits;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::services::NeverResponds;
use crate::harness::{SOON, port_with, server, web};

const WATCH: &str = "/grpc.health.v1.Health/Watch";

fn within(timeout: &str, mut request: Request<Bytes>) -> Request<Bytes> {
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_str(timeout).unwrap());
    request
}

fn watch_health() -> Request<Bytes> {
    web::call(WATCH, &HealthCheckRequest::default())
}

/// W27: the deadline passes before the headers, in each protocol.
#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped() {
    let never = NeverResponds::default();
    let server = port_with(never.router(), Limits::default()).await;
    for mut dialect in server.dialects().await {
        let said = dialect.say_with("/test.Never/Answer", &[0; 5], &timeout_of("100m")).await;
        assert_eq!(said.status.code(), Code::DeadlineExceeded, "{dialect:?}");
        timeout(SOON, never.dropped.notified()).await.expect("the handler still runs");
    }
}

fn timeout_of(text: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text))])
}

/// W27: the deadline passes after the headers, in each protocol.
#[tokio::test]
async fn a_stream_ends_at_its_deadline_in_every_framing() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        let said = dialect.say_with(WATCH, &[0; 5], &timeout_of("250m")).await;
        assert_eq!((said.messages.len(), said.status.code()), (1, Code::DeadlineExceeded), "{dialect:?}");
    }
}

/// W20, W27: the messages before the deadline arrive.
#[tokio::test]
async fn a_stream_ends_at_its_deadline_after_what_it_had_to_say() {
    let server = server().run().await;
    for mut http in server.both().await {
        let reply = web::ask(&mut http, within("250m", watch_health())).await;
        assert_eq!(reply.messages.len(), 1);
        assert_eq!(reply.status.code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn native_clients_hear_it_too() {
    let server = server().run().await;
    let mut health = HealthClient::new(server.channel().await);
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    // The header is set by hand, because tonic's client would enforce the timeout itself.
    request.metadata_mut().insert("grpc-timeout", "250m".parse().unwrap());
    let mut stream = health.watch(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

/// W27: the call is not executed.
#[tokio::test]
async fn no_time_at_all_is_exceeded_at_once() {
    let server = server().run().await;
    for mut http in server.both().await {
        let reply = web::ask(&mut http, within("0S", watch_health())).await;
        assert_eq!((reply.messages.len(), reply.status.code()), (0, Code::DeadlineExceeded));
    }
}

/// W28: a timeout of more than 8 digits is malformed, and the largest valid one is accepted.
#[tokio::test]
async fn malformed_timeouts_are_invalid_and_huge_ones_are_not() {
    let server = server().run().await;
    let check = || web::call("/grpc.health.v1.Health/Check", &HealthCheckRequest::default());
    for mut http in server.both().await {
        for malformed in ["-5S", "5X", "+5S", "123456789S", "", "S", "1.5S"] {
            let reply = web::ask(&mut http, within(malformed, check())).await;
            assert_eq!(reply.status.code(), Code::InvalidArgument, "{malformed}");
        }
        for huge in ["99999999H", "99999999S", "00000009M"] {
            let reply = web::ask(&mut http, within(huge, check())).await;
            assert_eq!(reply.status.code(), Code::Ok, "{huge}");
        }
    }
}
