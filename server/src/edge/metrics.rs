//! Figures of calls and connections. They stand inside the gRPC-Web layer: outside of it, every call looks
//! like HTTP 200.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tonic::{Code, Status};

use super::Contract;

const RPCS: &str = "rides_rpcs_total";
const OPEN_RPCS: &str = "rides_open_rpcs";
const OPEN_CONNECTIONS: &str = "rides_open_connections";

/// Says what the figures mean.
pub(super) fn describe() {
    describe_counter!(RPCS, "Calls that ended, by method and final status.");
    describe_gauge!(OPEN_RPCS, "Calls in progress, streams included, by method.");
    describe_gauge!(OPEN_CONNECTIONS, "Connections to the port.");
}

/// Counts a call from its first byte to the last of its answer.
pub(super) async fn count(State(contract): State<Arc<Contract>>, request: Request, next: Next) -> Response {
    let mut call = Call::open(&contract, request.uri().path());
    let response = next.run(request).await;
    call.observe(response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            frame.trailers_ref().into_iter().for_each(|trailers| call.observe(trailers));
            frame
        }))
    })
}

/// A call in progress. It counts as CANCELLED unless a status was seen before it was dropped.
struct Call {
    method: String,
    code: Code,
}

impl Call {
    /// Paths that are no method's share a name, so that nobody can fill the memory with them.
    fn open(contract: &Contract, path: &str) -> Self {
        let method = if contract.method(path).is_some() { path.trim_start_matches('/') } else { "unknown" };
        gauge!(OPEN_RPCS, "method" => method.to_owned()).increment(1.0);
        Self { method: method.to_owned(), code: Code::Cancelled }
    }

    fn observe(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = status.code();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let method = std::mem::take(&mut self.method);
        gauge!(OPEN_RPCS, "method" => method.clone()).decrement(1.0);
        counter!(RPCS, "method" => method, "code" => format!("{:?}", self.code)).increment(1);
    }
}

/// A connection, counted for as long as it is held.
pub(super) struct Connection;

impl Connection {
    pub(super) fn open() -> Self {
        gauge!(OPEN_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        gauge!(OPEN_CONNECTIONS).decrement(1.0);
    }
}
