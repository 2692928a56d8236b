//! What the port itself says to callers it cannot serve.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::Full;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

use super::{
    connect::Connect,
    content_type::{CallType, Framing},
    trace::Trace,
};
pub(super) use crate::services::status::{
    MALFORMED, PUSHBACK, beyond_limit, busy, failed, no_such_method, shutting_down, too_slow, with_reason,
};

/// How what tonic says of requests that are not what gRPC allows begins.
const TONICS_OF_CLIENTS: [&str; 2] =
    ["failed to decode Protobuf message", "protocol error: received message"];
/// And of a compression that is none of ours.
const TONICS_OF_COMPRESSION: &str = "Content is compressed with";

/// A status as it is, but for what tonic says by itself: that has no reason, and of a method that its service does not
/// know no words either.
pub(super) fn in_words(status: Status) -> Status {
    let text = status.message();
    match status.code() {
        Code::Unimplemented if text.is_empty() => no_such_method(),
        code @ Code::Unimplemented if text.starts_with(TONICS_OF_COMPRESSION) => {
            with_reason(code, "UNKNOWN_COMPRESSION", text)
        }
        code if is_tonics_of_clients(text) => with_reason(code, MALFORMED, text),
        _ => status,
    }
}

/// RESOURCE_EXHAUSTED: the client takes nothing of what there is for it.
pub(super) fn not_taken() -> Status {
    too_slow("ANSWER_NOT_TAKEN", "nothing was taken of the answer for too long")
}

/// RESOURCE_EXHAUSTED for good: the same call would fail again.
pub(super) fn too_large(largest: usize) -> Status {
    let text = format!("a request message of this method has at most {largest} bytes");
    beyond_limit("MESSAGE_TOO_LARGE", text)
}

/// INTERNAL, as all of gRPC's servers say: the request is not what gRPC allows.
pub(super) fn malformed(text: impl Into<String>) -> Status {
    with_reason(Code::Internal, MALFORMED, text)
}

/// Whether it is the client's own doing, whatever its code says.
pub(super) fn is_clients_doing(status: &Status) -> bool {
    is_tonics_of_clients(status.message())
        || status.get_details_error_info().is_some_and(|info| info.reason == MALFORMED)
}

fn is_tonics_of_clients(text: &str) -> bool {
    TONICS_OF_CLIENTS.iter().any(|of_client| text.starts_with(of_client))
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

/// The status of what has no method, with an id, in headers alone.
pub(super) fn alone(status: &Status, trace: &Trace) -> Response<Body> {
    let mut response = status.clone().into_http::<Body>();
    trace.sign("none", status, response.headers_mut());
    response
}

/// The status in the caller's own protocol: native gRPC clients read none beside another HTTP code than 200.
pub(super) fn to_caller<B>(code: StatusCode, status: &Status, request: &Request<B>) -> Response<Body> {
    let trace = Trace::of(request.headers());
    let call = request.headers().get(CONTENT_TYPE).and_then(CallType::parse);
    match call {
        Some(CallType::Proto(Framing::Native) | CallType::OtherCodec(Framing::Native))
            if request.version() == Version::HTTP_2 =>
        {
            alone(status, &trace)
        }
        _ => refusal(Connect::of(request), code, status, &trace),
    }
}

/// The status beside an HTTP code: in Connect's form for a Connect request, and as [`over_http`] has it for all others.
pub(super) fn refusal(
    connect: Option<Connect>,
    code: StatusCode,
    status: &Status,
    trace: &Trace,
) -> Response<Body> {
    match connect {
        Some(connect) => connect.refusal(code, status, trace),
        None => over_http(code, status, trace),
    }
}

/// What browsers and proxies understand, with a text, and in its headers the status, which gRPC clients do.
pub(super) fn over_http(code: StatusCode, status: &Status, trace: &Trace) -> Response<Body> {
    let mut response = alone(status, trace);
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
        for ours in [failed(), Status::internal("the call has no principal"), Status::unknown("?")] {
            assert!(!is_clients_doing(&ours), "{ours:?}");
        }
    }
}
