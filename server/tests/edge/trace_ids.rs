use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services;
use crate::harness::{port_with, server};
use rides_server::edge::Limits;

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn id_of(status: &Status) -> Option<String> {
    Some(status.get_details_request_info()?.request_id)
}

fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

/// Whatever ends a call, before its headers or after, in every framing on every HTTP.
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
