//! The port: one listener for the page, gRPC-Web, gRPC and probes.
//!
//! A request passes, from the outside in:
//!
//! 1. `accept` and `connection`: how many, on what terms, who is there, and how it ends (`linger`, `leftover`); words for
//!    what hyper refuses by itself (`refusals`), and for TLS on the plain port and the reverse (`wrong_protocol`);
//! 2. `hosts` and `origins`: who calls the server by a name that is not its own is turned away, and so are pages of other
//!    origins, or given CORS headers if allowed;
//! 3. `route`: calls go to the gRPC stack, all else to probes and `pages`;
//! 4. for calls: gRPC-Web framing, and then `calls`, which counts them (`metrics`), gives
//!    errors an id (`trace`), and asks in turn `auth` (who calls, and whether they may), `admission` and `share` (how much of
//!    whom), `deadline` and `end` (how long), `messages` (what the client sends), and the service.
//!
//! The gRPC-Web layer is outside of everything that can end a call, so that whatever ends it, the status
//! reaches the client in the framing the client speaks.

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

/// What the port needs to know besides the services.
pub struct Options {
    /// The files of the page.
    pub page: PageFiles,
    /// The path below which a proxy serves everything, if it leaves that path in place.
    pub base_path: Option<BasePath>,
    /// Origins whose pages may call this server, beside its own.
    pub allow_origins: Vec<Origin>,
    /// By which names it may be called.
    pub hosts: Hosts,
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
    pub figures: Metrics,
}

/// All that is on the port, ready to be served. Cheap to clone.
#[derive(Clone)]
pub struct Port {
    base_path: Option<BasePath>,
    inner: Named<Guarded<Route>>,
}

impl Port {
    /// The gRPC `services`, and everything around them.
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

    /// It is ready at any time, as all in it is. With `is_misplaced`, the request came in plain HTTP to a port that speaks
    /// TLS.
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
