//! The port: one listener for the page, gRPC-Web, gRPC and probes.
//!
//! A request passes these modules, from the outside in:
//!
//! 1. `accept` and `connection`: limits on connections, TLS, detection of the HTTP version (`opening`), throttling
//!    (`pace`), and the end of a connection (`linger`, `leftover`). They also add messages to hyper's own error responses
//!    (`refusals`) and respond to the wrong protocol (`wrong_protocol`).
//! 2. `hosts` and `origins`: refusal of requests with a foreign host name and of pages of foreign origins, and CORS
//!    headers for allowed origins.
//! 3. `route`: calls pass to the gRPC services, all other requests to the probes (`health`) and `pages`.
//! 4. For calls: gRPC-Web framing, and then `calls`. It counts them (`metrics`), gives errors an id (`trace`), and uses
//!    `auth` (authentication and access), `admission` and `share` (quotas), `deadline` and `end` (lifetime), `messages`
//!    (checks of the request) and at last the service.
//!
//! The gRPC-Web layer is outside of everything that can end a call. So a status always reaches the client in the
//! framing that the client speaks.

mod accept;
mod account;
mod admission;
mod auth;
mod backlog;
mod base_path;
mod calls;
mod connect;
mod connection;
mod content_type;
mod contract;
mod deadline;
mod end;
mod ending;
mod foreign;
mod frames;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod half_close;
mod header_size;
mod health;
mod hosts;
mod leftover;
mod limits;
mod linger;
mod messages;
mod metadata;
mod metrics;
mod neglect;
mod older;
mod opening;
mod origin;
mod origins;
mod pace;
mod pages;
mod peer;
mod refusals;
mod repeatable;
mod route;
mod services;
mod share;
mod status;
mod strict_transport;
mod tally;
mod text;
mod trace;
mod transport;
mod writes;
mod wrong_protocol;

use std::{future::ready, sync::Arc};

use axum::middleware;
use futures_util::future::Either;
use http::Request;
use tower::Service;

pub use self::{
    accept::serve,
    auth::Auth,
    base_path::{BadBasePath, BasePath},
    contract::{Contract, Kind, Method},
    health::Health,
    hosts::Hosts,
    limits::Limits,
    origin::Origin,
    pages::{EmbeddedPage, PageFiles},
    peer::Peer,
    services::Services,
};
use self::{
    calls::{Calls, Rules},
    header_size::HeaderSize,
    hosts::Named,
    leftover::Lingering,
    origins::Guarded,
    route::Route,
    wrong_protocol::needs_tls,
};
use crate::telemetry::Metrics;

/// The options of the port.
pub struct Options {
    /// The files of the page.
    pub page: PageFiles,
    /// The path below which a proxy serves everything, if the proxy keeps that path in requests.
    pub base_path: Option<BasePath>,
    /// The foreign origins whose pages may call this server.
    pub allow_origins: Vec<Origin>,
    /// The host names under which the server may be called.
    pub hosts: Hosts,
    /// Tells browsers to use TLS only (HSTS).
    pub strict_transport: bool,
    /// The state that the probes report.
    pub health: Health,
    /// Authentication of callers, and their access to methods.
    pub auth: Auth,
    /// The methods that are served, with the limits of their messages and their access rules.
    pub contract: Arc<Contract>,
    /// The limits on connections and calls.
    pub limits: Limits,
    /// The metrics that `/metrics` exports.
    pub figures: Metrics,
}

/// The service that handles every request on the port. Cheap to clone.
#[derive(Clone)]
pub struct Port {
    base_path: Option<BasePath>,
    inner: Named<Guarded<Route>>,
}

impl Port {
    /// Builds it around the gRPC `services`.
    pub fn new(services: Services, options: Options) -> Self {
        let gate = Arc::new(auth::Gate { auth: options.auth, contract: options.contract });
        let header_size = HeaderSize(options.limits.headers);
        let rules = Rules::new(gate.clone(), &options.limits);
        let figures = health::figures(options.figures)
            .layer(middleware::from_fn_with_state(gate, auth::operators_only));
        let elsewhere = health::router(options.health).merge(figures).merge(pages::router(pages::Options {
            files: options.page,
            base: options.base_path.clone(),
            strict_transport: options.strict_transport,
        }));
        let route = Route::new(header_size, Calls::new(rules, services), elsewhere);
        let inner = Named::new(options.hosts, origins::guard(route, &options.allow_origins));
        Self { base_path: options.base_path, inner }
    }

    /// Handles a request. `poll_ready` is not called, because all services inside are always ready. `is_misplaced`
    /// marks a request in plain HTTP to a port with TLS.
    fn answer(
        &self,
        mut request: Request<Lingering>,
        is_misplaced: bool,
    ) -> <Named<Guarded<Route>> as Service<Request<Lingering>>>::Future {
        if is_misplaced {
            return Either::Right(ready(Ok(needs_tls(&request))));
        }
        if let Some(base_path) = &self.base_path {
            base_path.strip(request.uri_mut());
        }
        self.inner.clone().call(request)
    }
}
