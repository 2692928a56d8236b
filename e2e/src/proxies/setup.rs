//! What is tried: configurations of proxies, what they speak on either side, and what is expected of each.

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
    /// How clients reach it.
    pub outside: Outside,
    /// What it speaks to the server.
    pub inside: &'static str,
    /// The path below which it has Rides.
    pub path: Path,
    /// The page in a browser.
    pub page: Expected,
    /// gRPC-Web, without a browser.
    pub web: Expected,
    /// Native gRPC: streams, errors and a driver.
    pub native: Expected,
    /// Native gRPC: an upload of 40,000 positions.
    pub upload: Expected,
}

/// How clients reach a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// HTTP/1.1, and HTTP/2 for native gRPC where the proxy has it, without TLS.
    Plain,
    /// HTTP/2 and HTTP/1.1 over TLS, as `rides.example`.
    Tls,
}

/// Where a proxy has Rides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// At `/`.
    Root,
    /// At `/rides/`, and the proxy strips the path.
    Stripped,
    /// At `/rides/`, and the proxy keeps the path.
    Kept,
}

/// What is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The first message within 1 s, none late in 60 s, and no event lost when the proxy is started again.
    Live,
    /// The proxy keeps streams back. The page goes on by short calls.
    ShortCalls,
    /// The proxy ends every stream after so many seconds, and clients go on with another.
    EndsAfter(u64),
    /// The proxy cannot: clients hear this.
    Fails(&'static str),
    /// Nothing new to see.
    Untried,
}

/// All of them, in the order of the table in `docs/deploy.md`.
pub const SETUPS: &[Setup] = &[];
