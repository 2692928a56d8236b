//! Calls to the gRPC stack, everything else past it.
//!
//! The content type decides, on both HTTP versions: tonic by itself would run a `text/plain` POST over
//! HTTP/2, which any page on the web can send without asking first.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{
    Method, StatusCode, Version,
    header::{ALLOW, CONTENT_TYPE},
};
use tonic::Status;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use super::content_type::{CallType, Framing};

/// How long a browser's request may pause before it is complete. It has sent all of it when the call begins.
const WEB_REQUEST_PAUSE: Duration = Duration::from_secs(30);

/// Where a request belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destination {
    Call(Framing),
    UnknownCodec(Framing),
    NeedsHttp2,
    NotACall,
    WrongMethod,
    Elsewhere,
}

/// Sends calls to `calls`, answers those that are malformed, and lets the rest pass.
pub(super) async fn divert(State(calls): State<Router>, request: Request, next: Next) -> Response {
    match destination(&request) {
        Destination::Call(framing) => match calls.oneshot(normalised(request, framing)).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Destination::UnknownCodec(framing) => {
            let status = Status::unimplemented("messages must be protobuf: +proto, or no suffix");
            let mut response = status.into_http::<Body>();
            response.headers_mut().insert(CONTENT_TYPE, framing.content_type());
            response
        }
        Destination::NeedsHttp2 => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/grpc needs HTTP/2. Over HTTP/1.1, call with application/grpc-web+proto.\n",
        )
            .into_response(),
        Destination::NotACall => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "A call's content type is application/grpc or application/grpc-web+proto.\n",
        )
            .into_response(),
        Destination::WrongMethod => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "Calls are made with POST.\n").into_response()
        }
        Destination::Elsewhere => next.run(request).await,
    }
}

fn destination(request: &Request) -> Destination {
    let call = request.headers().get(CONTENT_TYPE).and_then(CallType::parse);
    if call.is_none() && !is_call_path(request.uri().path()) {
        return Destination::Elsewhere;
    }
    if request.method() != Method::POST {
        return Destination::WrongMethod;
    }
    match call {
        None => Destination::NotACall,
        Some(CallType::OtherCodec(framing)) => Destination::UnknownCodec(framing),
        Some(CallType::Proto(Framing::Native)) if request.version() < Version::HTTP_2 => {
            Destination::NeedsHttp2
        }
        Some(CallType::Proto(framing)) => Destination::Call(framing),
    }
}

/// `/package.Service/Method`: nothing of the page has a path like it.
fn is_call_path(path: &str) -> bool {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    service.contains('.') && service.split('.').all(is_identifier) && is_identifier(method)
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The request as the gRPC-Web layer knows it: that one compares content types to the letter.
fn normalised(mut request: Request, framing: Framing) -> Request {
    request.headers_mut().insert(CONTENT_TYPE, framing.content_type());
    match framing {
        Framing::Native => request,
        Framing::Web | Framing::WebText => {
            request.map(|body| Body::new(TimeoutBody::new(WEB_REQUEST_PAUSE, body)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    fn destination_of(method: &str, path: &str, content_type: &str, version: Version) -> Destination {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .version(version)
            .header(CONTENT_TYPE, content_type)
            .body(Body::empty())
            .unwrap();
        destination(&request)
    }

    #[test]
    fn the_content_type_decides() {
        use Destination::{Call, NeedsHttp2, NotACall, UnknownCodec, WrongMethod};
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        let rpc = "/rides.v1.Rides/Book";

        assert_eq!(destination_of("POST", rpc, "application/grpc", h2), Call(Framing::Native));
        assert_eq!(destination_of("POST", rpc, "application/grpc", h1), NeedsHttp2);
        assert_eq!(destination_of("POST", rpc, "application/grpc-web;x=y", h1), Call(Framing::Web));
        assert_eq!(destination_of("POST", "/anything", "application/grpc-web", h1), Call(Framing::Web));
        assert_eq!(destination_of("POST", rpc, "application/grpc+json", h2), UnknownCodec(Framing::Native));
        for version in [h1, h2] {
            assert_eq!(destination_of("POST", rpc, "text/plain", version), NotACall);
            assert_eq!(destination_of("POST", rpc, "", version), NotACall);
            assert_eq!(destination_of("GET", rpc, "", version), WrongMethod);
            assert_eq!(destination_of("DELETE", rpc, "application/grpc-web", version), WrongMethod);
        }
    }

    #[test]
    fn pages_are_no_calls() {
        for path in ["/", "/index.html", "/rides/7", "/snippets/a.b/c.js", "/style-1.css", "/rides.v1.Rides/"]
        {
            assert_eq!(destination_of("GET", path, "", Version::HTTP_11), Destination::Elsewhere, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_browsers_request_that_never_comes_is_given_up() {
        let never = stream::once(pending::<Result<Bytes, Infallible>>());
        let request = normalised(Request::new(Body::from_stream(never)), Framing::Web);
        assert!(request.into_body().frame().await.unwrap().is_err());
    }
}
