#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod backoff;
mod browser;
mod buffering;
mod call;
mod client;
mod clock;
mod connection;
mod credentials;
mod details;
mod fetch;
pub mod frames;
mod lifecycle;
mod messages;
mod metadata;
mod method;
mod resumable;
mod status;
pub mod tap;
pub mod transport;

#[cfg(test)]
mod tests;

pub use tonic::{Code, Status};

pub use self::{
    buffering::BufferingDetector,
    call::{DEADLINE, RETRY_TIMEOUT, timeout},
    client::{Client, Resume, StreamHandle},
    clock::{BrowserClock, Clock, Millis},
    connection::{Link, ResumePolicy, StreamState},
    credentials::{Credentials, Decision, FailedAttempt, Token},
    details::{ErrorDetails, FieldViolation},
    fetch::{Fetch, FetchBody},
    lifecycle::{PageEvents, is_online, visibility},
    messages::{MessageStream, Streaming, decode},
    metadata::Metadata,
    method::Method,
    resumable::{ResumableStream, SIGNALS, Signal},
    status::{NotGrpc, Reasons, RetryHint},
};
