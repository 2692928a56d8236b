//! A check of the host name in each request, against DNS rebinding.
//!
//! The owner of a foreign page can let the page's host name resolve to this machine after the page was loaded. Then the
//! browser takes the server for the page's own origin. Without tokens the page could do everything. The host name in
//! its requests gives it away.
//!
//! A native gRPC call is accepted under any name. Programs make such calls with any authority, for example the target
//! of an SSH tunnel or of `grpc.default_authority`. A page cannot pass its request off as one: browsers add `origin` or
//! `sec-fetch-site` to every POST of a page. Native gRPC also needs HTTP/2, which browsers speak only over TLS, where
//! they check the server's certificate.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{
    HeaderName, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST, ORIGIN},
    uri::Authority,
};
use tonic::{Code, body::Body};
use tower::Service;

use super::{
    connect::ConnectKind,
    content_type::{CallType, Framing},
    echoable::echoable,
    health::PROBES,
    status::{self, with_reason},
    trace_id::TraceId,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host names under which the server may be called, without ports.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Option<Arc<[String]>>);

impl AllowedHosts {
    /// Allows any name.
    pub fn any() -> Self {
        Self(None)
    }

    /// Allows `localhost`, names below it and loopback addresses, and the names in `others`.
    pub fn loopback_and(others: impl IntoIterator<Item = String>) -> Self {
        Self(Some(others.into_iter().collect()))
    }

    /// Returns the first host in the request that is not allowed, or an empty string for a `host` header that cannot be
    /// parsed. A request without any host is allowed, since browsers always send one.
    fn foreign_host<B>(&self, request: &Request<B>) -> Option<String> {
        let others = self.0.as_ref()?;
        let foreign = |host: &str| {
            let known = is_loopback_host(host) || others.iter().any(|other| other.eq_ignore_ascii_case(host));
            (!known).then(|| host.to_owned())
        };
        let mut headers = request.headers().get_all(HOST).iter();
        request.uri().host().and_then(foreign).or_else(|| {
            headers.find_map(|value| match Authority::try_from(value.as_bytes()) {
                Ok(authority) => foreign(authority.host()),
                Err(_unreadable) => Some(String::new()),
            })
        })
    }
}

/// Returns the host and the port in the request, in the form that is compared with an origin.
pub(super) fn authority<B>(request: &Request<B>) -> Option<&[u8]> {
    let of_uri = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    of_uri.or_else(|| Some(request.headers().get(HOST)?.as_bytes()))
}

/// Returns `true` if `host` is `localhost`, a name below it or a loopback address.
pub(super) fn is_loopback_host(host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Returns `true` for a native gRPC call that no browser can have sent.
fn is_native_grpc<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let call = headers.get(CONTENT_TYPE).and_then(CallType::parse);
    request.version() == Version::HTTP_2
        && matches!(call, Some(CallType::Proto(Framing::Native) | CallType::OtherCodec(Framing::Native)))
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key(SEC_FETCH_SITE)
}

/// Returns `true` for a probe. Probes are served under any name: orchestrators call them by address, and they reveal
/// nothing secret.
fn is_probe<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && PROBES.contains(&request.uri().path())
}

/// A service that refuses requests with a host name that is not allowed. Cheap to clone.
#[derive(Clone)]
pub(super) struct HostGuard<S> {
    hosts: AllowedHosts,
    domain: &'static str,
    inner: S,
}

impl<S> HostGuard<S> {
    pub(super) fn new(hosts: AllowedHosts, domain: &'static str, inner: S) -> Self {
        Self { hosts, domain, inner }
    }
}

impl<S, B> Service<Request<B>> for HostGuard<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.hosts.foreign_host(&request) {
            Some(host) if !is_native_grpc(&request) && !is_probe(&request) => {
                Either::Right(ready(Ok(misdirected(&request, &host, self.domain))))
            }
            _ => Either::Left(self.inner.call(request)),
        }
    }
}

fn misdirected<B>(request: &Request<B>, host: &str, domain: &'static str) -> Response<Body> {
    let (called, name) = match echoable(host.as_bytes()) {
        Some(host) => (format!("the name {host}"), host),
        None => ("the name in this request".to_owned(), "NAME"),
    };
    let why = format!(
        "this server is not known by {called}: call it by localhost, or start it with --allow-host {name}"
    );
    status::refusal(
        ConnectKind::of(request),
        StatusCode::MISDIRECTED_REQUEST,
        &with_reason(Code::PermissionDenied, "UNKNOWN_HOST", why),
        &TraceId::of(request.headers(), domain),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hosts: &AllowedHosts, uri: &str, headers: &[&str]) -> bool {
        let mut request = Request::get(uri);
        for host in headers {
            request = request.header(HOST, *host);
        }
        hosts.foreign_host(&request.body(()).unwrap()).is_none()
    }

    #[test]
    fn this_machine_has_many_names() {
        let hosts = AllowedHosts::loopback_and(["board.example".to_owned()]);
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.:8080",
            "board.localhost",
            "127.0.0.1",
            "127.8.9.10:1",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
            "board.example",
            "Board.Example:443",
        ] {
            assert!(known(&hosts, "/", &[host]), "{host}");
            assert!(known(&hosts, &format!("http://{host}/"), &[]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "evil-board.example",
            "a.board.example",
            "192.168.0.7:8080",
            "0.0.0.0",
            "[::2]",
            "127.0.0.1.evil.example",
        ] {
            assert!(!known(&hosts, "/", &[host]), "{host}");
            assert!(!known(&hosts, &format!("http://{host}/"), &[]), "{host}");
            assert!(known(&AllowedHosts::any(), "/", &[host]), "{host}");
        }
    }

    #[test]
    fn every_name_that_is_said_must_be_known() {
        let hosts = AllowedHosts::loopback_and([]);
        assert!(known(&hosts, "/", &[]), "a request without a host is from no browser");
        for (uri, headers) in [
            ("http://localhost/", &["evil.example"][..]),
            ("http://evil.example/", &["localhost"]),
            ("/", &["localhost", "evil.example"]),
            ("/", &[""]),
            ("/", &["local host"]),
        ] {
            assert!(!known(&hosts, uri, headers), "{uri} {headers:?}");
        }
    }
}
