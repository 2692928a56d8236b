//! The metrics of calls and connections.
//!
//! Calls are counted inside the gRPC-Web layer, because outside of it the status of a call is part of the body.

use std::{array, collections::HashMap, mem, sync::Arc};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tokio::time::Instant;
use tonic::Code;

use super::{Contract, Method, frames::FrameParser};

const STARTED: &str = "rpcs_started_total";
const RPCS: &str = "rpcs_total";
const DURATION: &str = "rpc_duration_seconds";
const RECEIVED: &str = "rpc_messages_received_total";
const SENT: &str = "rpc_messages_sent_total";
const OPEN_RPCS: &str = "open_rpcs";
const OPEN_CONNECTIONS: &str = "open_connections";
const REFUSED_CONNECTIONS: &str = "refused_connections_total";

/// The number of gRPC status codes, from OK to UNAUTHENTICATED.
const CODES: usize = 17;

/// Registers the help texts of the metrics, whose names begin with `prefix` and an underscore.
pub(super) fn describe(prefix: &str) {
    let name = |name: &str| named(prefix, name);
    describe_counter!(name(STARTED), "Calls that began, by method.");
    describe_counter!(name(RPCS), "Calls that ended, by method and final status.");
    describe_histogram!(name(DURATION), "The duration of ended calls, streams included, by method.");
    describe_counter!(name(RECEIVED), "Messages from clients, by method.");
    describe_counter!(name(SENT), "Messages to clients, by method.");
    describe_gauge!(name(OPEN_RPCS), "Calls in progress, streams included, by method.");
    describe_gauge!(name(OPEN_CONNECTIONS), "Connections to the port.");
    describe_counter!(
        name(REFUSED_CONNECTIONS),
        "Connections that were closed because their address had too many."
    );
}

fn named(prefix: &str, name: &str) -> String {
    format!("{prefix}_{name}")
}

/// The metrics of calls, by method.
pub(super) struct CallMetrics {
    /// The metrics by path.
    methods: HashMap<String, Arc<MethodMetrics>>,
    /// The metrics of all unknown paths together, so that no client can fill the memory with paths.
    unknown: Arc<MethodMetrics>,
}

/// The metrics of one method. They are looked up once, when the server starts, so that all are exported before the
/// first call.
struct MethodMetrics {
    /// The name of the method, for example `board.v1.Board/Book`.
    name: String,
    /// The method in the contract. `None` for unknown paths.
    method: Option<Method>,
    started: Counter,
    open: Gauge,
    received: Counter,
    sent: Counter,
    duration: Histogram,
    /// The counters of ended calls, by status.
    ended: [Counter; CODES],
}

impl CallMetrics {
    /// Creates the metrics of all methods in `contract`.
    pub(super) fn of(contract: &Contract, prefix: &str) -> Self {
        let of_method = |path: &str| {
            let figures = MethodMetrics::of(prefix, path.trim_start_matches('/'), contract.method(path));
            (path.to_owned(), Arc::new(figures))
        };
        let unknown = Arc::new(MethodMetrics::of(prefix, "unknown", None));
        Self { methods: contract.paths().map(of_method).collect(), unknown }
    }

    /// Counts the start of a call to `path`.
    pub(super) fn open(&self, path: &str, began: Instant) -> CallRecorder {
        let figures = self.methods.get(path).unwrap_or(&self.unknown).clone();
        figures.started.increment(1);
        figures.open.increment(1.0);
        CallRecorder {
            figures,
            began,
            response_frames: FrameParser::new(usize::MAX),
            code: Code::Cancelled,
            is_closed: false,
        }
    }
}

impl MethodMetrics {
    fn of(prefix: &str, name: &str, method: Option<Method>) -> Self {
        let of = |metric: &str| counter!(named(prefix, metric), "method" => name.to_owned());
        Self {
            name: name.to_owned(),
            method,
            started: of(STARTED),
            open: gauge!(named(prefix, OPEN_RPCS), "method" => name.to_owned()),
            received: of(RECEIVED),
            sent: of(SENT),
            duration: histogram!(named(prefix, DURATION), "method" => name.to_owned()),
            ended: array::from_fn(|code| {
                let code = Code::from_i32(code as i32);
                counter!(named(prefix, RPCS), "method" => name.to_owned(), "code" => format!("{code:?}"))
            }),
        }
    }

    fn end(&self, code: Code, began: Instant) {
        self.open.decrement(1.0);
        self.duration.record(began.elapsed());
        if let Some(counter) = self.ended.get(code as usize) {
            counter.increment(1);
        }
    }
}

/// A call in progress. It counts as CANCELLED unless a status was seen before it was dropped.
pub(super) struct CallRecorder {
    figures: Arc<MethodMetrics>,
    began: Instant,
    /// The parser of the response, by which its messages are counted.
    response_frames: FrameParser,
    code: Code,
    /// The end of the call was counted already.
    is_closed: bool,
}

impl CallRecorder {
    /// Returns the name of the method, for example `board.v1.Board/Book`.
    pub(super) fn name(&self) -> &str {
        &self.figures.name
    }

    /// Returns the method in the contract, or `None` for an unknown path.
    pub(super) fn method(&self) -> Option<Method> {
        self.figures.method
    }

    /// Returns the counter of messages from clients.
    pub(super) fn received(&self) -> &Counter {
        &self.figures.received
    }

    /// Counts the messages that begin in `data`, the next part of the response.
    pub(super) fn record_sent(&mut self, data: &[u8]) {
        // Outgoing frames always have a valid flag and length.
        if let Ok(begun @ 1..) = self.response_frames.feed(data) {
            self.figures.sent.increment(begun);
        }
    }

    /// Sets the status with which the call ends.
    pub(super) fn set_status(&mut self, code: Code) {
        self.code = code;
    }

    /// Counts the end of the call now instead of when this is dropped.
    pub(super) fn close(&mut self) {
        if !mem::replace(&mut self.is_closed, true) {
            self.figures.end(self.code, self.began);
        }
    }
}

impl Drop for CallRecorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// The metrics of connections. They are exported with 0 before the first event. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectionMetrics {
    open: Gauge,
    refused: Counter,
}

impl ConnectionMetrics {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            open: gauge!(named(prefix, OPEN_CONNECTIONS)),
            refused: counter!(named(prefix, REFUSED_CONNECTIONS)),
        }
    }

    /// Counts an open connection until the guard is dropped.
    pub(super) fn open(&self) -> OpenConnection {
        self.open.increment(1.0);
        OpenConnection(self.open.clone())
    }

    /// Counts a connection that is closed without being read, because its address has too many.
    pub(super) fn refuse(&self) {
        self.refused.increment(1);
    }
}

/// A guard that counts an open connection until it is dropped.
pub(super) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
