//! How calls end: trailers to a status, and a status to the details that google.rpc puts into it.

use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tonic::{Code, Status};

use crate::model::{Failure, Millis};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// The headers that say how a call ended.
pub(super) const STATUS_HEADERS: [&str; 3] = [STATUS, MESSAGE, DETAILS];

/// Headers or trailers: names in lower case and their values, in the order they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// Adds a value. Every value of a repeated name is kept.
    pub fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Every value of `name`.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// How the call ended; `None` when this does not say.
    pub fn status(&self) -> Option<Status> {
        let code = Code::from_bytes(self.get(STATUS)?.as_bytes());
        let message = self.get(MESSAGE).map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        // Details that cannot be read must not hide the status.
        let details = self.get(DETAILS).and_then(from_base64);
        Some(Status::with_details(
            code,
            message.unwrap_or_default(),
            details.map_or_else(Bytes::new, Bytes::from),
        ))
    }
}

/// Standard base64, whose padding senders may leave out; `None` for anything else.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut count) = (Vec::new(), 0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let sextet = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((held >> count) as u8);
        }
    }
    Some(bytes)
}

/// What google.rpc puts into a status, as far as the page acts on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Why, for machines: of ErrorInfo, such as "OFF_MAP".
    pub reason: String,
    /// The field of the request that is wrong: the first one of BadRequest, of which the reason is.
    pub field: String,
    /// What is wrong with it.
    pub violation: String,
    /// How long to wait before the same call may pass: of RetryInfo.
    pub retry_after: Option<Millis>,
    /// Under which the server's log has the call: of RequestInfo.
    pub request_id: String,
}

impl Details {
    /// Reads what can be read.
    pub fn of(status: &Status) -> Self {
        let mut details = Self::default();
        for any in Fields(status.details()).every(3) {
            let detail = Fields(Fields(any).bytes(2));
            let kind = Fields(any).text(1);
            match kind.strip_prefix("type.googleapis.com/google.rpc.") {
                Some("ErrorInfo") => details.reason = detail.text(1),
                Some("BadRequest") => {
                    let violation = Fields(detail.every(1).next().unwrap_or_default());
                    (details.field, details.violation) = (violation.text(1), violation.text(2));
                }
                Some("RetryInfo") => {
                    let delay = Fields(detail.bytes(1));
                    details.retry_after = Some(delay.number(1) as f64 * 1e3 + delay.number(2) as f64 / 1e6);
                }
                Some("RequestInfo") => details.request_id = detail.text(1),
                _ => {}
            }
        }
        details
    }
}

/// A response without gRPC: it came from something between the page and the server, or from another server.
#[derive(Clone, Copy)]
pub struct NotGrpc(pub u16);

impl Error for NotGrpc {}

// Derived, these would bring half a kilobyte of formatting into the page.
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
    /// The status of the call.
    ///
    /// The code is that of grpc/grpc, `doc/http-grpc-status-mapping.md`.
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

    fn of(status: &Status) -> Option<Self> {
        status.source()?.downcast_ref().copied()
    }

    /// Tells whether the same call would bring the same response.
    fn is_refusal(self) -> bool {
        matches!(self.0, REDIRECT | 200..=499) && !matches!(self.0, 408 | 425 | 429)
    }

    fn text(self) -> String {
        let what = match self.0 {
            500.. => return format!("The server answered with HTTP {}.", self.0),
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

/// Tells whether the page itself is refused, and not one request of it: from such an address no call passes.
pub fn refuses_page(status: &Status) -> bool {
    match NotGrpc::of(status) {
        Some(response) => response.is_refusal(),
        None => {
            status.code() == Code::Unimplemented
                || matches!(&*Details::of(status).reason, "FOREIGN_ORIGIN" | "UNKNOWN_HOST")
        }
    }
}

/// Tells whether a call is refused for its token; one refused for another reason would be refused with any token.
pub fn is_about_the_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
        && matches!(&*Details::of(status).reason, "NO_TOKEN" | "BAD_TOKEN" | "SESSION_OVER")
}

/// A failed call for people and for the form, as of `now`.
pub fn failure(status: &Status, now: Millis) -> Failure {
    let Details { mut reason, field, violation, retry_after, request_id } = Details::of(status);
    if NotGrpc::of(status).is_some_and(NotGrpc::is_refusal) {
        "NOT_GRPC".clone_into(&mut reason);
    }
    let text = match (status.code(), status.message()) {
        _ if !violation.is_empty() => &violation,
        (Code::DeadlineExceeded, _) => "The server took too long to answer.",
        (Code::Unavailable, "") => "The server cannot be reached.",
        (_, "") => "The server refused without saying why.",
        (_, text) => text,
    };
    let retry_at = retry_after.map(|wait| now + wait);
    Failure { text: text.to_owned(), code: status.code().into(), reason, field, retry_at, request_id }
}

/// What a server that does not serve now says of when it will.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Later {
    /// How long it wants to be left alone; 0 if it does not say.
    pub wait: Millis,
    /// It is going away, and another may take its place.
    pub is_going: bool,
    /// It would refuse the same call again.
    pub is_refused: bool,
}

