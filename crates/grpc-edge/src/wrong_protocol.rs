//! Responses to clients that speak TLS to a port without TLS, or plain HTTP to a port with TLS.
//!
//! Both get a response in plain HTTP. No TLS alert names this mistake, and the messages that clients show for the
//! nearest alerts make people look for wrong versions and ciphers. For HTTP in the place of TLS every client has a
//! message of its own ("wrong version number", "server gave HTTP response to HTTPS client"), and tools show the text of
//! the response.

use std::{net::IpAddr, sync::LazyLock, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use tonic::{Code, body::Body};

use super::{
    allowed_hosts::authority,
    echoable::echoable,
    status::{self, with_reason},
};

/// The message for a client that speaks TLS to a port without TLS.
pub(super) const TLS_ON_PLAIN_PORT: &str = "the client speaks TLS, and this port speaks plain HTTP: use http:// instead of \
                                            https://, or start the server with --tls-cert and --tls-key";

/// The least time between two log lines about the mistake. Browsers try https:// first by themselves, and no client may
/// fill the log.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Refuses plain HTTP on a port with TLS. It does not redirect: a program that follows a redirect each time would work,
/// and nobody would notice that it sends its tokens unencrypted first.
pub(super) fn needs_tls<B>(request: &Request<B>, domain: &'static str) -> Response<Body> {
    let host = authority(request).and_then(echoable).unwrap_or("HOST");
    let text = format!("the client speaks plain HTTP, and this port speaks TLS: use https://{host}");
    let status = with_reason(Code::FailedPrecondition, "NEEDS_TLS", text);
    let mut response = status::in_protocol_of(StatusCode::BAD_REQUEST, &status, request, domain);
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Logs that the client at `address` spoke TLS to a port without TLS, at most once in [`WARNING_INTERVAL`].
pub(super) fn warn_of_tls(address: IpAddr) {
    if may_warn() {
        tracing::warn!(
            %address,
            "a client spoke TLS to this port, which speaks plain HTTP: use http:// instead of https://, or start the server \
             with --tls-cert and --tls-key"
        );
    }
}

/// Logs that the client at `address` spoke plain HTTP to a port with TLS, at most once in [`WARNING_INTERVAL`].
pub(super) fn warn_of_plain_http(address: IpAddr) {
    if may_warn() {
        tracing::warn!(%address, "a client spoke plain HTTP to this port, which speaks TLS: use https:// instead of http://");
    }
}

fn may_warn() -> bool {
    static WARNINGS: LazyLock<Option<DefaultDirectRateLimiter>> =
        LazyLock::new(|| Quota::with_period(WARNING_INTERVAL).map(RateLimiter::direct));
    WARNINGS.as_ref().is_some_and(|warnings| warnings.check().is_ok())
}
