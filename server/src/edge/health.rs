//! Whether the server is up, for whoever asks: gRPC health, `/healthz`, `/readyz`, and `/metrics`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::State, routing::get};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics_exporter_prometheus::PrometheusHandle;
use tonic_health::{
    ServingStatus,
    pb::health_server::{self, HealthServer},
    server::{HealthReporter, health_reporter},
};

use super::Contract;

/// Says whether the server takes calls. Cheap to clone; all clones say the same.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    contract: Arc<Contract>,
    serving: Arc<AtomicBool>,
}

impl Health {
    /// Not serving yet, and the gRPC service that says so, for the server as a whole and for each service.
    pub async fn new(contract: Arc<Contract>) -> (Self, HealthServer<impl health_server::Health>) {
        let (reporter, service) = health_reporter();
        let health = Self { reporter, contract, serving: Arc::new(AtomicBool::new(false)) };
        health.set_serving(false).await;
        (health, service)
    }

    /// From now on the server takes calls, or takes no more.
    pub async fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Relaxed);
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status("", status).await;
        for service in self.contract.services() {
            self.reporter.set_service_status(service, status).await;
        }
    }

    fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed)
    }
}

/// The probes over plain HTTP.
pub(super) fn router(health: Health, figures: PrometheusHandle) -> Router {
    super::metrics::describe();
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(health)
        .route("/metrics", get(metrics))
        .with_state(figures)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_serving() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(figures): State<PrometheusHandle>) -> ([(http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], figures.render())
}
