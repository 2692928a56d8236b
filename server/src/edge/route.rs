//! Calls to the gRPC stack, everything else past it.
//!
//! The content type decides, on both HTTP versions: tonic by itself would run a `text/plain` POST over
//! HTTP/2, which any page on the web can send without asking first.

use std::{
    convert::Infallible,
    future::ready,
    task::{Context, Poll},
};

use axum::{Router, response::IntoResponse as _};
use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use http::{
    Method, Request, Response, StatusCode, Uri, Version,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use http_body_util::Either;
use tonic::{Code, body::Body};
use tonic_web::{GrpcWebLayer, GrpcWebService, ResponseFuture};
use tower::{Layer as _, Service};

use super::{
    calls::Calls,
    content_type::{CallType, Framing},
    header_size::HeaderSize,
    leftover::Lingering,
    older,
    status::{self, with_reason},
    text,
    trace::Trace,
};

/// Where a request belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destination {
    Call(Framing),
    UnknownCodec(Framing),
    NeedsHttp2,
    NotACall,
    WrongMethod,
    HeadersTooLarge,
    Elsewhere,
}

/// Sends calls to the services, answers those that are malformed, and lets the rest pass. Cheap to clone.
#[derive(Clone)]
pub(super) struct Route {
    header_size: HeaderSize,
    calls: GrpcWebService<Calls>,
    elsewhere: Router,
}

impl Route {
    pub(super) fn new(header_size: HeaderSize, calls: Calls, elsewhere: Router) -> Self {
        Self { header_size, calls: GrpcWebLayer::new().layer(calls), elsewhere }
    }

    fn destination<B>(&self, request: &Request<B>) -> Destination {
        match self.header_size.is_exceeded_by(request) {
            true => Destination::HeadersTooLarge,
            false => destination(request),
        }
    }
}

type Elsewhere = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl Service<Request<Lingering>> for Route {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = future::Either<ResponseFuture<<Calls as Service<Request<Body>>>::Future>, Elsewhere>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Lingering>) -> Self::Future {
        let refused = match self.destination(&request) {
            Destination::Call(framing) => {
                return future::Either::Left(self.calls.call(normalised(request, framing)));
            }
            Destination::Elsewhere => {
                let page = self.elsewhere.call(request);
                return future::Either::Right(async { Ok(page.await?.map(Body::new)) }.boxed());
            }
            Destination::HeadersTooLarge => self.header_size.refusal(&request),
            Destination::UnknownCodec(framing) => {
                let text = "messages must be protobuf: +proto, or no suffix";
                let status = with_reason(Code::Unimplemented, "UNKNOWN_CODEC", text);
                let mut response = status::alone(&status, &Trace::of(request.headers()));
                response.headers_mut().insert(CONTENT_TYPE, framing.content_type());
                response
            }
            Destination::NeedsHttp2 => unsupported(
                &request,
                "NEEDS_HTTP2",
                "application/grpc needs HTTP/2: over HTTP/1.1, call with application/grpc-web+proto",
            ),
            Destination::NotACall => unsupported(
                &request,
                "NOT_A_CALL",
                "a call's content type is application/grpc or application/grpc-web+proto",
            ),
            Destination::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "Calls are made with POST.\n")
                    .into_response()
                    .map(Body::new)
            }
        };
        future::Either::Right(ready(Ok(refused)).boxed())
    }
}

fn destination<B>(request: &Request<B>) -> Destination {
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

/// `/package.Service/Method`, or an older name: nothing of the page has a path like it.
fn is_call_path(path: &str) -> bool {
    if older::path_now(path).is_some() {
        return true;
    }
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    service.contains('.') && service.split('.').all(is_identifier) && is_identifier(method)
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unsupported<B>(request: &Request<B>, reason: &str, why: &str) -> Response<Body> {
    let status = with_reason(Code::InvalidArgument, reason, why);
    status::over_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, &status, &Trace::of(request.headers()))
}

/// The request as what is behind knows it: methods have one name each; and the gRPC-Web layer compares content types to
/// the letter, and its base64 has padding at the very end only.
fn normalised<B>(mut request: Request<B>, framing: Framing) -> Request<Either<B, text::Decoded<B>>> {
    if let Some(path) = older::path_now(request.uri().path()) {
        *request.uri_mut() = Uri::from_static(path);
    }
    let headers = request.headers_mut();
    if let Some(CallType::Proto(Framing::WebText)) = headers.get(ACCEPT).and_then(CallType::parse) {
        headers.insert(ACCEPT, Framing::WebText.content_type());
    }
    match framing {
        Framing::Native | Framing::Web => {
            headers.insert(CONTENT_TYPE, framing.content_type());
            request.map(Either::Left)
        }
        Framing::WebText => {
            headers.insert(CONTENT_TYPE, Framing::Web.content_type());
            request.map(|body| Either::Right(text::Decoded::new(body)))
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(destination_of("POST", "/Rides/Start", "text/plain", version), NotACall);
        }
    }

    #[test]
    fn pages_are_no_calls() {
        for path in ["/", "/index.html", "/rides/7", "/snippets/a.b/c.js", "/style-1.css", "/rides.v1.Rides/"]
        {
            assert_eq!(destination_of("GET", path, "", Version::HTTP_11), Destination::Elsewhere, "{path}");
        }
    }
}
