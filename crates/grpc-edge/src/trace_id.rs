//! The last touch to an error response: the trace id of its call, which the log has too, and the domain of its reason.

use http::{HeaderMap, HeaderName};
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use super::status;

/// The header of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The number of hex digits in a trace id.
const DIGITS: usize = 32;

/// The trace id of a call, and the domain of the reasons in its errors.
#[derive(Debug)]
pub(super) struct TraceId {
    domain: &'static str,
    /// The id that the caller has sent. Without one, an id is generated for each error.
    id: Option<String>,
}

impl TraceId {
    /// Reads the trace id from the headers of a request.
    pub(super) fn of(headers: &HeaderMap, domain: &'static str) -> Self {
        let id = headers.get(TRACEPARENT).and_then(|value| trace_id(value.to_str().ok()?));
        Self { domain, id: id.map(str::to_owned) }
    }

    /// Adds the id as `google.rpc.RequestInfo` to the error `status` in `headers`, and logs it with the `method`.
    /// Errors of the server are warnings. Errors of the client are logged at debug level.
    pub(super) fn attach_to(&self, method: &str, status: &Status, headers: &mut HeaderMap) {
        let id = self.id.clone().unwrap_or_else(|| format!("{:0DIGITS$x}", rand::random::<u128>()));
        let code = status.code();
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss if !status::is_client_error(status) => {
                tracing::warn!(method, ?code, trace_id = id, "a call failed");
            }
            _ => tracing::debug!(method, ?code, trace_id = id, "a call was refused"),
        }
        // A status whose details cannot be decoded stays as it is.
        if let Some(signed) = complete(status, id, self.domain) {
            _ = signed.add_header(headers);
        }
    }
}

/// Returns the id in a header value of the form `00-ID-PARENT-FLAGS`. `None` if it is not a valid id.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-').skip(1);
    let id = parts.next().filter(|_| parts.next().is_some())?;
    let is_one = id.len() == DIGITS
        && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        && id.bytes().any(|digit| digit != b'0');
    is_one.then_some(id)
}

/// Returns `status` with the id added to its details, and with `domain` for a reason that has none. `None` if its
/// details are not a `google.rpc.Status`.
fn complete(status: &Status, request_id: String, domain: &str) -> Option<Status> {
    let mut rpc = pb::Status::decode(status.details()).ok()?;
    (rpc.code, rpc.message) = (status.code().into(), status.message().to_owned());
    rpc.details.iter_mut().for_each(|detail| add_domain(detail, domain));
    let info = pb::RequestInfo { request_id, serving_data: String::new() };
    let type_url = "type.googleapis.com/google.rpc.RequestInfo".to_owned();
    rpc.details.push(Any { type_url, value: info.encode_to_vec() });
    Some(Status::with_details(status.code(), status.message(), rpc.encode_to_vec().into()))
}

/// Adds `domain` to an `ErrorInfo` without one.
fn add_domain(detail: &mut Any, domain: &str) {
    if !detail.type_url.ends_with("/google.rpc.ErrorInfo") {
        return;
    }
    if let Ok(mut info) = pb::ErrorInfo::decode(detail.value.as_slice())
        && info.domain.is_empty()
    {
        domain.clone_into(&mut info.domain);
        detail.value = info.encode_to_vec();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn signed(trace: &TraceId, status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        trace.attach_to("a.B/C", status, &mut headers);
        Status::from_header_map(&headers).unwrap()
    }

    fn from(traceparent: &str) -> TraceId {
        TraceId::of(&HeaderMap::from_iter([(TRACEPARENT, traceparent.parse().unwrap())]), "test.v1")
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
    fn a_reason_gets_the_domain_unless_it_has_one() {
        for (domain, expected) in [("", "test.v1"), ("other.v1", "other.v1")] {
            let details = ErrorDetails::with_error_info("WHY", domain, HashMap::new());
            let status = Status::with_error_details(Code::NotFound, "", details);
            let info = signed(&from(""), &status).get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), ("WHY", expected));
        }
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
