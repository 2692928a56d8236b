//! Statuses with a machine-readable reason, and with the delay before a retry where one makes sense.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The reason for a request that violates the gRPC protocol or cannot be decoded.
pub const MALFORMED: &str = "MALFORMED_REQUEST";

/// The metadata key of the delay before the next attempt, in milliseconds (gRFC A6). The retry policies of gRPC's own
/// clients read it, and do not read `RetryInfo`. At a negative delay they make no further attempt.
pub const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The delay before the next attempt after UNAVAILABLE.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Makes a status with a machine-readable reason. The edge adds its own domain to the reason when it sends the status.
/// UNAVAILABLE also has the delay before the next attempt.
pub fn with_reason(code: Code, reason: &str, text: impl Into<String>) -> Status {
    detailed(code, reason, text, (code == Code::Unavailable).then_some(RETRY_AFTER))
}

/// Makes RESOURCE_EXHAUSTED for a client that reads too slowly. It may call again after a second.
pub fn too_slow(reason: &str, text: impl Into<String>) -> Status {
    busy(reason, text, RETRY_AFTER)
}

/// Makes RESOURCE_EXHAUSTED for a call that would fail again. Its pushback stops clients whose retry policy includes
/// RESOURCE_EXHAUSTED.
pub fn beyond_limit(reason: &str, text: impl Into<String>) -> Status {
    let mut status = detailed(Code::ResourceExhausted, reason, text, None);
    status.metadata_mut().insert(PUSHBACK, MetadataValue::from(-1));
    status
}

/// Makes RESOURCE_EXHAUSTED for a call that may succeed after `retry_after`.
pub fn busy(reason: &str, text: impl Into<String>, retry_after: Duration) -> Status {
    detailed(Code::ResourceExhausted, reason, text, Some(retry_after))
}

fn detailed(code: Code, reason: &str, text: impl Into<String>, retry_after: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "", HashMap::new());
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    let mut status = Status::with_error_details(code, text, details);
    if let Some(wait) = retry_after {
        // Rounded up, because an early attempt is refused again.
        let millis = i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        status.metadata_mut().insert(PUSHBACK, MetadataValue::from(millis));
    }
    status
}

/// Makes UNIMPLEMENTED, for an unknown method.
pub fn no_such_method() -> Status {
    with_reason(Code::Unimplemented, "NO_SUCH_METHOD", "this server has no such method")
}

/// Makes INTERNAL, for a handler or a response stream that has panicked.
pub fn failed() -> Status {
    with_reason(Code::Internal, "FAILED", "the server failed while handling this call")
}

/// Makes UNAVAILABLE, for a server that shuts down. A restarted server may accept the next attempt.
pub fn shutting_down() -> Status {
    with_reason(Code::Unavailable, "GOING_DOWN", "the server is shutting down: call again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CLIENT-7
    #[test]
    fn the_delay_is_in_milliseconds_and_never_too_short() {
        for (wait, millis) in [
            (Duration::ZERO, "0"),
            (Duration::from_micros(1), "1"),
            (Duration::from_millis(250), "250"),
            (Duration::from_micros(250_001), "251"),
            (Duration::from_secs(60), "60000"),
        ] {
            let status = busy("TOO_MANY_CALLS", "too many calls", wait);
            assert_eq!(status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap()), Some(millis));
        }
        assert!(
            with_reason(Code::NotFound, "NO_SUCH_RIDE", "there is no such ride")
                .metadata()
                .get(PUSHBACK)
                .is_none()
        );
    }
}
