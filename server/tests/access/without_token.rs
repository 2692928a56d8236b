//! Calls without a token: on which addresses, and for which methods, they are accepted.

use http::StatusCode;
use rides_server::access::AuthPolicy;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{Running, rider::booking, server, soon},
};

async fn books_without_a_token(server: &Running) -> Code {
    let [wire, _] = server.wires().await;
    let booked = crate::harness::rider::Rider(wire).book(booking("key")).await;
    booked.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Without `--auth`, the address decides: tokens are required if the server listens beyond loopback.
#[tokio::test]
async fn beyond_this_machine_tokens_are_asked_for() {
    let everywhere = || server().at(([0, 0, 0, 0], 0).into());
    assert_eq!(books_without_a_token(&everywhere().run().await).await, Code::Unauthenticated);
    assert_eq!(books_without_a_token(&everywhere().under(AuthPolicy::Open).run().await).await, Code::Ok);
    assert_eq!(books_without_a_token(&server().run().await).await, Code::Ok);
    assert_eq!(books_without_a_token(&server().requiring_tokens().run().await).await, Code::Unauthenticated);
}

/// A9: without a token the probes and the page are available, and reflection is not.
#[tokio::test]
async fn without_a_token_there_are_probes_and_the_page() {
    let page = tempfile::tempdir().unwrap();
    std::fs::write(page.path().join("index.html"), "<!doctype html><title>Rides</title>").unwrap();
    let server = server().requiring_tokens().with_page(page.path()).run().await;
    for mut http in server.both().await {
        for path in ["/", "/healthz", "/readyz"] {
            assert_eq!(http.get(path).await.status, StatusCode::OK, "{path}");
        }
    }
    for wire in server.wires().await {
        let check = HealthCheckRequest::default();
        let healthy: Result<HealthCheckResponse, _> = wire.ask("/grpc.health.v1.Health/Check", check).await;
        assert!(healthy.is_ok());
        for path in [
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            let reflected: Result<(), _> = wire.ask(path, ()).await;
            assert_eq!(reflected.unwrap_err().code(), Code::Unauthenticated);
            for token in [server.rider("ada"), server.driver(7), server.dispatcher()] {
                let reflected: Result<ServerReflectionResponse, _> =
                    wire.with(token).ask(path, ServerReflectionRequest::default()).await;
                assert!(reflected.is_ok(), "{reflected:?}");
            }
        }
    }
}

/// The built-in simulation sends tokens like any other client.
#[tokio::test(flavor = "multi_thread")]
async fn simulated_cars_drive_where_tokens_are_asked_for() {
    let server = server().requiring_tokens().with_cars(3).with_riders(600.0, 10.0).run().await;
    let [wire, _] = server.wires().await;
    let eve = wire.with(server.dispatcher());
    let all = async {
        while Viewer::of(&eve, helsinki()).await.cars.len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon("three cars", all).await;
    let eve = crate::harness::rider::Rider(eve);
    let booked = async {
        while eve.list(Default::default()).await.unwrap().rides.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon("a ride", booked).await;
}
