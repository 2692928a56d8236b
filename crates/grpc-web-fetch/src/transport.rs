//! HTTP requests and responses, the trait that exchanges them, and the decision about the head of a response.

use bytes::Bytes;
use futures_util::Stream;
use tonic::Status;

use crate::{clock::Millis, credentials::Token, metadata::Metadata, status::NotGrpc};

const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_PROTO: &str = "application/grpc-web+proto";

/// An HTTP POST.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The path below the address of the server, for example "/package.Service/Method".
    pub path: String,
    /// The headers, without `authorization`.
    pub headers: Metadata,
    /// The bearer token for the header `authorization`.
    pub token: Option<Token>,
    /// The whole body. Browsers cannot send a body while they read the response.
    pub body: Vec<u8>,
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct HttpResponse<B> {
    /// The HTTP status. 0 is a redirect: browsers hide the real status of one.
    pub status: u16,
    /// The headers.
    pub headers: Metadata,
    /// The body.
    pub body: B,
}

/// A sender of HTTP requests: the browser, or a script in a test. Clones share their state.
pub trait Transport: Clone + 'static {
    /// The body of a response.
    type Body: Body;

    /// Sends `request`. The error is a text for people. A response with an HTTP error is not an error here.
    ///
    /// Dropping the future cancels the request.
    fn send(&self, request: HttpRequest) -> impl Future<Output = Result<HttpResponse<Self::Body>, String>>;
}

/// The body of a response, in the pieces that arrive. An error is a text for people.
///
/// Dropping it cancels the request, unless it is complete.
pub trait Body: Stream<Item = Result<Bytes, String>> + Unpin + 'static {
    /// Marks the call as complete: the server has sent its status, so that dropping the body must not cut the
    /// connection.
    fn complete(&mut self);
}

/// Returns the HTTP request for a call with one message.
pub(crate) fn request(
    path: &str,
    message: &[u8],
    metadata: &Metadata,
    deadline: Option<Millis>,
    token: Option<Token>,
) -> HttpRequest {
    let mut headers = Metadata::default();
    for (name, value) in metadata.iter() {
        headers.append(name, value);
    }
    headers.append("content-type", GRPC_WEB_PROTO);
    headers.append("accept", GRPC_WEB_PROTO);
    headers.append("x-grpc-web", "1");
    if let Some(deadline) = deadline {
        headers.append("grpc-timeout", &format!("{}m", deadline as u32));
    }
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    HttpRequest { path: path.to_owned(), headers, token, body }
}

/// Reads the head of a response. Returns the body that is to be read, if there is one, and the status of the call if
/// the body has none.
///
/// A status in the headers ("Trailers-Only") counts only if the body has none.
pub(crate) fn read_head<B: Body>(response: HttpResponse<B>) -> Result<(Option<B>, Status), Status> {
    let HttpResponse { status, headers, mut body } = response;
    let framed = headers.get("content-type").is_some_and(is_grpc_web);
    match headers.status() {
        Some(end) if framed => Ok((Some(body), end)),
        Some(end) => {
            body.complete();
            Ok((None, end))
        }
        None if status == 200 && framed => {
            let cut = Status::unavailable("the connection broke before the response was complete");
            Ok((Some(body), cut))
        }
        None if framed => Ok((Some(body), NotGrpc(status).status())),
        None => Err(NotGrpc(status).status()),
    }
}

/// Returns `true` for binary gRPC-Web, with or without a message format and parameters, and `false` for
/// `application/grpc-web-text`.
fn is_grpc_web(content_type: &str) -> bool {
    let text = content_type.to_ascii_lowercase();
    text.strip_prefix(GRPC_WEB).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_deadline_and_the_metadata() {
        let deadline = |given| {
            let mut metadata = Metadata::default();
            metadata.append("X-Tag", "a");
            let request = request("/a/b", b"xy", &metadata, given, None);
            assert_eq!(request.body, b"\0\0\0\0\x02xy");
            assert_eq!(request.headers.get("x-tag"), Some("a"));
            request.headers.get("grpc-timeout").map(str::to_owned)
        };
        assert_eq!(deadline(Some(10_000.0)).as_deref(), Some("10000m"));
        assert_eq!(deadline(None), None);
    }
}
