//! What the port itself says to callers it cannot serve.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::services::status::{DOMAIN, with_reason};
pub(super) use crate::services::status::{failed, no_such_method};

/// When clients of a server that went are asked to try again: another may have taken the port by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const MALFORMED: &str = "MALFORMED_REQUEST";
/// How what tonic says of such requests begins.
const TONICS_OF_CLIENTS: [&str; 2] =
    ["failed to decode Protobuf message", "protocol error: received message"];

/// UNAVAILABLE: the server is on its way out.
pub(super) fn going() -> Status {
    Status::with_error_details(
        Code::Unavailable,
        "the server is shutting down: call again",
        ErrorDetails::with_retry_info(Some(RETRY_AFTER)),
    )
}

/// A status as it is, but for tonic's of a method that its service does not know, which has no words.
pub(super) fn in_words(status: Status) -> Status {
    match (status.code(), status.message()) {
        (Code::Unimplemented, "") => no_such_method(),
        _ => status,
    }
}

/// RESOURCE_EXHAUSTED: the client takes nothing of what there is for it.
pub(super) fn not_taken() -> Status {
    with_reason(Code::ResourceExhausted, "ANSWER_NOT_TAKEN", "nothing was taken of the answer for too long")
}

/// RESOURCE_EXHAUSTED for now: the same call may pass after `retry_after`.
pub(super) fn busy(reason: &str, text: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

/// RESOURCE_EXHAUSTED for good: the same call would fail again.
pub(super) fn too_large(largest: usize) -> Status {
    let text = format!("a request message of this method has at most {largest} bytes");
    with_reason(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", text)
}

/// INTERNAL, as all of gRPC's servers say: the request is not what gRPC allows.
pub(super) fn malformed(text: impl Into<String>) -> Status {
    with_reason(Code::Internal, MALFORMED, text)
}

/// Whether it is the client's own doing, whatever its code says.
pub(super) fn is_clients_doing(status: &Status) -> bool {
    TONICS_OF_CLIENTS.iter().any(|of_client| status.message().starts_with(of_client))
        || status.get_details_error_info().is_some_and(|info| info.reason == MALFORMED)
}

/// DEADLINE_EXCEEDED: an upload that had begun says nothing any more.
pub(super) fn silent(silence: Duration) -> Status {
    let text =
        format!("nothing was sent for {} s: open another stream when there is more", silence.as_secs());
    with_reason(Code::DeadlineExceeded, "NOTHING_SENT", text)
}

/// The code of the status that headers or trailers have, if they have one.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// What browsers and proxies understand, with a text, and in its headers the status, which gRPC clients do.
pub(super) fn over_http(code: StatusCode, status: &Status) -> Response<Body> {
    let mut response = status.clone().into_http::<Body>();
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.map(|_empty| Body::new(Full::<Bytes>::from(format!("{}\n", status.message()))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use rides_proto::v1;
    use tonic::{Streaming, codec::Codec as _};
    use tonic_prost::ProstCodec;

    use super::*;

    /// What tonic makes of a request with these frames.
    async fn of_tonic(frames: &'static [u8]) -> Status {
        let decoder = ProstCodec::<(), v1::BookRequest>::default().decoder();
        let mut request = Streaming::new_request(decoder, Body::from(Bytes::from_static(frames)), None, None);
        request.message().await.expect_err("it is malformed")
    }

    #[tokio::test]
    async fn what_clients_do_wrong_is_told_apart_from_what_we_do() {
        for frames in [&b"\0\0\0\0\x01\xff"[..], b"\x01\0\0\0\0"] {
            let status = of_tonic(frames).await;
            assert!(status.code() == Code::Internal && is_clients_doing(&status), "{status:?}");
        }
        assert!(is_clients_doing(&malformed("cut short")));
        for ours in [failed(), Status::internal("the server does not know who calls"), Status::unknown("?")] {
            assert!(!is_clients_doing(&ours), "{ours:?}");
        }
    }
}