/// What `status` says of later. A disk that is full has its time too, and is no server on its way out.
pub fn later(status: &Status) -> Later {
    let Details { reason, retry_after, .. } = Details::of(status);
    let is_down = status.code() == Code::Unavailable && retry_after.is_some();
    let is_going = is_down && matches!(&*reason, "" | "GOING_DOWN");
    let is_refused = refuses_page(status)
        || matches!(
            status.code(),
            Code::PermissionDenied | Code::InvalidArgument | Code::OutOfRange | Code::DataLoss
        );
    Later { wait: retry_after.unwrap_or_default(), is_going, is_refused }
}

/// A protobuf message, field by field, up to what cannot be read. Of google.rpc so little is looked at that its types
/// would be most of the code.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

/// What is in a field, as far as the wire tells.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn every(self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |field| match field {
            (at, Value::Bytes(bytes)) if at == number => Some(bytes),
            _ => None,
        })
    }

    /// As protobuf has it, of several the last counts, and one that is not there is empty.
    fn bytes(self, number: u64) -> &'a [u8] {
        self.every(number).last().unwrap_or_default()
    }

    fn text(self, number: u64) -> String {
        str::from_utf8(self.bytes(number)).unwrap_or_default().to_owned()
    }

    fn number(mut self, number: u64) -> i64 {
        let found = self.find_map(|field| match field {
            (at, Value::Number(value)) if at == number => Some(value as i64),
            _ => None,
        });
        found.unwrap_or_default()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).ok()?)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn metadata(entries: &[(&str, &str)]) -> Metadata {
        let mut metadata = Metadata::default();
        for (name, value) in entries {
            metadata.append(name, value);
        }
        metadata
    }

    #[test]
    fn a_status_reads_as_tonic_wrote_it() {
        let mut details = ErrorDetails::with_bad_request_violation("pickup", "250 m from any street");
        details.set_error_info("OFF_MAP", "rides.v1", []);
        details.set_retry_info(Some(Duration::from_millis(2_500))).set_request_info("4bf92f35", "");
        let sent = Status::with_error_details(Code::InvalidArgument, "100 % föul", details);
        let written = sent.clone().into_http::<()>();
        let mut trailers = Metadata::default();
        for (name, value) in written.headers() {
            trailers.append(name.as_str(), value.to_str().expect("ASCII"));
        }
        let status = trailers.status().expect("it says so");
        assert_eq!((status.code(), status.message()), (sent.code(), sent.message()));
        assert_eq!(status.details(), sent.details());
        let read = Details {
            reason: "OFF_MAP".to_owned(),
            field: "pickup".to_owned(),
            violation: "250 m from any street".to_owned(),
            retry_after: Some(2_500.0),
            request_id: "4bf92f35".to_owned(),
        };
        assert_eq!(Details::of(&status), read);
        assert_eq!(later(&status), Later { wait: 2_500.0, is_going: false, is_refused: true });
    }

    #[test]
    fn a_failure_names_the_field_and_says_what_is_wrong_with_it() {
        let mut details = ErrorDetails::with_bad_request_violation("pickup", "is in the sea");
        // The reason is of the first.
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

    #[test]
    fn odd_trailers_still_say_how_it_ended() {
        assert_eq!(metadata(&[("grpc-message", "x")]).status().map(|status| status.code()), None);
        let strange = metadata(&[("GRPC-Status", "99"), (DETAILS, "~"), (MESSAGE, "%")]);
        let status = strange.status().expect("it says so");
        assert_eq!((status.code(), status.message(), status.details()), (Code::Unknown, "%", &[][..]));
        let padded = metadata(&[(STATUS, "5"), (DETAILS, "CAU=")]).status().expect("it says so");
        let bare = metadata(&[(STATUS, "5"), (DETAILS, "CAU")]).status().expect("it says so");
        assert_eq!((padded.details(), bare.details()), (&[8, 5][..], &[8, 5][..]));
    }

    #[test]
    fn only_a_server_that_goes_is_going_and_every_other_has_its_time_too() {
        let told = |code, reason: &str| {
            let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
            if !reason.is_empty() {
                details.set_error_info(reason, "rides.v1", []);
            }
            later(&Status::with_error_details(code, "", details))
        };
        for (code, reason, is_going) in [
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
                Later { wait: 1_500.0, is_going, is_refused: false },
                "{code:?} {reason}"
            );
        }
        for details in [vec![], vec![0xff]] {
            let silent = Status::with_details(Code::Unavailable, "", details.into());
            assert_eq!(later(&silent), Later::default(), "nothing says that it goes");
        }
    }

    /// PROXY-2
    #[test]
    fn a_refusal_is_told_from_a_loss() {
        for http in [0, 200, 204, 302, 307, 400, 401, 403, 404, 405, 407, 411, 413, 421, 431, 451] {
            let status = NotGrpc(http).status();
            assert!(refuses_page(&status) && later(&status).is_refused, "HTTP {http}");
            let told = failure(&status, 0.0);
            assert!(told.reason == "NOT_GRPC" && told.text.ends_with('.'), "HTTP {http}: {}", told.text);
        }
        for http in [408, 425, 429, 500, 502, 503, 504, 520] {
            let status = NotGrpc(http).status();
            assert!(!refuses_page(&status) && !later(&status).is_refused, "HTTP {http}");
        }
        let told = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "rides.v1", []);
            let status = Status::with_error_details(code, "", details);
            (refuses_page(&status), later(&status).is_refused)
        };
        for (code, reason, expected) in [
            (Code::PermissionDenied, "FOREIGN_ORIGIN", (true, true)),
            (Code::PermissionDenied, "UNKNOWN_HOST", (true, true)),
            (Code::Unimplemented, "", (true, true)),
            (Code::PermissionDenied, "NOT_YOURS", (false, true)),
            (Code::InvalidArgument, "TOO_MANY_CELLS", (false, true)),
            (Code::DataLoss, "BROKEN_RIDE", (false, true)),
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
    fn what_is_not_grpc_says_what_to_do() {
        let told = |http| failure(&NotGrpc(http).status(), 0.0).text;
        assert_eq!(
            told(403),
            "Something on the way to the server refuses calls (HTTP 403). A proxy or a firewall has to pass on every call \
             of this page."
        );
        for http in [0, 200, 302, 401, 407] {
            assert!(told(http).ends_with("Reload this page to log in, if a login is wanted."), "HTTP {http}");
        }
        assert!(told(431).contains("cookies") && told(413).contains("limit"));
        assert_eq!(told(500), "The server answered with HTTP 500.");
    }

    proptest! {
        #[test]
        fn no_details_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            Details::of(&Status::with_details(Code::Unavailable, "", bytes.into()));
        }
    }
}
