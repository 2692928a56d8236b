//! The statuses with which the port itself refuses requests, and their forms on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::Full;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

pub(super) use super::error::{
    MALFORMED, PUSHBACK, beyond_limit, busy, failed, no_such_method, shutting_down, too_slow, with_reason,
};
use super::{
    connect::ConnectKind,
    content_type::{CallType, Framing},
    trace_id::TraceId,
};

/// The beginnings of tonic's own messages for requests that violate gRPC.
const TONIC_CLIENT_ERRORS: [&str; 2] =
    ["failed to decode Protobuf message", "protocol error: received message"];
/// The beginning of tonic's own message for a compression that the server does not support.
const TONIC_COMPRESSION_ERROR: &str = "Content is compressed with";

/// Adds a reason to a status that tonic has made by itself, and a message to that of an unknown method. Any other
/// status stays as it is.
pub(super) fn with_missing_details(status: Status) -> Status {
    let text = status.message();
    match status.code() {
        Code::Unimplemented if text.is_empty() => no_such_method(),
        code @ Code::Unimplemented if text.starts_with(TONIC_COMPRESSION_ERROR) => {
            with_reason(code, "UNKNOWN_COMPRESSION", text)
        }
        code if is_tonics_of_clients(text) => with_reason(code, MALFORMED, text),
        _ => status,
    }
}

/// Returns RESOURCE_EXHAUSTED for a client that does not read its response.
pub(super) fn response_not_read() -> Status {
    too_slow("ANSWER_NOT_TAKEN", "the client has not read the response for too long")
}

/// Returns RESOURCE_EXHAUSTED for a message above the limit. Its metadata forbids a retry, which would fail again.
pub(super) fn too_large(largest: usize) -> Status {
    let text = format!("the request message is too large: the limit of this method is {largest} bytes");
    beyond_limit("MESSAGE_TOO_LARGE", text)
}

/// Returns INTERNAL for a request that violates gRPC, like other gRPC servers.
pub(super) fn malformed(text: impl Into<String>) -> Status {
    with_reason(Code::Internal, MALFORMED, text)
}

/// Returns `true` if the client has caused the error, even if its code is INTERNAL.
pub(super) fn is_client_error(status: &Status) -> bool {
    is_tonics_of_clients(status.message())
        || status.get_details_error_info().is_some_and(|info| info.reason == MALFORMED)
}

fn is_tonics_of_clients(text: &str) -> bool {
    TONIC_CLIENT_ERRORS.iter().any(|of_client| text.starts_with(of_client))
}

/// Returns DEADLINE_EXCEEDED for an upload that has sent no message for `silence`.
pub(super) fn upload_timed_out(silence: Duration) -> Status {
    let text =
        format!("nothing was sent for {} s: open another stream when there is more", silence.as_secs());
    with_reason(Code::DeadlineExceeded, "NOTHING_SENT", text)
}

/// Returns the gRPC status code in `headers` or trailers, if there is one.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Returns a response without a body that has the status and the trace id in its headers. The log has no method for it.
pub(super) fn headers_only(status: &Status, trace: &TraceId) -> Response<Body> {
    let mut response = status.clone().into_http::<Body>();
    trace.attach_to("none", status, response.headers_mut());
    response
}

/// Returns the status in the protocol of the request. Native gRPC gets HTTP 200, since its clients ignore the gRPC
/// status beside any other HTTP code. Every other protocol gets `code`.
pub(super) fn in_protocol_of<B>(
    code: StatusCode,
    status: &Status,
    request: &Request<B>,
    domain: &'static str,
) -> Response<Body> {
    let trace = TraceId::of(request.headers(), domain);
    let call = request.headers().get(CONTENT_TYPE).and_then(CallType::parse);
    match call {
        Some(CallType::Proto(Framing::Native) | CallType::OtherCodec(Framing::Native))
            if request.version() == Version::HTTP_2 =>
        {
            headers_only(status, &trace)
        }
        _ => refusal(ConnectKind::of(request), code, status, &trace),
    }
}

/// Returns the status with an HTTP code, in the form of the Connect protocol or in that of [`over_http`].
pub(super) fn refusal(
    connect: Option<ConnectKind>,
    code: StatusCode,
    status: &Status,
    trace: &TraceId,
) -> Response<Body> {
    match connect {
        Some(connect) => connect.refusal(code, status, trace),
        None => over_http(code, status, trace),
    }
}

/// Returns a response with `code` and the message as text, for browsers and proxies. Its headers have the gRPC status.
pub(super) fn over_http(code: StatusCode, status: &Status, trace: &TraceId) -> Response<Body> {
    let mut response = headers_only(status, trace);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.map(|_empty| Body::new(Full::<Bytes>::from(format!("{}\n", status.message()))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use tonic::{Streaming, codec::Codec as _};
    use tonic_prost::ProstCodec;

    use super::*;

    /// Returns the status that tonic makes of a request with these frames.
    async fn of_tonic(frames: &'static [u8]) -> Status {
        let decoder = ProstCodec::<(), tonic_types::pb::ErrorInfo>::default().decoder();
        let mut request = Streaming::new_request(decoder, Body::from(Bytes::from_static(frames)), None, None);
        request.message().await.expect_err("it is malformed")
    }

    #[tokio::test]
    async fn what_clients_do_wrong_is_told_apart_from_what_we_do() {
        for frames in [&b"\0\0\0\0\x01\xff"[..], b"\x01\0\0\0\0"] {
            let status = of_tonic(frames).await;
            assert!(status.code() == Code::Internal && is_client_error(&status), "{status:?}");
        }
        assert!(is_client_error(&malformed("cut short")));
        for ours in [failed(), Status::internal("the call has no principal"), Status::unknown("?")] {
            assert!(!is_client_error(&ours), "{ours:?}");
        }
    }
}
