//! Pages of other origins: refused, unless allowed.
//!
//! CORS alone is no guard: it keeps a page from reading an answer, not from having the call run. So calls of
//! foreign origins are answered 403 before they reach anything, and CORS headers go to allowed ones only.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderName, HeaderValue, Method, header};
use tower::{Layer as _, util::Either};
use tower_http::{
    cors::{AllowOrigin, Cors, CorsLayer},
    csrf::{Csrf, CsrfLayer},
};

/// As long as browsers keep the answer to a preflight anyway.
const PREFLIGHT_LIFE: Duration = Duration::from_secs(2 * 60 * 60);

/// What is behind the guard. In a box where there are allowed origins, so that a connection without has no room for them.
pub(super) type Guarded<S> = Either<Box<Cors<Csrf<S>>>, Csrf<S>>;

/// `port`, callable by pages of its own origin and of `allowed` ones.
///
/// Fails if an allowed origin is not one.
pub(super) fn guard<S>(port: S, allowed: &[String]) -> anyhow::Result<Guarded<S>> {
    let same_origin = allowed
        .iter()
        .try_fold(CsrfLayer::new(), |layer, origin| layer.add_trusted_origin(origin))
        .map_err(|error| anyhow::anyhow!("--allow-origin: {error}"))?;
    let port = same_origin.layer(port);
    if allowed.is_empty() {
        return Ok(Either::Right(port));
    }

    let origins = allowed
        .iter()
        .map(|origin| HeaderValue::from_str(origin))
        .collect::<Result<Vec<_>, _>>()
        .context("--allow-origin")?;
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
            HeaderName::from_static("grpc-timeout"),
            HeaderName::from_static("traceparent"),
        ])
        // A status without messages travels in headers, which a page can read only if exposed.
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
        ])
        .max_age(PREFLIGHT_LIFE);
    Ok(Either::Left(Box::new(cors.layer(port))))
}
