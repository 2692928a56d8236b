//! The error details of `google.rpc` in a status.

use tonic::Status;

use crate::clock::Millis;

const GOOGLE_RPC: &str = "type.googleapis.com/google.rpc.";

/// The error details of a status (`google.rpc.Status.details`), decoded when they are asked for.
///
/// Malformed details read as absent: an error in them must not hide the error of the call. If a type occurs
/// twice, the last one counts.
#[derive(Clone, Copy, Debug)]
pub struct ErrorDetails<'a>(Fields<'a>);

/// A field of the request that the server refused (`google.rpc.BadRequest.FieldViolation`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldViolation<'a> {
    /// The path of the field, for example `pickup` or `addresses[1].city`.
    pub field: &'a str,
    /// The description of the fault, for people.
    pub description: &'a str,
    /// The reason for programs. Empty if the server gives none.
    pub reason: &'a str,
}

impl<'a> ErrorDetails<'a> {
    /// Returns the details of `status`.
    pub fn of(status: &'a Status) -> Self {
        Self(Fields(status.details()))
    }

    /// Returns the type URL and the encoded message of each detail, for types that have no method here.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.0.every(3).map(|any| (Fields(any).text(1), Fields(any).bytes(2)))
    }

    /// Returns `ErrorInfo.reason`, or an empty string.
    pub fn reason(self) -> &'a str {
        self.error_info().text(1)
    }

    /// Returns `ErrorInfo.domain`, or an empty string.
    pub fn domain(self) -> &'a str {
        self.error_info().text(2)
    }

    /// Returns the keys and values of `ErrorInfo.metadata`.
    pub fn metadata(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.error_info().every(3).map(|entry| (Fields(entry).text(1), Fields(entry).text(2)))
    }

    /// Returns the field violations of `BadRequest`, in the order of the server.
    pub fn field_violations(self) -> impl Iterator<Item = FieldViolation<'a>> {
        self.last("BadRequest").unwrap_or_default().every(1).map(|violation| {
            let violation = Fields(violation);
            FieldViolation {
                field: violation.text(1),
                description: violation.text(2),
                reason: violation.text(3),
            }
        })
    }

    /// Returns `RetryInfo.retry_delay`: the time after which the same call may succeed.
    pub fn retry_delay(self) -> Option<Millis> {
        let delay = Fields(self.last("RetryInfo")?.bytes(1));
        Some(delay.number(1) as f64 * 1e3 + delay.number(2) as f64 / 1e6)
    }

    /// Returns `RequestInfo.request_id`, under which the server has logged the call, or an empty string.
    pub fn request_id(self) -> &'a str {
        self.last("RequestInfo").unwrap_or_default().text(1)
    }

    fn error_info(self) -> Fields<'a> {
        self.last("ErrorInfo").unwrap_or_default()
    }

    fn last(self, name: &str) -> Option<Fields<'a>> {
        let of_type = self.iter().filter(|(url, _)| url.strip_prefix(GOOGLE_RPC) == Some(name));
        of_type.last().map(|(_, message)| Fields(message))
    }
}

/// The fields of a protobuf message, up to the first malformed one.
///
/// The generated types of `google.rpc` would be larger than all of the code that reads them.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a>(&'a [u8]);

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

    /// Returns the last value of the field, as protobuf does for a repeated field that is not a list.
    fn bytes(self, number: u64) -> &'a [u8] {
        self.every(number).last().unwrap_or_default()
    }

    fn text(self, number: u64) -> &'a str {
        str::from_utf8(self.bytes(number)).unwrap_or_default()
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
    use std::{collections::HashMap, time::Duration};

    use proptest::prelude::*;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn details_read_as_tonic_wrote_them() {
        let mut details = tonic_types::ErrorDetails::with_bad_request_violation("pickup", "is in the sea");
        details.add_bad_request_violation("dropoff", "must be set");
        let metadata = HashMap::from([("limit".to_owned(), "250 m".to_owned())]);
        details.set_error_info("OFF_MAP", "example.v1", metadata);
        details.set_retry_info(Some(Duration::from_millis(2_500))).set_request_info("4bf92f35", "");
        let status = Status::with_error_details(Code::InvalidArgument, "", details);

        let read = ErrorDetails::of(&status);
        assert_eq!((read.reason(), read.domain()), ("OFF_MAP", "example.v1"));
        assert_eq!(read.metadata().collect::<Vec<_>>(), [("limit", "250 m")]);
        assert_eq!((read.retry_delay(), read.request_id()), (Some(2_500.0), "4bf92f35"));
        let violations: Vec<_> =
            read.field_violations().map(|violation| (violation.field, violation.description)).collect();
        assert_eq!(violations, [("pickup", "is in the sea"), ("dropoff", "must be set")]);
        assert_eq!(read.iter().count(), 4);
    }

    #[test]
    fn a_status_without_details_reads_as_empty() {
        let status = Status::aborted("");
        let read = ErrorDetails::of(&status);
        assert_eq!((read.reason(), read.retry_delay(), read.request_id()), ("", None, ""));
        assert_eq!(read.field_violations().count(), 0);
    }

    proptest! {
        #[test]
        fn no_details_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let status = Status::with_details(Code::Unavailable, "", bytes.into());
            let read = ErrorDetails::of(&status);
            let _ = (read.reason(), read.retry_delay(), read.request_id());
            let _ = (read.field_violations().count(), read.metadata().count());
        }
    }
}
