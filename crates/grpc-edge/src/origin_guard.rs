//! The guard against pages of foreign origins.
//!
//! CORS alone protects nothing: it keeps a page from reading a response, but the call still runs. So calls of foreign
//! origins are refused before they reach a service (`foreign_origin`), and only pages of allowed origins get CORS
//! headers.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Request, header};
use tower::{Layer as _, Service, util::Either};
use tower_http::{
    cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer},
    csrf::{Csrf, CsrfLayer},
};

use super::{foreign_origin::ExplainedCsrf, origin::Origin, status::PUSHBACK};

/// The time for which browsers may cache the response to a preflight. Chromium caps it at this value.
const PREFLIGHT_LIFE: Duration = Duration::from_secs(2 * 60 * 60);

/// The header that [`CsrfLayer`] checks first.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A service behind the guard. With allowed origins it is boxed, so that connections of a server without them take less
/// memory.
pub(super) type OriginGuard<S> =
    Either<Box<Cors<TrustAllowed<ExplainedCsrf<Csrf<S>>>>>, ExplainedCsrf<Csrf<S>>>;

/// Puts `port` behind the guard, which admits pages of the server's own origin and of `allowed` ones.
pub(super) fn guard<S>(port: S, allowed: &[Origin], domain: &'static str) -> OriginGuard<S> {
    let port = ExplainedCsrf::new(CsrfLayer::new().layer(port), domain);
    if allowed.is_empty() {
        return Either::Right(port);
    }

    let origins: Arc<[HeaderValue]> = allowed.iter().map(|origin| origin.value().clone()).collect();
    let port = TrustAllowed { origins: origins.clone(), guard: port };
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::POST])
        // Libraries for tracing and metrics add their own headers, and gRPC metadata may have any name. A list of
        // headers would protect nothing here. The operator trusts these origins, no request carries credentials that a
        // browser adds by itself, and the server ignores unknown headers.
        .allow_headers(AllowHeaders::mirror_request())
        // A status without messages is sent in headers, and a page can read only exposed headers.
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
            HeaderName::from_static("grpc-accept-encoding"),
            HeaderName::from_static(PUSHBACK),
        ])
        .max_age(PREFLIGHT_LIFE);
    Either::Left(Box::new(cors.layer(port)))
}

/// A wrapper that makes the guard treat pages of allowed origins like the server's own page. [`CsrfLayer`] itself can
/// allow only http and https origins, and the pages of apps have other schemes.
#[derive(Clone)]
pub(super) struct TrustAllowed<G> {
    origins: Arc<[HeaderValue]>,
    guard: G,
}

impl<G, B> Service<Request<B>> for TrustAllowed<G>
where
    G: Service<Request<B>>,
{
    type Response = G::Response;
    type Error = G::Error;
    type Future = G::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), G::Error>> {
        self.guard.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> G::Future {
        let headers = request.headers_mut();
        if headers.get(header::ORIGIN).is_some_and(|origin| self.origins.contains(origin)) {
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
        }
        self.guard.call(request)
    }
}
