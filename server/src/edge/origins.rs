//! Pages of other origins: refused, unless allowed.
//!
//! CORS alone is no guard: it keeps a page from reading an answer, not from having the call run. So calls of
//! foreign origins are refused before they reach anything (`foreign`), and CORS headers go to allowed ones only.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderName, HeaderValue, Method};
use tower::{Layer as _, util::Either};
use tower_http::{
    cors::{AllowHeaders, AllowOrigin, Cors, CorsLayer},
    csrf::{Csrf, CsrfLayer},
};

use super::foreign::Explained;

/// As long as browsers keep the answer to a preflight anyway.
const PREFLIGHT_LIFE: Duration = Duration::from_secs(2 * 60 * 60);

/// What is behind the guard. In a box where there are allowed origins, so that a connection without has no room for them.
pub(super) type Guarded<S> = Either<Box<Cors<Explained<Csrf<S>>>>, Explained<Csrf<S>>>;

/// `port`, callable by pages of its own origin and of `allowed` ones.
///
/// Fails if an allowed origin is not one.
pub(super) fn guard<S>(port: S, allowed: &[String]) -> anyhow::Result<Guarded<S>> {
    let same_origin = allowed
        .iter()
        .try_fold(CsrfLayer::new(), |layer, origin| layer.add_trusted_origin(origin))
        .map_err(|error| anyhow::anyhow!("--allow-origin: {error}"))?;
    let port = Explained::new(same_origin.layer(port));
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
        ])
        .max_age(PREFLIGHT_LIFE);
    Ok(Either::Left(Box::new(cors.layer(port))))
}
