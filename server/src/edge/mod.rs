//! The port: one listener for the page, gRPC-Web, gRPC and probes.
//!
//! A request passes, from the outside in:
//!
//! 1. `accept` and `connection`: how many, on what terms, who is there, and how it ends;
//! 2. `origins`: pages of other origins are turned away, or given CORS headers if allowed;
//! 3. `route`: calls go to the gRPC stack, all else to probes and `pages`;
//! 4. for calls: gRPC-Web framing, `trace` (errors get an id), `metrics`, panics, `admission` (how much of whom),
//!    `auth` (who calls, and whether they may), `calls` (deadlines, drain, the end of a session), `messages` (what the
//!    client sends), the service.
//!
//! The gRPC-Web layer is outside of everything that can end a call, so that whatever ends it, the status
//! reaches the client in the framing the client speaks.

mod accept;
mod admission;
mod auth;
mod calls;
mod connection;
mod content_type;
mod contract;
mod csp;
mod deadline;
mod ending;
mod frames;
mod health;
mod limits;
mod messages;
mod metadata;
mod metrics;
mod origins;
mod pages;
mod patience;
mod peer;
mod route;
mod status;
mod tally;
mod text;
mod trace;

use std::{any::Any, path::PathBuf, sync::Arc};

use axum::{Router, body::Body, middleware, response::Response};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_web::GrpcWebLayer;
use tower_http::catch_panic::CatchPanicLayer;

use self::admission::Admission;
pub use self::{
    accept::serve,
    auth::Auth,
    contract::{Contract, Kind, Method},
    health::Health,
    limits::Limits,
    peer::Peer,
};

/// What the port needs to know besides the services.
pub struct Options {
    /// Where the built page is, if it is built.
    pub page: PathBuf,
    /// Origins whose pages may call this server, beside its own. See [`tower_http::csrf`] for their form.
    pub allow_origins: Vec<String>,
    /// Whether browsers are told to insist on TLS.
    pub strict_transport: bool,
    /// Answers the probes.
    pub health: Health,
    /// Tells who calls, and who may.
    pub auth: Auth,
    /// What is served: how much comes in a call, how long it may take, and its name in the figures.
    pub contract: Arc<Contract>,
    /// How much anybody may take.
    pub limits: Limits,
    /// What `/metrics` shows.
    pub figures: PrometheusHandle,
    /// Cancelled when the server is to end: streams end then, and new calls are refused, with UNAVAILABLE.
    pub shutdown: CancellationToken,
}

/// Everything on the port, around the gRPC `services`.
///
/// Fails if an allowed origin is not one.
pub fn router(services: Router, options: Options) -> anyhow::Result<Router> {
    let bounds = calls::Bounds { shutdown: options.shutdown, contract: Arc::clone(&options.contract) };
    let terms = messages::Terms {
        contract: Arc::clone(&options.contract),
        patience: options.limits.body_timeout,
        per_second: options.limits.messages_per_second,
    };
    let gate = Arc::new(auth::Gate { auth: options.auth, contract: Arc::clone(&options.contract) });
    let admission = Arc::new(Admission::new(&options.limits));
    let calls = services
        .layer(middleware::from_fn_with_state(terms, messages::check))
        .layer(middleware::from_fn_with_state(bounds, calls::bound))
        .layer(middleware::from_fn_with_state(Arc::clone(&gate), auth::identify))
        .layer(middleware::from_fn_with_state(admission, admission::admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(options.contract, metrics::count))
        .layer(middleware::from_fn(trace::name))
        .layer(GrpcWebLayer::new());

    let figures =
        health::figures(options.figures).layer(middleware::from_fn_with_state(gate, auth::operators_only));
    let port = health::router(options.health)
        .merge(figures)
        .merge(pages::router(options.page, options.strict_transport))
        .layer(middleware::from_fn_with_state(calls, route::divert));

    origins::guard(port, &options.allow_origins)
}

/// The panic itself is on stderr already, where it belongs.
fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    Status::internal("the server failed while handling this call").into_http::<Body>()
}
