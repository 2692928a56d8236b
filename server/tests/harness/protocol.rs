//! One call in each protocol that the port speaks: gRPC and gRPC-Web (binary and base64), over HTTP/1.1 and
//! HTTP/2.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tonic::Status;

use super::{Running, http::Http, soon, web};

/// The framing of messages in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Native,
    Web,
    Text,
}

/// A connection, and the protocol of the calls on it.
pub(crate) struct ProtocolClient {
    http: Http,
    name: &'static str,
    pub(crate) framing: Framing,
}

impl fmt::Debug for ProtocolClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {}", self.framing, self.name)
    }
}

/// The response of one call.
#[derive(Debug)]
pub(crate) struct CallOutput {
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) status: Status,
}

impl Running {
    /// Opens one connection for each protocol.
    pub(crate) async fn dialects(&self) -> Vec<ProtocolClient> {
        let mut dialects = Vec::new();
        for framing in [Framing::Web, Framing::Text] {
            dialects.push(ProtocolClient { http: Http::h1(self.addr).await, name: "HTTP/1.1", framing });
        }
        for framing in [Framing::Web, Framing::Text, Framing::Native] {
            dialects.push(ProtocolClient { http: Http::h2(self.addr).await, name: "HTTP/2", framing });
        }
        dialects
    }
}

impl ProtocolClient {
    /// Sends one call. `frames` is the request body with its length prefixes, before base64.
    pub(crate) async fn say(&mut self, path: &str, frames: &[u8]) -> CallOutput {
        self.say_with(path, frames, &HeaderMap::new()).await
    }

    /// Sends one call with additional headers.
    pub(crate) async fn say_with(&mut self, path: &str, frames: &[u8], more: &HeaderMap) -> CallOutput {
        let (content_type, body) = match self.framing {
            Framing::Native => ("application/grpc", frames.to_vec()),
            Framing::Web => (web::PROTO, frames.to_vec()),
            Framing::Text => ("application/grpc-web-text", BASE64_STANDARD.encode(frames).into_bytes()),
        };
        let mut request =
            Request::post(path).header("content-type", content_type).header("accept", content_type);
        request.headers_mut().unwrap().extend(more.clone());
        self.send(request.body(body).unwrap()).await
    }

    /// Sends the request unchanged.
    pub(crate) async fn send(&mut self, request: Request<Vec<u8>>) -> CallOutput {
        let (parts, body) = soon("headers", self.http.open(request)).await.into_parts();
        assert_eq!(parts.status, StatusCode::OK, "{self:?}");
        let body = soon("the body", body.collect()).await.unwrap();
        let trailers = body.trailers().cloned();
        let mut bytes = body.to_bytes();
        if parts.headers["content-type"].to_str().unwrap().contains("-text") {
            bytes = bytes.chunks(4).flat_map(|group| BASE64_STANDARD.decode(group).unwrap()).collect();
        }
        let (messages, in_body) = split_frames(bytes);
        assert!(trailers.is_none() || in_body.is_none(), "{self:?}: trailers in the body and after it");
        if self.framing != Framing::Native {
            assert!(trailers.is_none(), "{self:?}: trailers that no page can read");
        }
        let end = in_body.or(trailers).unwrap_or_else(|| parts.headers.clone());
        let status = Status::from_header_map(&end).expect("no status");
        CallOutput { headers: parts.headers, messages, status }
    }
}

/// Splits a body into its messages, and its gRPC-Web trailers if it has some.
fn split_frames(mut bytes: Bytes) -> (Vec<Bytes>, Option<HeaderMap>) {
    let mut messages = Vec::new();
    while bytes.has_remaining() {
        let (flag, length) = (bytes.get_u8(), bytes.get_u32() as usize);
        let payload = bytes.split_to(length);
        match flag {
            0 => messages.push(payload),
            web::TRAILERS => {
                assert!(!bytes.has_remaining(), "something follows the trailers");
                return (messages, Some(web::parse_trailers(&payload)));
            }
            other => panic!("a frame with flag {other:#x}"),
        }
    }
    (messages, None)
}
