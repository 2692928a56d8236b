//! What the port itself says to callers it cannot serve.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::services::status::DOMAIN;

/// When clients of a server that went are asked to try again: another may have taken the port by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// UNAVAILABLE: the server is on its way out.
pub(super) fn going() -> Status {
    Status::with_error_details(
        Code::Unavailable,
        "the server is shutting down: call again",
        ErrorDetails::with_retry_info(Some(RETRY_AFTER)),
    )
}

/// INTERNAL: a handler, or what it streams, has panicked.
pub(super) fn failed() -> Status {
    Status::internal("the server failed while handling this call")
}

/// RESOURCE_EXHAUSTED: the client takes nothing of what there is for it.
pub(super) fn not_taken() -> Status {
    let details = ErrorDetails::with_error_info("ANSWER_NOT_TAKEN", DOMAIN, HashMap::new());
    Status::with_error_details(
        Code::ResourceExhausted,
        "nothing was taken of the answer for too long",
        details,
    )
}

/// RESOURCE_EXHAUSTED for now: the same call may pass after `retry_after`.
pub(super) fn busy(reason: &str, text: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

/// RESOURCE_EXHAUSTED for good: the same call would fail again.
pub(super) fn too_large(largest: usize) -> Status {
    let details = ErrorDetails::with_error_info("MESSAGE_TOO_LARGE", DOMAIN, HashMap::new());
    let text = format!("a request message of this method has at most {largest} bytes");
    Status::with_error_details(Code::ResourceExhausted, text, details)
}
