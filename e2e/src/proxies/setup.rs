//! The setups that are tried: configurations of proxies, what they speak on either side, and what is expected of each.

use tonic::Code;

use self::Expected::{EndsAfter, Fails, Live, ShortCalls, Untried};
use super::program::Program;

/// A proxy with a configuration.
#[derive(Debug)]
pub struct Setup {
    /// The name: of a test, and of a folder in `target/e2e`.
    pub name: &'static str,
    /// The proxy.
    pub program: Program,
    /// Its configuration, a path in the repository.
    pub file: &'static str,
    /// The way in which clients reach the proxy.
    pub outside: Outside,
    /// The protocol between the proxy and the server.
    pub inside: &'static str,
    /// The path below which it has Rides.
    pub path: Path,
    /// The figures in `/metrics` are kept from everybody outside.
    pub hides_metrics: bool,
    /// The page in a browser.
    pub page: Expected,
    /// gRPC-Web, without a browser.
    pub web: Expected,
    /// Native gRPC: streams, errors and a driver.
    pub native: Expected,
    /// Native gRPC: an upload of 40,000 positions.
    pub upload: Expected,
}

/// A way in which clients reach a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// Without TLS, at `127.0.0.1`, where a browser says that a call is of the same origin.
    Plain,
    /// Without TLS, as `rides.example`, where the server has to compare the host with the page's origin.
    Named,
    /// Over TLS, with HTTP/2 and HTTP/1.1, as `rides.example`.
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

/// An expected outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The first message within 1 s, none late in 60 s, and no event lost when the proxy is started again.
    Live,
    /// The proxy keeps streams back. The page goes on by short calls.
    ShortCalls,
    /// The proxy ends every stream after so many seconds, and clients go on with another.
    EndsAfter(u64),
    /// The proxy cannot: clients hear this status, with these words.
    Fails(Code, &'static str),
    /// Nothing new to see.
    Untried,
}

/// All of them, in the order of the table in `docs/deploy.md`.
pub const SETUPS: &[Setup] = &[
    Setup {
        page: Live,
        web: Live,
        ..plain("nginx, shortest", Program::Nginx, "deploy/nginx/shortest.conf", "HTTP/1.0")
    },
    Setup {
        outside: Outside::Named,
        web: Fails(Code::PermissionDenied, "--allow-origin http://rides.example"),
        ..plain("nginx, shortest, by a name", Program::Nginx, "deploy/nginx/shortest.conf", "HTTP/1.0")
    },
    Setup {
        outside: Outside::Named,
        page: Live,
        web: Live,
        ..plain("nginx, host kept", Program::Nginx, "deploy/nginx/plain.conf", "HTTP/1.1")
    },
    Setup {
        native: Live,
        upload: Fails(Code::Internal, "413 Payload Too Large"),
        ..plain("nginx, shortest for gRPC", Program::Nginx, "deploy/nginx/shortest-grpc.conf", "HTTP/2")
    },
    ours("nginx, ours", Program::Nginx, "deploy/nginx/rides.conf", "HTTP/2; the page HTTP/1.1"),
    Setup {
        page: ShortCalls,
        web: ShortCalls,
        ..plain("nginx that buffers", Program::Nginx, "e2e/proxies/nginx-buffers.conf", "HTTP/1.0")
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
        outside: Outside::Named,
        page: Live,
        web: Live,
        ..plain("Caddy, shortest", Program::Caddy, "deploy/caddy/shortest-plain.Caddyfile", "HTTP/1.1")
    },
    Setup {
        outside: Outside::Tls,
        web: Live,
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("Caddy, shortest over TLS", Program::Caddy, "deploy/caddy/shortest.Caddyfile", "HTTP/1.1")
    },
    ours("Caddy, ours", Program::Caddy, "deploy/caddy/Caddyfile", "HTTP/2"),
    Setup {
        outside: Outside::Tls,
        path: Path::Stripped,
        page: Live,
        web: Live,
        ..plain("Caddy, path stripped", Program::Caddy, "deploy/caddy/path.Caddyfile", "HTTP/1.1")
    },
    Setup {
        outside: Outside::Named,
        page: Live,
        web: Live,
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("HAProxy, shortest", Program::Haproxy, "deploy/haproxy/shortest.cfg", "HTTP/1.1")
    },
    ours("HAProxy, ours", Program::Haproxy, "deploy/haproxy/haproxy.cfg", "HTTP/2"),
    Setup {
        page: Live,
        web: Live,
        ..plain("Apache, shortest", Program::Apache, "deploy/apache/shortest.conf", "HTTP/1.1")
    },
    ours("Apache, ours", Program::Apache, "deploy/apache/rides.conf", "HTTP/2; the page HTTP/1.1"),
    Setup {
        outside: Outside::Named,
        page: EndsAfter(15),
        web: EndsAfter(15),
        native: Fails(Code::InvalidArgument, "needs HTTP/2"),
        ..plain("Envoy, shortest", Program::Envoy, "deploy/envoy/shortest.yaml", "HTTP/1.1")
    },
    ours("Envoy, ours", Program::Envoy, "deploy/envoy/envoy.yaml", "HTTP/2"),
];

/// A setup of which nothing is tried yet.
const fn plain(name: &'static str, program: Program, file: &'static str, inside: &'static str) -> Setup {
    Setup {
        name,
        program,
        file,
        outside: Outside::Plain,
        inside,
        path: Path::Root,
        hides_metrics: false,
        page: Untried,
        web: Untried,
        native: Untried,
        upload: Untried,
    }
}

/// A setup of which everything is expected.
const fn ours(name: &'static str, program: Program, file: &'static str, inside: &'static str) -> Setup {
    Setup {
        outside: Outside::Tls,
        hides_metrics: true,
        page: Live,
        web: Live,
        native: Live,
        upload: Live,
        ..plain(name, program, file, inside)
    }
}
