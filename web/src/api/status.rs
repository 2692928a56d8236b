//! How calls end: trailers to a status, and a status to the details that google.rpc puts into it.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use prost::Message;
use tonic::{Code, Status};

use crate::model::Millis;

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

/// Why, for machines: the reason of google.rpc.ErrorInfo, such as "OFF_MAP".
pub fn reason(status: &Status) -> Option<String> {
    Some(ErrorInfo::decode(detail(status, "ErrorInfo")?).ok()?.reason)
}

/// The field of the request that is wrong: the last one of google.rpc.BadRequest.
pub fn wrong_field(status: &Status) -> Option<String> {
    BadRequest::decode(detail(status, "BadRequest")?).ok()?.field_violations.pop().map(|wrong| wrong.field)
}

/// How long a server that is going away wants to be left alone.
pub fn drain_for(status: &Status) -> Option<Millis> {
    if status.code() != Code::Unavailable {
        return None;
    }
    let delay = RetryInfo::decode(detail(status, "RetryInfo")?).ok()?.retry_delay?;
    Some(delay.seconds as f64 * 1e3 + f64::from(delay.nanos) / 1e6)
}

/// The first detail of the kind google.rpc calls `name`, encoded.
fn detail(status: &Status, name: &str) -> Option<Bytes> {
    let details = Details::decode(Bytes::copy_from_slice(status.details())).ok()?.details;
    let mut details = details.into_iter();
    let any =
        details.find(|any| any.type_url.strip_prefix("type.googleapis.com/google.rpc.") == Some(name))?;
    Some(any.value.into())
}

// Of google/rpc/status.proto and google/rpc/error_details.proto, what is read here and no more.

/// google.rpc.Status
#[derive(Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
}

#[derive(Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
}

#[derive(Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let sent = Status::with_error_details(Code::InvalidArgument, "100 % föul", details);
        let written = sent.clone().into_http::<()>();
        let mut trailers = Metadata::default();
        for (name, value) in written.headers() {
            trailers.append(name.as_str(), value.to_str().expect("ASCII"));
        }
        let status = trailers.status().expect("it says so");
        assert_eq!((status.code(), status.message()), (sent.code(), sent.message()));
        assert_eq!(status.details(), sent.details());
        assert_eq!(
            (reason(&status).as_deref(), wrong_field(&status).as_deref()),
            (Some("OFF_MAP"), Some("pickup"))
        );
        assert_eq!(drain_for(&status), None);
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
    fn only_an_unavailable_server_drains() {
        let wait = || ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
        let told = |code| drain_for(&Status::with_error_details(code, "", wait()));
        assert_eq!((told(Code::Unavailable), told(Code::ResourceExhausted)), (Some(1_500.0), None));
        assert_eq!(drain_for(&Status::with_details(Code::Unavailable, "", vec![0xff].into())), None);
    }
}
