//! Trace ids and reasons in errors.

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services;
use crate::harness::{http::Http, port_with, server, wire::details};
use grpc_edge::Limits;

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn id_of(status: &Status) -> Option<String> {
    Some(status.get_details_request_info()?.request_id)
}

fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

/// This holds for errors before and after the headers, in each protocol.
#[tokio::test]
async fn every_error_has_the_trace_id_of_its_call() {
    let services = services::panicking().merge(services::failing("on purpose"));
    let port = port_with(services, Limits::default()).await;
    let server = server().requiring_tokens().run().await;
    let traced = HeaderMap::from_iter([header(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )]);
    let brief = header("grpc-timeout", "250m");
    let late: HeaderMap =
        traced.clone().into_iter().map(|(name, value)| (name.unwrap(), value)).chain([brief]).collect();
    for (server, path, headers, code) in [
        (&port, "/test.Panic/Now", &traced, Code::Internal),
        (&port, "/test.Failing/Now", &traced, Code::Internal),
        (&server, "/rides.v1.Rides/Get", &traced, Code::Unauthenticated),
        (&server, "/rides.v1.Rides/Nonsense", &traced, Code::Unimplemented),
        (&server, WATCH, &late, Code::DeadlineExceeded),
    ] {
        for mut dialect in server.dialects().await {
            let status = dialect.say_with(path, &[0; 5], headers).await.status;
            assert_eq!((status.code(), id_of(&status).as_deref()), (code, Some(ID)), "{path} {dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_call_without_a_trace_gets_an_id_of_its_own() {
    let server = server().requiring_tokens().run().await;
    for mut dialect in server.dialects().await {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let status = dialect.say_with("/rides.v1.Rides/Get", &[0; 5], &HeaderMap::new()).await.status;
            assert_eq!(status.get_details_error_info().map(|info| info.reason).as_deref(), Some("NO_TOKEN"));
            ids.push(id_of(&status).expect("an id"));
        }
        assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == ID.len()), "{ids:?}");
    }
}

/// This holds for each kind of malformed call, in each protocol.
#[tokio::test]
async fn every_error_has_a_reason_and_an_id() {
    let nothing: HeaderMap = HeaderMap::new();
    let with = |name, value| HeaderMap::from_iter([header(name, value)]);
    let server = server().run().await;
    let empty = &[0; 5][..];
    for (server, path, frames, headers, code, reason) in [
        (&server, SIGN_IN, &[][..], &nothing, Code::Unimplemented, "NOT_ONE_MESSAGE"),
        (&server, SIGN_IN, &[0; 10], &nothing, Code::Unimplemented, "NOT_ONE_MESSAGE"),
        (&server, SIGN_IN, b"\0\0\0", &nothing, Code::Internal, "MALFORMED_REQUEST"),
        (&server, SIGN_IN, b"\0\0\0\0\x01\xff", &nothing, Code::Internal, "MALFORMED_REQUEST"),
        (&server, SIGN_IN, b"\x01\0\0\0\0", &nothing, Code::Internal, "MALFORMED_REQUEST"),
        (
            &server,
            SIGN_IN,
            b"\x01\0\0\0\0",
            &with("grpc-encoding", "gzip"),
            Code::Unimplemented,
            "UNKNOWN_COMPRESSION",
        ),
        (&server, SIGN_IN, empty, &with("grpc-timeout", "5X"), Code::InvalidArgument, "BAD_TIMEOUT"),
        (&server, SIGN_IN, empty, &with("grpc-timeout", "0S"), Code::DeadlineExceeded, "DEADLINE_PASSED"),
        (&server, WATCH, empty, &with("grpc-timeout", "100m"), Code::DeadlineExceeded, "DEADLINE_PASSED"),
        (&server, SIGN_IN, empty, &with("x-odd-bin", "!!!!"), Code::InvalidArgument, "BAD_METADATA"),
        (&server, SIGN_IN, b"\0\0\0\0\x02\x10\x03", &nothing, Code::PermissionDenied, "NOT_FOR_GUESTS"),
        (&server, "/rides.v1.Rides/Nonsense", empty, &nothing, Code::Unimplemented, "NO_SUCH_METHOD"),
        (&server, "/rides.v1.Nonsense/Get", empty, &nothing, Code::Unimplemented, "NO_SUCH_METHOD"),
        (
            &server,
            "/grpc.health.v1.Health/Check",
            b"\0\0\0\0\x03\x0a\x01x",
            &nothing,
            Code::NotFound,
            "NO_SUCH_SERVICE",
        ),
    ] {
        for mut dialect in server.dialects().await {
            let status = dialect.say_with(path, frames, headers).await.status;
            assert_eq!(
                (details(&status).0, details(&status).1.as_str()),
                (code, reason),
                "{path} {dialect:?}"
            );
            assert!(id_of(&status).is_some_and(|id| id.len() == ID.len()), "{reason} {dialect:?}");
        }
    }
}

/// These requests are refused before they are recognised as calls.
#[tokio::test]
async fn what_is_no_call_is_told_why_and_has_an_id_too() {
    let server = server().run().await;
    for mut http in server.both().await {
        for (content_type, host, code, reason) in [
            ("text/plain", "localhost", StatusCode::UNSUPPORTED_MEDIA_TYPE, "NOT_A_CALL"),
            ("application/grpc-web+json", "localhost", StatusCode::OK, "UNKNOWN_CODEC"),
            ("application/grpc-web", "evil.example", StatusCode::MISDIRECTED_REQUEST, "UNKNOWN_HOST"),
        ] {
            let request = Request::post(SIGN_IN)
                .header("content-type", content_type)
                .header("host", host)
                .header("traceparent", format!("00-{ID}-00f067aa0ba902b7-01"))
                .body("");
            let answer = http.send(request.unwrap()).await;
            let status = Status::from_header_map(&answer.headers).expect("no status");
            assert_eq!((answer.status, details(&status).1.as_str()), (code, reason));
            assert_eq!(id_of(&status).as_deref(), Some(ID), "{reason}");
        }
    }
    let native = Request::post(SIGN_IN).header("content-type", "application/grpc").body("").unwrap();
    let answer = Http::h1(server.addr).await.send(native).await;
    let status = Status::from_header_map(&answer.headers).expect("no status");
    assert_eq!(details(&status).1, "NEEDS_HTTP2");
    assert!(id_of(&status).is_some());
}
