//! Clients that speak TLS to a port without it, or no TLS to a port with it.
//!
//! Both get an answer in plain HTTP. A TLS alert could not name the mistake: none stands for it, and what clients make of
//! the nearest ones sends people after versions and ciphers. Bytes of HTTP where TLS was expected are what every client
//! has its own words for ("wrong version number", "server gave HTTP response to HTTPS client"), and tools show the text.

use std::{net::IpAddr, sync::LazyLock, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use tonic::{Code, body::Body};

use super::{
    hosts::authority,
    repeatable::repeatable,
    status::{self, with_reason},
};

pub(super) const TLS_ON_PLAIN_PORT: &str = "the client speaks TLS, and this port speaks plain HTTP: use http:// instead of \
                                            https://, or start the server with --tls-cert and --tls-key";

/// Between two log lines about it: browsers try https:// first by themselves, and nobody is to fill the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// The refusal of plain HTTP on the TLS port. It is no redirect: a program that is sent on each time works, and nobody
/// notices that its tokens travel in the clear first.
pub(super) fn needs_tls<B>(request: &Request<B>) -> Response<Body> {
    let host = authority(request).and_then(repeatable).unwrap_or("HOST");
    let text = format!("the client speaks plain HTTP, and this port speaks TLS: use https://{host}");
    let status = with_reason(Code::FailedPrecondition, "NEEDS_TLS", text);
    let mut response = status::to_caller(StatusCode::BAD_REQUEST, &status, request);
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

pub(super) fn warn_of_tls(address: IpAddr) {
    if may_warn() {
        tracing::warn!(
            %address,
            "a client spoke TLS to this port, which speaks plain HTTP: it needs http:// instead of https://, or the server \
             --tls-cert and --tls-key"
        );
    }
}

pub(super) fn warn_of_plain_http(address: IpAddr) {
    if may_warn() {
        tracing::warn!(%address, "a client spoke plain HTTP to this port, which speaks TLS: it needs https:// instead of http://");
    }
}

fn may_warn() -> bool {
    static WARNINGS: LazyLock<Option<DefaultDirectRateLimiter>> =
        LazyLock::new(|| Quota::with_period(BETWEEN_WARNINGS).map(RateLimiter::direct));
    WARNINGS.as_ref().is_some_and(|warnings| warnings.check().is_ok())
}
