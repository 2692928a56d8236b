//! The setups to try: proxy configurations, the protocols on both sides of the proxy, and the expected outcomes.

use tonic::Code;

use self::ExpectedOutcome::{EndsAfter, Fails, Live, ShortCalls, Untried};
use super::program::Program;

/// A proxy program with a configuration, and the expected outcome for each kind of client.
#[derive(Debug)]
pub struct Setup {
    /// The name of the test, and of its folder in `target/e2e/proxies`.
    pub name: &'static str,
    /// The proxy program.
    pub program: Program,
    /// The configuration, a path in the repository.
    pub file: &'static str,
    /// The scheme and host by which clients reach the proxy.
    pub client_side: ClientSide,
    /// The HTTP version between the proxy and the server.
    pub upstream_http: &'static str,
    /// The path at which the proxy serves Rides.
    pub path: Path,
    /// Is `true` if the proxy must respond to `/metrics` with 404.
    pub hides_metrics: bool,
    /// The expected outcome for the page in a browser.
    pub page: ExpectedOutcome,
    /// The expected outcome for gRPC-Web without a browser.
    pub web: ExpectedOutcome,
    /// The expected outcome for native gRPC: streams, errors and a driver.
    pub native: ExpectedOutcome,
    /// The expected outcome for a native gRPC upload of 40,000 positions.
    pub upload: ExpectedOutcome,
}

/// The scheme and host by which clients reach a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientSide {
    /// Without TLS, at `127.0.0.1`, to which a browser sends `sec-fetch-site: same-origin`.
    Plain,
    /// Without TLS, at `rides.example`: the server has to compare the host with the page's origin.
    Named,
    /// Over TLS, with HTTP/2 and HTTP/1.1, at `rides.example`.
    Tls,
}

/// The path at which a proxy serves Rides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// At `/`.
    Root,
    /// At `/rides/`, and the proxy strips the path.
    Stripped,
    /// At `/rides/`, and the proxy keeps the path.
    Kept,
}

/// The expected outcome of a trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpectedOutcome {
    /// The first message arrives within 1 s, no message is late within 60 s, and no event is lost when the proxy is
    /// restarted.
    Live,
    /// The proxy holds streams back. The page makes short calls instead.
    ShortCalls,
    /// The proxy cuts every stream after this many seconds, and clients open another.
    EndsAfter(u64),
    /// The proxy does not support it. Clients get this status, with a message that contains this text.
    Fails(Code, &'static str),
    /// The trial is left out: it would show nothing new.
    Untried,
}

/// All setups, in the order of the table in `docs/deploy.md`.
pub const SETUPS: &[Setup] = &[
    Setup {
        page: Live,
        web: Live,
        ..plain("nginx, shortest", Program::Nginx, "deploy/nginx/shortest.conf", "HTTP/1.0")
    },
    Setup {
        client_side: ClientSide::Named,
        web: Fails(Code::PermissionDenied, "--allow-origin http://rides.example"),
        ..plain("nginx, shortest, by a name", Program::Nginx, "deploy/nginx/shortest.conf", "HTTP/1.0")
    },
    Setup {
        client_side: ClientSide::Named,
        page: Live,
        web: Live,
        ..plain("nginx, host kept", Program::Nginx, "deploy/nginx/plain.conf", "HTTP/1.1")
    },
    Setup {
        native: Live,
        upload: Fails(Code::Internal, "413 Payload Too Large"),
        ..plain("nginx, shortest for gRPC", Program::Nginx, "deploy/nginx/shortest-grpc.conf", "HTTP/2")
    },
    recommended("nginx, recommended", Program::Nginx, "deploy/nginx/rides.conf", "HTTP/2; the page HTTP/1.1"),
    Setup {
        page: ShortCalls,
        web: ShortCalls,
        ..plain("nginx with buffering", Program::Nginx, "e2e/proxies/nginx-buffers.conf", "HTTP/1.0")
    },
    Setup {
        path: Path::Stripped,
        page: Live,
        web: Live,
        ..plain("nginx, path stripped", Program::Nginx, "deploy/nginx/path.conf", "HTTP/1.0")
    },
    Setup {
        path: Path::Kept,
        page: Live,
        web: Live,
        ..plain("nginx, path kept", Program::Nginx, "deploy/nginx/path-kept.conf", "HTTP/1.0")
    },
    Setup {
        client_side: ClientSide::Named,
        page: Live,
        web: Live,
        ..plain("Caddy, shortest", Program::Caddy, "deploy/caddy/shortest-plain.Caddyfile", "HTTP/1.1")
    },
    Setup {
        client_side: ClientSide::Tls,
        web: Live,
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("Caddy, shortest over TLS", Program::Caddy, "deploy/caddy/shortest.Caddyfile", "HTTP/1.1")
    },
    recommended("Caddy, recommended", Program::Caddy, "deploy/caddy/Caddyfile", "HTTP/2"),
    Setup {
        client_side: ClientSide::Tls,
        path: Path::Stripped,
        page: Live,
        web: Live,
        ..plain("Caddy, path stripped", Program::Caddy, "deploy/caddy/path.Caddyfile", "HTTP/1.1")
    },
    Setup {
        client_side: ClientSide::Named,
        page: Live,
        web: Live,
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("HAProxy, shortest", Program::Haproxy, "deploy/haproxy/shortest.cfg", "HTTP/1.1")
    },
    recommended("HAProxy, recommended", Program::Haproxy, "deploy/haproxy/haproxy.cfg", "HTTP/2"),
    Setup {
        page: Live,
        web: Live,
        ..plain("Apache, shortest", Program::Apache, "deploy/apache/shortest.conf", "HTTP/1.1")
    },
    recommended(
        "Apache, recommended",
        Program::Apache,
        "deploy/apache/rides.conf",
        "HTTP/2; the page HTTP/1.1",
    ),
    Setup {
        client_side: ClientSide::Named,
        page: EndsAfter(15),
        web: EndsAfter(15),
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("Envoy, shortest", Program::Envoy, "deploy/envoy/shortest.yaml", "HTTP/1.1")
    },
    recommended("Envoy, recommended", Program::Envoy, "deploy/envoy/envoy.yaml", "HTTP/2"),
];

/// Returns a setup without trials.
const fn plain(name: &'static str, program: Program, file: &'static str, inside: &'static str) -> Setup {
    Setup {
        name,
        program,
        file,
        client_side: ClientSide::Plain,
        upstream_http: inside,
        path: Path::Root,
        hides_metrics: false,
        page: Untried,
        web: Untried,
        native: Untried,
        upload: Untried,
    }
}

/// Returns a setup in which every client must be live, over TLS.
const fn recommended(
    name: &'static str,
    program: Program,
    file: &'static str,
    inside: &'static str,
) -> Setup {
    Setup {
        client_side: ClientSide::Tls,
        hides_metrics: true,
        page: Live,
        web: Live,
        native: Live,
        upload: Live,
        ..plain(name, program, file, inside)
    }
}
