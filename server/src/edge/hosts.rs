//! By which names this server may be called.
//!
//! A page from anywhere can have its own name point to this machine once it is loaded (DNS rebinding), and is of the
//! server's own origin then, as far as its browser can tell. Where nobody needs a token it could do everything. What gives
//! it away is that name.
//!
//! A native gRPC call is let in by any: programs make those, which name what they like, like the target of an SSH tunnel
//! or of `grpc.default_authority`. A page cannot make one unseen. Browsers say `origin` or `sec-fetch-site` with whatever
//! a page posts, and speak the HTTP/2 that it needs over TLS only, where they know the server by its certificate.

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
    connect::Connect,
    content_type::{CallType, Framing},
    health::PROBES,
    repeatable::repeatable,
    status::{self, with_reason},
    trace::Trace,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names of a server, without ports.
#[derive(Clone, Debug)]
pub struct Hosts(Option<Arc<[String]>>);

impl Hosts {
    /// Whatever it is called by.
    pub fn any() -> Self {
        Self(None)
    }

    /// This machine's names for itself, and `others`.
    pub fn of_this_machine_and(others: impl IntoIterator<Item = String>) -> Self {
        Self(Some(others.into_iter().collect()))
    }

    /// The first host that the request names and that is none of the server's: empty, if it cannot be read as one. A
    /// client that names no host is no browser.
    fn foreign_to<B>(&self, request: &Request<B>) -> Option<String> {
        let others = self.0.as_ref()?;
        let foreign = |host: &str| {
            let known = is_this_machine(host) || others.iter().any(|other| other.eq_ignore_ascii_case(host));
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

/// The host and the port that the request names, as they are compared with an origin.
pub(super) fn authority<B>(request: &Request<B>) -> Option<&[u8]> {
    let of_uri = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    of_uri.or_else(|| Some(request.headers().get(HOST)?.as_bytes()))
}

pub(super) fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_a_programs<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let call = headers.get(CONTENT_TYPE).and_then(CallType::parse);
    request.version() == Version::HTTP_2
        && matches!(call, Some(CallType::Proto(Framing::Native) | CallType::OtherCodec(Framing::Native)))
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key(SEC_FETCH_SITE)
}

/// Probes are answered under any name: orchestrators call them by address, and they tell nothing secret.
fn is_probe<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && PROBES.contains(&request.uri().path())
}

/// What is reached by the right names only. Cheap to clone.
#[derive(Clone)]
pub(super) struct Named<S> {
    hosts: Hosts,
    inner: S,
}

impl<S> Named<S> {
    pub(super) fn new(hosts: Hosts, inner: S) -> Self {
        Self { hosts, inner }
    }
}

impl<S, B> Service<Request<B>> for Named<S>
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
        match self.hosts.foreign_to(&request) {
            Some(host) if !is_a_programs(&request) && !is_probe(&request) => {
                Either::Right(ready(Ok(misdirected(&request, &host))))
            }
            _ => Either::Left(self.inner.call(request)),
        }
    }
}

fn misdirected<B>(request: &Request<B>, host: &str) -> Response<Body> {
    let (called, name) = match repeatable(host.as_bytes()) {
        Some(host) => (format!("the name {host}"), host),
        None => ("the name in this request".to_owned(), "NAME"),
    };
    let why = format!(
        "this server is not known by {called}: call it by localhost, or start it with --allow-host {name}"
    );
    status::refusal(
        Connect::of(request),
        StatusCode::MISDIRECTED_REQUEST,
        &with_reason(Code::PermissionDenied, "UNKNOWN_HOST", why),
        &Trace::of(request.headers()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hosts: &Hosts, uri: &str, headers: &[&str]) -> bool {
        let mut request = Request::get(uri);
        for host in headers {
            request = request.header(HOST, *host);
        }
        hosts.foreign_to(&request.body(()).unwrap()).is_none()
    }

    #[test]
    fn this_machine_has_many_names() {
        let hosts = Hosts::of_this_machine_and(["rides.example".to_owned()]);
        for host in [
            "localhost",
            "LocalHost:8080",
            "localhost.:8080",
            "rides.localhost",
            "127.0.0.1",
            "127.8.9.10:1",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
            "rides.example",
            "Rides.Example:443",
        ] {
            assert!(known(&hosts, "/", &[host]), "{host}");
            assert!(known(&hosts, &format!("http://{host}/"), &[]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "evil-rides.example",
            "a.rides.example",
            "192.168.0.7:8080",
            "0.0.0.0",
            "[::2]",
            "127.0.0.1.evil.example",
        ] {
            assert!(!known(&hosts, "/", &[host]), "{host}");
            assert!(!known(&hosts, &format!("http://{host}/"), &[]), "{host}");
            assert!(known(&Hosts::any(), "/", &[host]), "{host}");
        }
    }

    #[test]
    fn every_name_that_is_said_must_be_known() {
        let hosts = Hosts::of_this_machine_and([]);
        assert!(known(&hosts, "/", &[]), "no browser says nothing");
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
