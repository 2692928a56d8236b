//! The name under which a call that failed can be found again.

use http::{HeaderMap, HeaderName};
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use super::status;

/// Of the W3C's Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Digits of a trace id.
const DIGITS: usize = 32;

/// What a caller and the log may call a call.
#[derive(Debug)]
pub(super) struct Trace {
    /// The caller's, if they sent one. Else it is made up when it is needed.
    id: Option<String>,
}

impl Trace {
    /// Of a call with these headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let id = headers.get(TRACEPARENT).and_then(|value| trace_id(value.to_str().ok()?));
        Self { id: id.map(str::to_owned) }
    }

    /// Adds the id to `status`, which is an error and stands in `headers`, as `google.rpc.RequestInfo`, and says in the
    /// log which call it was. What went wrong here is said at once, and what went wrong with the caller where someone
    /// looks for it.
    pub(super) fn sign(&self, method: &str, status: &Status, headers: &mut HeaderMap) {
        let id = self.id.clone().unwrap_or_else(|| format!("{:0DIGITS$x}", rand::random::<u128>()));
        let code = status.code();
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss if !status::is_clients_doing(status) => {
                tracing::warn!(method, ?code, trace_id = id, "a call failed");
            }
            _ => tracing::debug!(method, ?code, trace_id = id, "a call was refused"),
        }
        // A status that cannot be read stays as it is.
        if let Some(signed) = with_id(status, id) {
            _ = signed.add_header(headers);
        }
    }
}

/// The id in `00-ID-PARENT-FLAGS`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-').skip(1);
    let id = parts.next().filter(|_| parts.next().is_some())?;
    let is_one = id.len() == DIGITS
        && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        && id.bytes().any(|digit| digit != b'0');
    is_one.then_some(id)
}

/// `None` if its details are none of google.rpc.
fn with_id(status: &Status, request_id: String) -> Option<Status> {
    let mut rpc = pb::Status::decode(status.details()).ok()?;
    (rpc.code, rpc.message) = (status.code().into(), status.message().to_owned());
    let info = pb::RequestInfo { request_id, serving_data: String::new() };
    let type_url = "type.googleapis.com/google.rpc.RequestInfo".to_owned();
    rpc.details.push(Any { type_url, value: info.encode_to_vec() });
    Some(Status::with_details(status.code(), status.message(), rpc.encode_to_vec().into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn signed(trace: &Trace, status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        trace.sign("a.B/C", status, &mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    fn from(traceparent: &str) -> Trace {
        Trace::of(&HeaderMap::from_iter([(TRACEPARENT, traceparent.parse().unwrap())]))
    }

    #[test]
    fn a_status_keeps_all_it_says_and_gets_the_callers_id() {
        let details = ErrorDetails::with_bad_request_violation("pickup", "is in the sea");
        let status = Status::with_error_details(Code::InvalidArgument, "100 % föul", details);
        let signed = signed(&from(&format!("00-{ID}-00f067aa0ba902b7-01")), &status);
        assert_eq!((signed.code(), signed.message()), (status.code(), status.message()));
        let details = signed.get_error_details();
        assert_eq!(details.bad_request().map(|bad| bad.field_violations[0].field.as_str()), Some("pickup"));
        assert_eq!(details.request_info().map(|info| info.request_id.as_str()), Some(ID));
    }

    #[test]
    fn an_id_that_is_none_is_replaced() {
        for malformed in [
            "",
            "00",
            ID,
            &format!("00-{ID}"),
            &format!("00-{}-1-01", ID.to_uppercase()),
            "00-0-1-01",
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(DIGITS)),
        ] {
            let id = signed(&from(malformed), &Status::internal(""))
                .get_details_request_info()
                .unwrap()
                .request_id;
            assert!(
                id.len() == DIGITS && id != ID && id.bytes().all(|digit| digit.is_ascii_hexdigit()),
                "{id}"
            );
        }
    }

    #[test]
    fn details_of_another_kind_are_left_alone() {
        let status = Status::with_details(Code::Aborted, "", vec![0xff; 3].into());
        assert_eq!(signed(&from(""), &status).details(), status.details());
    }

    proptest! {
        #[test]
        fn no_header_breaks_it(text in "[ -~]{0,80}") {
            signed(&from(&text), &Status::internal(""));
        }
    }
}
