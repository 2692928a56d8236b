//! Headers and trailers, and the status in them.

use percent_encoding::percent_decode_str;
use tonic::{Code, Status};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// The headers that hold the status of a call.
pub(crate) const STATUS_HEADERS: [&str; 3] = [STATUS, MESSAGE, DETAILS];

/// Headers or trailers: names in lower case with their values, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// Adds a value. A repeated name keeps all of its values.
    pub fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
    }

    /// Returns the first value of `name`, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Returns all values of `name`, which is in lower case.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Returns all names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the status of the call, or `None` if there is no `grpc-status`.
    pub fn status(&self) -> Option<Status> {
        let code = Code::from_bytes(self.get(STATUS)?.as_bytes());
        let message = self.get(MESSAGE).map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        // Malformed details must not hide the status.
        let details = self.get(DETAILS).and_then(from_base64).unwrap_or_default();
        Some(Status::with_details(code, message.unwrap_or_default(), details.into()))
    }
}

/// Decodes standard base64 with or without padding. Returns `None` for anything else.
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
        details.set_retry_info(Some(Duration::from_millis(2_500)));
        let sent = Status::with_error_details(Code::InvalidArgument, "100 % föul", details);
        let written = sent.clone().into_http::<()>();
        let mut trailers = Metadata::default();
        for (name, value) in written.headers() {
            trailers.append(name.as_str(), value.to_str().expect("ASCII"));
        }
        let status = trailers.status().expect("a status");
        assert_eq!((status.code(), status.message()), (sent.code(), sent.message()));
        assert_eq!(status.details(), sent.details());
    }

    #[test]
    fn malformed_trailers_still_have_a_status() {
        assert_eq!(metadata(&[("grpc-message", "x")]).status().map(|status| status.code()), None);
        let strange = metadata(&[("GRPC-Status", "99"), (DETAILS, "~"), (MESSAGE, "%")]);
        let status = strange.status().expect("a status");
        assert_eq!((status.code(), status.message(), status.details()), (Code::Unknown, "%", &[][..]));
        let padded = metadata(&[(STATUS, "5"), (DETAILS, "CAU=")]).status().expect("a status");
        let bare = metadata(&[(STATUS, "5"), (DETAILS, "CAU")]).status().expect("a status");
        assert_eq!((padded.details(), bare.details()), (&[8, 5][..], &[8, 5][..]));
    }
}
