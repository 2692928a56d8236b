//! The deadline that a client sets in the `grpc-timeout` header.

use std::{future::pending, time::Duration};

use http::{HeaderMap, HeaderName};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use super::status::with_reason;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns the deadline that the client asked for, or `None` if it set no timeout.
///
/// # Errors
/// INVALID_ARGUMENT if the header is malformed, and DEADLINE_EXCEEDED if the timeout is zero.
pub(super) fn client_deadline(headers: &HeaderMap, now: Instant) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse).ok_or_else(|| {
        let text = "the header grpc-timeout must be 1 to 8 digits and a unit: H, M, S, m, u or n";
        with_reason(Code::InvalidArgument, "BAD_TIMEOUT", text)
    })?;
    match timeout.is_zero() {
        true => Err(exceeded()),
        false => Ok(now.checked_add(timeout)),
    }
}

/// Returns DEADLINE_EXCEEDED at `at`, or never if there is no deadline.
pub(super) async fn expired(at: Option<Instant>) -> Status {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
    exceeded()
}

fn exceeded() -> Status {
    with_reason(Code::DeadlineExceeded, "DEADLINE_PASSED", "the call's deadline passed")
}

/// Parses `TimeoutValue TimeoutUnit` of the gRPC over HTTP/2 specification. Zero is allowed, and expires at once.
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
    fn the_header_says_when_if_it_is_there() {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        assert!(matches!(client_deadline(&headers, now), Ok(None)));
        for (value, expected) in [
            ("1S", Ok(Some(now + Duration::from_secs(1)))),
            ("0S", Err(Code::DeadlineExceeded)),
            ("soon", Err(Code::InvalidArgument)),
        ] {
            headers.insert(GRPC_TIMEOUT, value.parse().unwrap());
            assert_eq!(client_deadline(&headers, now).map_err(|status| status.code()), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,12}") {
            parse(&text);
        }
    }
}
