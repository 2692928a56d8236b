//! How long a call may take, as the caller says: the `grpc-timeout` header.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;
use tonic::Status;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Takes the header out, so that nobody further in acts on it too, and says when the call must be over.
///
/// `None`: never. Fails with INVALID_ARGUMENT if the header is there and malformed, and with DEADLINE_EXCEEDED if it
/// leaves no time at all.
pub(super) fn take(headers: &mut HeaderMap, now: Instant) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.remove(GRPC_TIMEOUT) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse).ok_or_else(|| {
        Status::invalid_argument("grpc-timeout must be 1 to 8 digits and one of H M S m u n")
    })?;
    match timeout.is_zero() {
        true => Err(exceeded()),
        false => Ok(now.checked_add(timeout)),
    }
}

/// What the caller is told when time is up.
pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("the call's deadline passed")
}

/// `TimeoutValue TimeoutUnit` of the gRPC over HTTP/2 specification. Zero is allowed: its time is up at once.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 60 * 60)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_counts() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("0S", Duration::ZERO),
            ("00000100m", Duration::from_millis(100)),
            ("250u", Duration::from_micros(250)),
            ("1n", Duration::from_nanos(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_malformed_is_refused() {
        for text in ["", "S", "5", "-5S", "+5S", "5X", "5s", "123456789S", "5 S", "5SS", "1.5S", "5é", "٥S"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_header_is_taken_out_either_way() {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        assert!(matches!(take(&mut headers, now), Ok(None)));
        for (value, good) in [("1S", true), ("soon", false)] {
            headers.insert(GRPC_TIMEOUT, value.parse().unwrap());
            assert_eq!(take(&mut headers, now).is_ok(), good);
            assert!(headers.is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,12}") {
            parse(&text);
        }
    }
}
