//! Errors that a client acts on: responses without gRPC, refusals, and retry hints.

use std::{error::Error, fmt, sync::Arc};

use tonic::{Code, Status};

use crate::{clock::Millis, details::ErrorDetails};

/// An HTTP response without gRPC. It came from a proxy, or from a server that does not speak gRPC-Web.
///
/// It is the source of the status that it becomes.
#[derive(Clone, Copy)]
pub struct NotGrpc(
    /// The HTTP status. 0 is a redirect: browsers hide the real status of one.
    pub u16,
);

impl Error for NotGrpc {}

// A derived implementation would add half a kilobyte of formatting to the page.
impl fmt::Display for NotGrpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no gRPC")
    }
}

impl fmt::Debug for NotGrpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no gRPC")
    }
}

impl NotGrpc {
    /// Returns the status of the call, with a message for people that says what to do.
    ///
    /// The code follows `doc/http-grpc-status-mapping.md` of grpc/grpc.
    pub fn status(self) -> Status {
        let code = match self.0 {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        let mut status = Status::new(code, self.text());
        status.set_source(Arc::new(self));
        status
    }

    /// Returns the HTTP response that `status` was made of, if it was made of one.
    pub fn of(status: &Status) -> Option<Self> {
        status.source()?.downcast_ref().copied()
    }

    /// Returns `true` if a repetition of the call would get the same response.
    pub fn is_refusal(self) -> bool {
        matches!(self.0, REDIRECT | 200..=499) && !matches!(self.0, 408 | 425 | 429)
    }

    fn text(self) -> String {
        let what = match self.0 {
            500.. => return format!("The server responded with HTTP {}.", self.0),
            413 => "The limit of a proxy has to be raised.",
            431 => "Deleting the cookies of this site helps.",
            REDIRECT..=399 | 401 | 407 => "Reload this page to log in, if a login is wanted.",
            _ => "A proxy or a firewall has to pass on every call of this page.",
        };
        format!("Something on the way to the server refuses calls (HTTP {}). {what}", self.0)
    }
}

/// The HTTP status that a browser reports for a redirect.
const REDIRECT: u16 = 0;

/// The reasons (`ErrorInfo.reason`) of a server on which a client acts. The defaults are those of the crate
/// `grpc-edge`.
#[derive(Clone, Copy, Debug)]
pub struct Reasons {
    /// The reasons of a server that shuts down, or is restarted. The call succeeds later.
    pub shutting_down: &'static [&'static str],
    /// The reasons for the refusal of all calls from this page, for example because of its origin.
    pub page_refused: &'static [&'static str],
}

impl Default for Reasons {
    fn default() -> Self {
        Self { shutting_down: &["GOING_DOWN"], page_refused: &["FOREIGN_ORIGIN", "UNKNOWN_HOST"] }
    }
}

impl Reasons {
    /// Returns `true` if `status` refuses all calls from this page, and not this request only.
    pub fn refuse_page(&self, status: &Status) -> bool {
        match NotGrpc::of(status) {
            Some(response) => response.is_refusal(),
            None => {
                status.code() == Code::Unimplemented
                    || self.page_refused.contains(&ErrorDetails::of(status).reason())
            }
        }
    }
}

/// The information in a status about the next attempt.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct RetryHint {
    /// The time that the server asks the client to wait. 0 if it does not ask.
    pub wait: Millis,
    /// The server shuts down, and another may take its place.
    pub is_shutting_down: bool,
    /// The server, or a proxy, would refuse the same call again.
    pub is_refused: bool,
}

