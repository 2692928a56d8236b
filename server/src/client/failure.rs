//! Errors of the server as one line for people and an exit code for scripts.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    process::ExitCode,
};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::terminal_text::strip_controls;

/// The exit code of gRPC status 0. Other statuses are added to it. It is above the codes that shells and other programs
/// commonly use.
const FIRST_STATUS: u8 = 64;

/// An error that the server has returned.
#[derive(Debug)]
pub struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// Returns the exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        self.exit_code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

/// Converts the result of a command into the result of the program. A gRPC status becomes a [`Failure`]. A broken
/// pipe is a success, because the reader of the output has closed it.
pub(super) fn outcome(done: anyhow::Result<()>) -> anyhow::Result<()> {
    let Err(error) = done else { return Ok(()) };
    let had_enough = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    if error.chain().any(had_enough) {
        return Ok(());
    }
    match error.downcast_ref::<Status>() {
        Some(status) => Err(Failure::from(status).into()),
        None => Err(error),
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        Self { text: text(status), exit_code: FIRST_STATUS + status.code() as u8 }
    }
}

/// Formats a status, for example
/// `FAILED_PRECONDITION: the ride is on its way already (WRONG_STATE) [trace 4bf9…]`.
fn text(status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = format!("{}: {}", name(status.code()), in_one_line(status.message()));
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    for violation in violations {
        // Skipped if the message of the status has it already, as messages of this server do.
        if !status.message().contains(&format!("{}: ", violation.field)) {
            text += &format!("; {}: {}", violation.field, in_one_line(&violation.description));
        }
    }
    if let Some(info) = details.error_info().filter(|info| !info.reason.is_empty()) {
        text += &format!(" ({})", info.reason);
    }
    if let Some(trace) = trace(status) {
        text += &format!(" [trace {trace}]");
    }
    strip_controls(&text)
}

/// Returns the id by which the operator finds the call in the server's log: that in `traceparent`, or in `RequestInfo`.
fn trace(status: &Status) -> Option<String> {
    let parent = status.metadata().get("traceparent").and_then(|value| value.to_str().ok());
    let id = parent.and_then(|parent| parent.split('-').nth(1)).map(str::to_owned);
    id.or_else(|| Some(status.get_error_details().request_info()?.request_id.clone()))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the name of a code as the gRPC specification spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tonic_types::ErrorDetails;

    use super::*;

    fn said(status: &Status) -> (String, u8) {
        let failure = Failure::from(status);
        (failure.to_string(), failure.exit_code)
    }

    #[test]
    fn a_status_is_one_line_with_all_that_helps() {
        let mut details = ErrorDetails::with_error_info("OFF_MAP", "rides.v1", []);
        details.add_bad_request_violation("pickup", "is too far from any street");
        details.add_bad_request_violation("dropoff", "is at sea");
        let mut status =
            Status::with_error_details(Code::InvalidArgument, "pickup: is too far\nfrom any street", details);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        status.metadata_mut().insert("traceparent", parent);
        let line = "INVALID_ARGUMENT: pickup: is too far from any street; dropoff: is at sea (OFF_MAP) \
                    [trace 4bf92f3577b34da6a3ce929d0e0e4736]";
        assert_eq!(said(&status), (line.to_owned(), 67));

        let mut details = ErrorDetails::with_bad_request_violation("pickup", "must be set");
        details.add_bad_request_violation("dropoff", "must be set");
        let text = "pickup: must be set; dropoff: must be set";
        let status = Status::with_error_details(Code::InvalidArgument, text, details);
        assert_eq!(said(&status).0, format!("INVALID_ARGUMENT: {text}"), "no field is named twice");

        let details = ErrorDetails::with_request_info("abc", "");
        let status = Status::with_error_details(Code::Internal, "broken", details);
        assert_eq!(said(&status), ("INTERNAL: broken [trace abc]".to_owned(), 77));
        assert_eq!(said(&Status::not_found("no such ride")), ("NOT_FOUND: no such ride".to_owned(), 69));
        assert_eq!(said(&Status::not_found("\u{1b}[2J\u{202e}gone")).0, "NOT_FOUND: [2Jgone", "BAD-10");
    }

    #[test]
    fn only_what_went_wrong_is_told() {
        let pipe = io::Error::from(ErrorKind::BrokenPipe);
        assert!(outcome(Err(anyhow::Error::from(pipe).context("cannot write"))).is_ok());
        let here = outcome(Err(anyhow::anyhow!("no such street"))).unwrap_err();
        assert!(here.downcast_ref::<Failure>().is_none());
        let there = Err::<(), _>(Status::unavailable("gone")).context("booking");
        assert!(outcome(there).unwrap_err().downcast_ref::<Failure>().is_some());
    }
}
