//! The probes: the gRPC health service, `/healthz` and `/readyz`, and beside them `/metrics`.

use std::{pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::{self, State},
    middleware::{self, Next},
    response::IntoResponse,
    routing::get,
};
use futures_util::{Stream, StreamExt as _, stream};
use http::{
    StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use tokio::{sync::watch, task::spawn_blocking};
use tokio_stream::wrappers::WatchStream;
use tonic::{Code, Request, Response, Status};

use super::{Contract, RenderMetrics, authenticate::AnyAuthenticator, status::with_reason};
use crate::health_v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

const ALIVE: &str = "/healthz";
const READY: &str = "/readyz";
/// The paths of the probes over plain HTTP.
pub(super) const PROBES: [&str; 2] = [ALIVE, READY];

/// The name that stands for the server as a whole in the gRPC health protocol.
const WHOLE: &str = "";

/// The health of the server. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Health {
    contract: Arc<Contract>,
    serving: watch::Sender<bool>,
}

impl Health {
    /// Creates it as not serving, together with the gRPC health service, which reports on the server as a whole and on
    /// each service.
    pub fn new(contract: Arc<Contract>) -> (Self, HealthServer<impl health_server::Health>) {
        let health = Self { contract, serving: watch::Sender::new(false) };
        (health.clone(), HealthServer::new(health))
    }

    /// Sets whether the server serves calls.
    pub fn set_serving(&self, serving: bool) {
        self.serving.send_replace(serving);
    }

    fn is_serving(&self) -> bool {
        *self.serving.borrow()
    }

    fn knows(&self, service: &str) -> bool {
        service == WHOLE || self.contract.services().iter().any(|name| name == service)
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// A handwritten implementation, because `tonic-health` ends the watch of an unknown service. The protocol requires
/// such a watch to stay open, since the service could be added later. In this server none ever is.
#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            let text = "this server has no such service";
            return Err(with_reason(Code::NotFound, "NO_SUCH_SERVICE", text));
        }
        Ok(Response::new(response(status(self.is_serving()))))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let status = response(status(self.is_serving()));
        let services = self.contract.services().iter().map(String::as_str);
        let statuses = [WHOLE].into_iter().chain(services).map(|name| (name.to_owned(), status)).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let statuses = if self.knows(&request.get_ref().service) {
            WatchStream::new(self.serving.subscribe()).map(status).boxed()
        } else {
            stream::once(async { ServingStatus::ServiceUnknown }).chain(stream::pending()).boxed()
        };
        Ok(Response::new(Box::pin(statuses.map(|status| Ok(response(status))))))
    }
}

/// Returns the routes of the probes over plain HTTP.
pub(super) fn router(health: Health) -> Router {
    Router::new().route(ALIVE, get(|| async { "alive\n" })).route(READY, get(ready)).with_state(health)
}

/// Returns the route `/metrics`.
pub(super) fn metrics_router(metrics: RenderMetrics, authenticator: Arc<dyn AnyAuthenticator>) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .with_state(metrics)
        .layer(middleware::from_fn_with_state(authenticator, authorized))
}

/// A middleware that lets in the clients that may read the metrics.
async fn authorized(
    State(authenticator): State<Arc<dyn AnyAuthenticator>>,
    request: extract::Request,
    next: Next,
) -> axum::response::Response {
    match authenticator.authorize_metrics(request.headers(), request.extensions().get()) {
        Ok(()) => next.run(request).await,
        Err(status) => {
            let text = format!("{}\n", status.message());
            match status.code() {
                Code::Unauthenticated => {
                    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response()
                }
                _ => (StatusCode::FORBIDDEN, text).into_response(),
            }
        }
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_serving() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn render(State(metrics): State<RenderMetrics>) -> Result<impl IntoResponse, StatusCode> {
    // With 10,000 open files this takes milliseconds. It runs on another thread, so that calls do not wait for it.
    let text = spawn_blocking(move || metrics()).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
