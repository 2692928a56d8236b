#![doc = include_str!("../README.md")]
//!
//! # The way of a request
//!
//! A request passes these modules, from the outside in:
//!
//! 1. `accept` and `connection`: limits on connections, TLS, detection of the HTTP version (`protocol_detect`),
//!    throttling (`throttle`), and the end of a connection (`lingering_close`, `drain_on_drop`). They also add
//!    messages to hyper's own error responses (`hyper_errors`) and respond to the wrong protocol
//!    (`wrong_protocol`).
//! 2. `allowed_hosts` and `origin_guard`: refusal of requests with a foreign host name and of pages of foreign
//!    origins, and CORS headers for allowed origins.
//! 3. `route`: calls pass to the gRPC services, all other requests to the probes (`health`) and `pages`.
//! 4. For calls: gRPC-Web framing, and then `calls`. It counts them (`metrics`), gives errors an id (`trace_id`),
//!    and uses `authenticate` (the caller), `admission` and `caller_quotas` (quotas), `deadline` and
//!    `call_lifetime` (lifetime), `request_messages` (checks of the request) and at last the service.
//!
//! The gRPC-Web layer is outside of everything that can end a call. So a status always reaches the client in the
//! framing that the client speaks.

mod accept;
mod admission;
mod allowed_hosts;
mod authenticate;
mod backlog;
mod base64_body;
mod base_path;
mod call_lifetime;
mod caller_quotas;
mod calls;
mod connect;
mod connection;
mod content_type;
mod contract;
mod deadline;
mod delegate_writes;
mod drain_on_drop;
mod echoable;
pub mod error;
mod foreign_origin;
mod frames;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod half_close;
mod header_size;
mod health;
pub mod health_v1;
mod hsts;
mod hyper_errors;
mod legacy_paths;
mod limits;
mod lingering_close;
mod listeners;
mod metadata;
mod metrics;
mod origin;
mod origin_guard;
mod pages;
mod peer;
mod per_key_limit;
mod protocol_detect;
mod reflection;
mod request_messages;
mod route;
mod services;
mod stall_policy;
mod stalled_responses;
mod status;
mod terminable_body;
#[cfg(test)]
mod testing;
mod throttle;
mod tls;
mod token_bucket;
mod trace_id;
mod transport;
pub mod wall_clock;
mod wrong_protocol;

use std::{future::ready, path::PathBuf, sync::Arc};

use futures_util::future::Either;
use http::Request;
use tower::Service;

pub use self::{
    accept::serve,
    allowed_hosts::AllowedHosts,
    authenticate::{Authenticator, CallHead, CredentialsEnd, Everyone},
    base_path::{BadBasePath, BasePath},
    contract::{Contract, Method, MethodKind, MethodLimit, MethodPolicy},
    health::Health,
    limits::Limits,
    listeners::Listeners,
    origin::Origin,
    pages::{EmbeddedPage, PageFiles},
    peer::Peer,
    reflection::ReflectionService,
    services::Services,
    stall_policy::StallPolicy,
    tls::{ClientCertificate, Revocations, Tls},
};
use self::{
    allowed_hosts::HostGuard,
    authenticate::AnyAuthenticator,
    calls::{CallRules, CallService},
    drain_on_drop::DrainOnDrop,
    header_size::HeaderSize,
    legacy_paths::Aliases,
    origin_guard::OriginGuard,
    route::RequestRouter,
    wrong_protocol::needs_tls,
};

/// Renders all metrics of the process for `/metrics`, in the text format of Prometheus. It may block.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The names by which a program is known in its errors and metrics.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The domain of a reason in `ErrorInfo`, for example `board.v1`.
    pub error_domain: &'static str,
    /// The beginning of the names of metrics, before an underscore.
    pub metrics_prefix: &'static str,
}

/// The options of the port.
pub struct Options {
    /// The files of the page.
    pub page: PageFiles,
    /// The path below which a proxy serves everything, if the proxy keeps that path in requests.
    pub base_path: Option<BasePath>,
    /// The foreign origins whose pages may call this server.
    pub allow_origins: Vec<Origin>,
    /// The host names under which the server may be called.
    pub hosts: AllowedHosts,
    /// Tells browsers to use TLS only (HSTS).
    pub strict_transport: bool,
    /// The state that the probes report.
    pub health: Health,
    /// The methods that are served, with their limits.
    pub contract: Arc<Contract>,
    /// The limits on connections and calls.
    pub limits: Limits,
    /// The metrics that `/metrics` exports.
    pub metrics: RenderMetrics,
    /// The names in errors and metrics.
    pub names: Names,
    /// Pairs of another path for a method and the path in the contract.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Options {
    /// The options of a server whose page is in the folder `dist`, under every host name, for programs and for pages of
    /// its own origin.
    pub fn new(contract: Arc<Contract>, health: Health) -> Self {
        Self {
            page: PageFiles::Directory(PathBuf::from("dist")),
            base_path: None,
            allow_origins: Vec::new(),
            hosts: AllowedHosts::any(),
            strict_transport: false,
            health,
            contract,
            limits: Limits::default(),
            metrics: Arc::new(String::new),
            names: Names { error_domain: "", metrics_prefix: "grpc_edge" },
            aliases: &[],
        }
    }
}

/// The service that handles every request on the port. Cheap to clone.
#[derive(Clone)]
pub struct Port {
    base_path: Option<BasePath>,
    names: Names,
    inner: HostGuard<OriginGuard<RequestRouter>>,
}

impl Port {
    /// Builds it around the gRPC `services`, whose callers `authenticator` knows.
    pub fn new(services: Services, authenticator: impl Authenticator, options: Options) -> Self {
        let names = options.names;
        metrics::describe(names.metrics_prefix);
        let authenticator: Arc<dyn AnyAuthenticator> = Arc::new(authenticator);
        let header_size = HeaderSize(options.limits.max_header_size);
        let rules = CallRules::new(Arc::clone(&authenticator), &options.contract, &options.limits, names);
        let metrics = health::metrics_router(options.metrics, authenticator);
        let elsewhere = health::router(options.health).merge(metrics).merge(pages::router(pages::Options {
            files: options.page,
            base: options.base_path.clone(),
            strict_transport: options.strict_transport,
        }));
        let route = RequestRouter::new(
            header_size,
            names.error_domain,
            Aliases::new(options.aliases),
            CallService::new(rules, services),
            elsewhere,
        );
        let inner = HostGuard::new(
            options.hosts,
            names.error_domain,
            origin_guard::guard(route, &options.allow_origins, names.error_domain),
        );
        Self { base_path: options.base_path, names, inner }
    }

    /// Handles a request. `poll_ready` is not called, because all services inside are always ready. `is_misplaced`
    /// marks a request in plain HTTP to a port with TLS.
    fn handle(
        &self,
        mut request: Request<DrainOnDrop>,
        is_misplaced: bool,
    ) -> <HostGuard<OriginGuard<RequestRouter>> as Service<Request<DrainOnDrop>>>::Future {
        if is_misplaced {
            return Either::Right(ready(Ok(needs_tls(&request, self.names.error_domain))));
        }
        if let Some(base_path) = &self.base_path {
            base_path.strip(request.uri_mut());
        }
        self.inner.clone().call(request)
    }
}
