//! Refusals of Connect requests (<https://connectrpc.com/docs/protocol>).
//!
//! The server does not speak this protocol, but Connect clients show an error only if it has the form of the protocol.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};
use tonic_types::pb;

use super::{status, trace_id::TraceId};

/// The flag of the last message of a stream, which carries the error.
const END_OF_STREAM: u8 = 0b10;

/// The kind of a Connect request. It decides the form of an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ConnectKind {
    /// The error is the body of a response with an HTTP error code.
    Unary,
    /// The error is the last message of a response with status 200 and this content type.
    Streaming(HeaderValue),
}

impl ConnectKind {
    /// Returns the kind of `request`, or `None` if it is not a Connect request.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        match *request.method() {
            Method::POST => {
                let headers = request.headers();
                let content_type = headers.get(CONTENT_TYPE);
                let essence = content_type.map_or(&b""[..], essence).to_ascii_lowercase();
                match (essence.as_slice(), content_type) {
                    (essence, Some(content_type)) if essence.starts_with(b"application/connect+") => {
                        Some(Self::Streaming(content_type.clone()))
                    }
                    (b"application/json" | b"application/proto", _) => Some(Self::Unary),
                    (essence, _) if essence.starts_with(b"application/grpc") => None,
                    _ => headers.contains_key("connect-protocol-version").then_some(Self::Unary),
                }
            }
            Method::GET => {
                let mut parameters = request.uri().query()?.split('&');
                parameters.any(|parameter| parameter == "connect=v1").then_some(Self::Unary)
            }
            _ => None,
        }
    }

    /// Returns `status` in the form of Connect. The HTTP status is `code` for a unary call, and 200 for a stream.
    pub(super) fn refusal(self, code: StatusCode, status: &Status, trace: &TraceId) -> Response<Body> {
        let mut response = status::headers_only(status, trace);
        // The status in the headers has the id of the call, which `headers_only` has added.
        let signed = Status::from_header_map(response.headers());
        let error = error(signed.as_ref().unwrap_or(status));
        let (code, content_type, body) = match self {
            Self::Unary => (code, HeaderValue::from_static("application/json"), error.to_string().into()),
            Self::Streaming(content_type) => (StatusCode::OK, content_type, last_message(&error)),
        };
        *response.status_mut() = code;
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response.map(|_empty| Body::new(Full::new(body)))
    }
}

/// The media type without its parameters.
fn essence(content_type: &HeaderValue) -> &[u8] {
    content_type.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The JSON form of an error.
fn error(status: &Status) -> Value {
    let details = pb::Status::decode(status.details()).map(|rpc| rpc.details).unwrap_or_default();
    let details: Vec<_> = details
        .iter()
        .map(|detail| {
            let name = detail.type_url.rsplit('/').next();
            json!({ "type": name, "value": BASE64_STANDARD_NO_PAD.encode(&detail.value) })
        })
        .collect();
    json!({ "code": name(status.code()), "message": status.message(), "details": details })
}

/// The end-of-stream message that carries `error`, with its prefix.
fn last_message(error: &Value) -> Bytes {
    let text = json!({ "error": error }).to_string();
    let mut message = BytesMut::with_capacity(5 + text.len());
    message.put_u8(END_OF_STREAM);
    // The length fits: the text is from this server, with at most a name or an address from the request.
    message.put_u32(text.len() as u32);
    message.put_slice(text.as_bytes());
    message.freeze()
}

/// The name of a status code in Connect.
fn name(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "canceled",
        Code::Ok | Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<ConnectKind> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ConnectKind::of(&request.body(()).unwrap())
    }

    #[test]
    fn its_clients_are_known_by_what_they_send() {
        let rpc = "/board.v1.Board/Quote";
        let typed = |content_type| of("POST", rpc, &[("content-type", content_type)]);
        let version = ("connect-protocol-version", "1");
        for unary in ["application/json", "application/proto", "Application/JSON; charset=utf-8"] {
            assert_eq!(typed(unary), Some(ConnectKind::Unary), "{unary}");
        }
        for streaming in ["application/connect+json", "application/connect+proto"] {
            assert_eq!(typed(streaming), Some(ConnectKind::Streaming(HeaderValue::from_static(streaming))));
        }
        assert_eq!(of("POST", rpc, &[version]), Some(ConnectKind::Unary));
        assert_eq!(of("GET", &format!("{rpc}?encoding=json&connect=v1"), &[]), Some(ConnectKind::Unary));
        for other in ["application/grpc", "application/grpc-web+proto", "text/plain", ""] {
            assert_eq!(typed(other), None, "{other}");
        }
        assert_eq!(of("POST", rpc, &[("content-type", "application/grpc"), version]), None);
        assert_eq!(of("GET", &format!("{rpc}?xconnect=v1"), &[]), None);
        assert_eq!(of("GET", rpc, &[]), None);
        assert_eq!(of("OPTIONS", rpc, &[version]), None);
    }
}