impl RetryHint {
    /// Reads the hint in `status`.
    pub fn of(status: &Status, reasons: &Reasons) -> Self {
        let details = ErrorDetails::of(status);
        let delay = details.retry_delay();
        let is_down = status.code() == Code::Unavailable && delay.is_some();
        let reason = details.reason();
        let is_refused = reasons.refuse_page(status)
            || matches!(
                status.code(),
                Code::PermissionDenied | Code::InvalidArgument | Code::OutOfRange | Code::DataLoss
            );
        Self {
            wait: delay.unwrap_or_default(),
            // A server with another reason, for example a full disk, is unavailable and does not shut down.
            is_shutting_down: is_down && (reason.is_empty() || reasons.shutting_down.contains(&reason)),
            is_refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn hint(status: &Status) -> RetryHint {
        RetryHint::of(status, &Reasons::default())
    }

    #[test]
    fn only_a_server_that_shuts_down_is_said_to_and_each_has_its_delay() {
        let told = |code, reason: &str| {
            let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
            if !reason.is_empty() {
                details.set_error_info(reason, "example.v1", []);
            }
            hint(&Status::with_error_details(code, "", details))
        };
        for (code, reason, is_shutting_down) in [
            (Code::Unavailable, "", true),
            (Code::Unavailable, "GOING_DOWN", true),
            (Code::Unavailable, "JOURNAL_UNAVAILABLE", false),
            (Code::Unavailable, "DISK_FULL", false),
            (Code::Unavailable, "KEYS_ON_THEIR_WAY", false),
            (Code::ResourceExhausted, "TOO_MANY_VIEWERS", false),
            (Code::ResourceExhausted, "", false),
        ] {
            assert_eq!(
                told(code, reason),
                RetryHint { wait: 1_500.0, is_shutting_down, is_refused: false },
                "{code:?} {reason}"
            );
        }
        for details in [vec![], vec![0xff]] {
            let silent = Status::with_details(Code::Unavailable, "", details.into());
            assert_eq!(hint(&silent), RetryHint::default(), "nothing says that it shuts down");
        }
    }

    /// PROXY-2
    #[test]
    fn a_refusal_is_told_from_a_loss() {
        let page_refused = |status: &Status| Reasons::default().refuse_page(status);
        for http in [0, 200, 204, 302, 307, 400, 401, 403, 404, 405, 407, 411, 413, 421, 431, 451] {
            let status = NotGrpc(http).status();
            assert!(page_refused(&status) && hint(&status).is_refused, "HTTP {http}");
            assert!(NotGrpc::of(&status).is_some_and(NotGrpc::is_refusal), "HTTP {http}");
            assert!(status.message().ends_with('.'), "HTTP {http}: {}", status.message());
        }
        for http in [408, 425, 429, 500, 502, 503, 504, 520] {
            let status = NotGrpc(http).status();
            assert!(!page_refused(&status) && !hint(&status).is_refused, "HTTP {http}");
        }
        let told = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "example.v1", []);
            let status = Status::with_error_details(code, "", details);
            (page_refused(&status), hint(&status).is_refused)
        };
        for (code, reason, expected) in [
            (Code::PermissionDenied, "FOREIGN_ORIGIN", (true, true)),
            (Code::PermissionDenied, "UNKNOWN_HOST", (true, true)),
            (Code::Unimplemented, "", (true, true)),
            (Code::PermissionDenied, "NOT_YOURS", (false, true)),
            (Code::InvalidArgument, "TOO_MANY_CELLS", (false, true)),
            (Code::DataLoss, "BROKEN_RECORD", (false, true)),
            (Code::Unauthenticated, "NO_TOKEN", (false, false)),
            (Code::Unavailable, "", (false, false)),
            (Code::ResourceExhausted, "TOO_MANY_VIEWERS", (false, false)),
            (Code::DeadlineExceeded, "", (false, false)),
            (Code::Internal, "", (false, false)),
        ] {
            assert_eq!(told(code, reason), expected, "{code:?} {reason}");
        }
    }

    #[test]
    fn a_response_without_grpc_says_what_to_do() {
        let told = |http| NotGrpc(http).status().message().to_owned();
        assert_eq!(
            told(403),
            "Something on the way to the server refuses calls (HTTP 403). A proxy or a firewall has to pass on every call \
             of this page."
        );
        for http in [0, 200, 302, 401, 407] {
            assert!(told(http).ends_with("Reload this page to log in, if a login is wanted."), "HTTP {http}");
        }
        assert!(told(431).contains("cookies") && told(413).contains("limit"));
        assert_eq!(told(500), "The server responded with HTTP 500.");
    }
}
