//! Errors of calls in the words of the page.

use grpc_web_fetch::{Code, ErrorDetails, Millis, NotGrpc, Reasons, RetryHint, Status};

use crate::model::Failure;

/// Returns `true` if the server refused the token of a call. With another token the call may pass.
pub fn is_about_the_token(status: &Status) -> bool {
    let reason = ErrorDetails::of(status).reason();
    status.code() == Code::Unauthenticated && matches!(reason, "NO_TOKEN" | "BAD_TOKEN" | "SESSION_OVER")
}

/// Returns `true` if all calls of the page are refused, and not this request only.
pub fn refuses_page(status: &Status) -> bool {
    Reasons::default().refuse_page(status)
}

/// Returns `true` if the same call would be refused again.
pub fn is_refused(status: &Status) -> bool {
    RetryHint::of(status, &Reasons::default()).is_refused
}

/// Returns the failure of a call that ended with `status` at the time `now`.
pub fn failure(status: &Status, now: Millis) -> Failure {
    let details = ErrorDetails::of(status);
    // The reason is that of the first violation.
    let violation = details.field_violations().next();
    let (field, violation) = violation.map_or(("", ""), |first| (first.field, first.description));
    let reason = match NotGrpc::of(status) {
        Some(response) if response.is_refusal() => "NOT_GRPC",
        _ => details.reason(),
    };
    let text = match (status.code(), status.message()) {
        _ if !violation.is_empty() => violation,
        (Code::DeadlineExceeded, _) => "The server took too long to answer.",
        (Code::Unavailable, "") => "The server cannot be reached.",
        (_, "") => "The server refused without saying why.",
        (_, text) => text,
    };
    Failure {
        text: text.to_owned(),
        code: status.code().into(),
        reason: reason.to_owned(),
        field: field.to_owned(),
        retry_at: details.retry_delay().map(|delay| now + delay),
        request_id: details.request_id().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_failure_names_the_field_and_says_what_is_wrong_with_it() {
        let mut details = ErrorDetails::with_bad_request_violation("pickup", "is in the sea");
        // The reason is that of the first violation.
        details.add_bad_request_violation("dropoff", "must be set");
        details.set_error_info("OFF_MAP", "rides.v1", []);
        let status = Status::with_error_details(Code::InvalidArgument, "pickup: is in the sea", details);
        let expected = Failure {
            text: "is in the sea".to_owned(),
            code: 3,
            reason: "OFF_MAP".to_owned(),
            field: "pickup".to_owned(),
            ..Failure::default()
        };
        assert_eq!(failure(&status, 0.0), expected);
        let busy = ErrorDetails::with_retry_info(Some(Duration::from_secs(5)));
        let busy = Status::with_error_details(Code::ResourceExhausted, "busy", busy);
        assert_eq!(failure(&busy, 2_000.0).retry_at, Some(7_000.0));
        let garbled = Status::with_details(Code::Aborted, "", vec![0xff, 0xff].into());
        assert_eq!(failure(&garbled, 0.0).code, 10);
    }

    /// PROXY-2
    #[test]
    fn a_refusal_without_grpc_has_a_reason_of_its_own() {
        let told = failure(&NotGrpc(403).status(), 0.0);
        assert_eq!(told.reason, "NOT_GRPC");
        assert!(told.text.contains("HTTP 403"), "{}", told.text);
        let told = failure(&NotGrpc(503).status(), 0.0);
        assert_eq!(told.reason, "");
    }
}
