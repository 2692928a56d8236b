//! Figures of calls and connections. They stand inside the gRPC-Web layer: outside of it, every call looks
//! like HTTP 200.

use std::{array, collections::HashMap, mem, sync::Arc};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use tokio::time::Instant;
use tonic::Code;

use super::{Contract, Method, frames::Frames};

const STARTED: &str = "rides_rpcs_started_total";
const RPCS: &str = "rides_rpcs_total";
const DURATION: &str = "rides_rpc_duration_seconds";
const RECEIVED: &str = "rides_rpc_messages_received_total";
const SENT: &str = "rides_rpc_messages_sent_total";
const OPEN_RPCS: &str = "rides_open_rpcs";
const OPEN_CONNECTIONS: &str = "rides_open_connections";
const REFUSED_CONNECTIONS: &str = "rides_refused_connections_total";

/// Status codes, from OK to UNAUTHENTICATED.
const CODES: usize = 17;

/// Says what the figures mean.
pub(super) fn describe() {
    describe_counter!(STARTED, "Calls that began, by method.");
    describe_counter!(RPCS, "Calls that ended, by method and final status.");
    describe_histogram!(DURATION, "How long calls that ended took, streams included, by method.");
    describe_counter!(RECEIVED, "Messages from clients, by method.");
    describe_counter!(SENT, "Messages to clients, by method.");
    describe_gauge!(OPEN_RPCS, "Calls in progress, streams included, by method.");
    describe_gauge!(OPEN_CONNECTIONS, "Connections to the port.");
    describe_counter!(
        REFUSED_CONNECTIONS,
        "Connections that were closed because their address had too many."
    );
    // A metric is shown once it was looked up, with 0 before its first event.
    let _ = (gauge!(OPEN_CONNECTIONS), counter!(REFUSED_CONNECTIONS));
}

/// The figures of all methods.
pub(super) struct Calls {
    methods: HashMap<String, Arc<Figures>>,
    /// Paths that are no method's share a name, so that nobody can fill the memory with them.
    unknown: Arc<Figures>,
}

/// The metrics of one method. They are looked up once, when the server starts, so that all are shown before the first call.
struct Figures {
    /// As in `rides.v1.Rides/Book`.
    name: String,
    /// What the contract says of it, if anything.
    method: Option<Method>,
    started: Counter,
    open: Gauge,
    received: Counter,
    sent: Counter,
    duration: Histogram,
    /// The counters of ended calls, by status.
    ended: [Counter; CODES],
}

impl Calls {
    pub(super) fn of(contract: &Contract) -> Self {
        let named = |path: &str| {
            let figures = Figures::of(path.trim_start_matches('/'), contract.method(path));
            (path.to_owned(), Arc::new(figures))
        };
        let unknown = Arc::new(Figures::of("unknown", None));
        Self { methods: contract.paths().map(named).collect(), unknown }
    }

    /// Counts the call to `path` that begins.
    pub(super) fn open(&self, path: &str, began: Instant) -> Call {
        let figures = self.methods.get(path).unwrap_or(&self.unknown).clone();
        figures.started.increment(1);
        figures.open.increment(1.0);
        Call { figures, began, answers: Frames::new(usize::MAX), code: Code::Cancelled, is_closed: false }
    }
}

impl Figures {
    fn of(name: &str, method: Option<Method>) -> Self {
        let of = |figure: &'static str| counter!(figure, "method" => name.to_owned());
        Self {
            name: name.to_owned(),
            method,
            started: of(STARTED),
            open: gauge!(OPEN_RPCS, "method" => name.to_owned()),
            received: of(RECEIVED),
            sent: of(SENT),
            duration: histogram!(DURATION, "method" => name.to_owned()),
            ended: array::from_fn(|code| {
                let code = Code::from_i32(code as i32);
                counter!(RPCS, "method" => name.to_owned(), "code" => format!("{code:?}"))
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
pub(super) struct Call {
    figures: Arc<Figures>,
    began: Instant,
    /// Followed to count them.
    answers: Frames,
    code: Code,
    /// It was counted already.
    is_closed: bool,
}

impl Call {
    /// As in `rides.v1.Rides/Book`.
    pub(super) fn name(&self) -> &str {
        &self.figures.name
    }

    /// What the contract says of the method; `None`: nothing.
    pub(super) fn method(&self) -> Option<Method> {
        self.figures.method
    }

    /// Counts the messages that the client sends.
    pub(super) fn received(&self) -> &Counter {
        &self.figures.received
    }

    /// This goes out next: a piece of one message, or several.
    pub(super) fn sends(&mut self, data: &[u8]) {
        // No frame of ours has a flag that is none, and none is too large.
        if let Ok(begun @ 1..) = self.answers.take(data) {
            self.figures.sent.increment(begun);
        }
    }

    /// It ends with this status.
    pub(super) fn ends(&mut self, code: Code) {
        self.code = code;
    }

    /// It is over now, and not when it is dropped.
    pub(super) fn close(&mut self) {
        if !mem::replace(&mut self.is_closed, true) {
            self.figures.end(self.code, self.began);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.close();
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

/// Counts a connection that is closed unread.
pub(super) fn refused_a_connection() {
    counter!(REFUSED_CONNECTIONS).increment(1);
}
