//! Pages of other origins: refused, unless allowed.
//!
//! CORS alone is no guard: it keeps a page from reading an answer, not from having the call run. So calls of
//! foreign origins are refused before they reach anything (`foreign`), and CORS headers go to allowed ones only.

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

use super::{foreign::Explained, origin::Origin, status::PUSHBACK};

/// As long as browsers keep the answer to a preflight anyway.
const PREFLIGHT_LIFE: Duration = Duration::from_secs(2 * 60 * 60);

/// The header that the guard looks at first.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is behind the guard. In a box where there are allowed origins, so that a connection without has no room for them.
pub(super) type Guarded<S> = Either<Box<Cors<Vouched<Explained<Csrf<S>>>>>, Explained<Csrf<S>>>;

/// `port`, callable by pages of its own origin and of `allowed` ones.
pub(super) fn guard<S>(port: S, allowed: &[Origin]) -> Guarded<S> {
    let port = Explained::new(CsrfLayer::new().layer(port));
    if allowed.is_empty() {
        return Either::Right(port);
    }

    let origins: Arc<[HeaderValue]> = allowed.iter().map(|origin| origin.value().clone()).collect();
    let port = Vouched { origins: origins.clone(), guard: port };
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::POST])
        // Every library for traces and metrics brings headers of its own, and metadata of gRPC may have any name. A list
        // would protect nothing here: the operator trusts these origins, no request carries credentials that a browser
        // adds by itself, and the server ignores headers that it does not know.
        .allow_headers(AllowHeaders::mirror_request())
        // A status without messages travels in headers, which a page can read only if exposed.
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

/// A guard that takes pages of allowed origins for the server's own. [`CsrfLayer`] itself can be told of http and https
/// origins alone, and apps have schemes of their own.
#[derive(Clone)]
pub(super) struct Vouched<G> {
    origins: Arc<[HeaderValue]>,
    guard: G,
}

impl<G, B> Service<Request<B>> for Vouched<G>
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
