//! Routing of requests: calls to the gRPC services, everything else to the probes and the page.
//!
//! The content type decides, on both HTTP versions. tonic by itself would run a `text/plain` POST over HTTP/2, which
//! any page on the web can send without a CORS preflight.

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
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use http_body_util::Either;
use tonic::{Code, body::Body};
use tonic_web::{GrpcWebLayer, GrpcWebService, ResponseFuture};
use tower::{Layer as _, Service};

use super::{
    base64_body,
    calls::CallService,
    connect::ConnectKind,
    content_type::{CallType, Framing},
    drain_on_drop::DrainOnDrop,
    header_size::HeaderSize,
    legacy_paths::Aliases,
    status::{self, with_reason},
    trace_id::TraceId,
};

/// The content types that a POST may have (<https://www.w3.org/TR/ldp/#header-accept-post>).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const CALL_TYPES: HeaderValue = HeaderValue::from_static(
    "application/grpc, application/grpc+proto, application/grpc-web, application/grpc-web+proto, \
     application/grpc-web-text, application/grpc-web-text+proto",
);

/// The destination of a request: the gRPC services, the probes and the page, or a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destination {
    Call(Framing),
    UnknownCodec(Framing),
    NeedsHttp2,
    NotACall,
    ConnectProtocol,
    WrongMethod,
    HeadersTooLarge,
    Other,
}

/// The router. It passes calls to the services and refuses malformed ones. All other requests pass to `elsewhere`.
/// Cheap to clone.
#[derive(Clone)]
pub(super) struct RequestRouter {
    header_size: HeaderSize,
    domain: &'static str,
    aliases: Aliases,
    calls: GrpcWebService<CallService>,
    elsewhere: Router,
}

impl RequestRouter {
    pub(super) fn new(
        header_size: HeaderSize,
        domain: &'static str,
        aliases: Aliases,
        calls: CallService,
        elsewhere: Router,
    ) -> Self {
        Self { header_size, domain, aliases, calls: GrpcWebLayer::new().layer(calls), elsewhere }
    }

    fn destination<B>(&self, request: &Request<B>) -> Destination {
        match self.header_size.is_exceeded_by(request) {
            true => Destination::HeadersTooLarge,
            false => destination(request, &self.aliases),
        }
    }
}

type Elsewhere = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl Service<Request<DrainOnDrop>> for RequestRouter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = future::Either<ResponseFuture<<CallService as Service<Request<Body>>>::Future>, Elsewhere>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<DrainOnDrop>) -> Self::Future {
        let refused = match self.destination(&request) {
            Destination::Call(framing) => {
                return future::Either::Left(self.calls.call(normalised(request, framing, &self.aliases)));
            }
            Destination::Other => {
                let page = self.elsewhere.call(request);
                return future::Either::Right(async { Ok(page.await?.map(Body::new)) }.boxed());
            }
            Destination::HeadersTooLarge => self.header_size.refusal(&request, self.domain),
            Destination::UnknownCodec(framing) => {
                let text = "messages must be protobuf: +proto, or no suffix";
                let status = with_reason(Code::Unimplemented, "UNKNOWN_CODEC", text);
                let mut response =
                    status::headers_only(&status, &TraceId::of(request.headers(), self.domain));
                response.headers_mut().insert(CONTENT_TYPE, framing.content_type());
                response
            }
            Destination::NeedsHttp2 => {
                let text = "gRPC needs HTTP/2, and this request came over HTTP/1.1: use HTTP/2 with prior knowledge, and a \
                            proxy that forwards HTTP/2, or call with application/grpc-web+proto";
                let status = with_reason(Code::InvalidArgument, "NEEDS_HTTP2", text);
                let trace = TraceId::of(request.headers(), self.domain);
                status::over_http(StatusCode::HTTP_VERSION_NOT_SUPPORTED, &status, &trace)
            }
            Destination::NotACall => {
                let text =
                    "the content type of a call must be application/grpc or application/grpc-web+proto";
                not_a_call(
                    &request,
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    Code::InvalidArgument,
                    text,
                    self.domain,
                )
            }
            Destination::ConnectProtocol => {
                let text = "this server does not speak the Connect protocol: let the client speak gRPC or gRPC-Web \
                            (in Go connect.WithGRPC(), in JavaScript createGrpcTransport or createGrpcWebTransport)";
                let (code, is_post) = match *request.method() {
                    Method::POST => (StatusCode::UNSUPPORTED_MEDIA_TYPE, true),
                    _ => (StatusCode::METHOD_NOT_ALLOWED, false),
                };
                let mut response = not_a_call(&request, code, Code::Unimplemented, text, self.domain);
                if !is_post {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                }
                response
            }
            Destination::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "Calls are made with POST.\n")
                    .into_response()
                    .map(Body::new)
            }
        };
        future::Either::Right(ready(Ok(refused)).boxed())
    }
}

fn destination<B>(request: &Request<B>, aliases: &Aliases) -> Destination {
    let call = request.headers().get(CONTENT_TYPE).and_then(CallType::parse);
    if call.is_none() && !is_call_path(request.uri().path(), aliases) {
        return Destination::Other;
    }
    if call.is_none() && ConnectKind::of(request).is_some() {
        return Destination::ConnectProtocol;
    }
    if request.method() != Method::POST {
        return Destination::WrongMethod;
    }
    match call {
        None => Destination::NotACall,
        Some(CallType::Proto(Framing::Native) | CallType::OtherCodec(Framing::Native))
            if request.version() < Version::HTTP_2 =>
        {
            Destination::NeedsHttp2
        }
        Some(CallType::OtherCodec(framing)) => Destination::UnknownCodec(framing),
        Some(CallType::Proto(framing)) => Destination::Call(framing),
    }
}

/// Returns `true` if `path` is `/package.Service/Method` or an alias. No file of the page has such a path.
fn is_call_path(path: &str, aliases: &Aliases) -> bool {
    if aliases.current_path(path).is_some() {
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

fn not_a_call<B>(
    request: &Request<B>,
    http: StatusCode,
    code: Code,
    why: &str,
    domain: &'static str,
) -> Response<Body> {
    let status = with_reason(code, "NOT_A_CALL", why);
    let trace = TraceId::of(request.headers(), domain);
    let mut response = status::refusal(ConnectKind::of(request), http, &status, &trace);
    response.headers_mut().insert(ACCEPT_POST, CALL_TYPES);
    response
}

/// Returns the request in the form that the layers behind expect.
///
/// An alias is replaced by the path of the method. The gRPC-Web layer knows only exact content types, accepts base64
/// with padding at the very end only, and responds in binary unless `accept` names the text format.
fn normalised<B>(
    mut request: Request<B>,
    framing: Framing,
    aliases: &Aliases,
) -> Request<Either<B, base64_body::Base64Body<B>>> {
    if let Some(path) = aliases.current_path(request.uri().path()) {
        *request.uri_mut() = Uri::from_static(path);
    }
    let headers = request.headers_mut();
    let wants_text = match headers.get(ACCEPT) {
        Some(accept) if !is_anything(accept) => {
            CallType::parse(accept) == Some(CallType::Proto(Framing::WebText))
        }
        _ => framing == Framing::WebText,
    };
    if wants_text {
        headers.insert(ACCEPT, Framing::WebText.content_type());
    }
    match framing {
        Framing::Native | Framing::Web => {
            headers.insert(CONTENT_TYPE, framing.content_type());
            request.map(Either::Left)
        }
        Framing::WebText => {
            headers.insert(CONTENT_TYPE, Framing::Web.content_type());
            request.map(|body| Either::Right(base64_body::Base64Body::new(body)))
        }
    }
}

/// Returns `true` if `accept` is `*/*`, with or without parameters.
fn is_anything(accept: &HeaderValue) -> bool {
    accept.as_bytes().split(|&byte| byte == b';').next().is_some_and(|range| range.trim_ascii() == b"*/*")
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
        destination(&request, &Aliases::new(&[("/Board/Start", "/board.v1.Board/Start")]))
    }

    #[test]
    fn the_content_type_decides() {
        use Destination::{Call, ConnectProtocol, NeedsHttp2, NotACall, UnknownCodec, WrongMethod};
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        let rpc = "/board.v1.Board/Book";

        assert_eq!(destination_of("POST", rpc, "application/grpc", h2), Call(Framing::Native));
        assert_eq!(destination_of("POST", rpc, "application/grpc", h1), NeedsHttp2);
        assert_eq!(destination_of("POST", rpc, "application/grpc-web;x=y", h1), Call(Framing::Web));
        assert_eq!(destination_of("POST", "/anything", "application/grpc-web", h1), Call(Framing::Web));
        assert_eq!(destination_of("POST", rpc, "application/grpc+json", h2), UnknownCodec(Framing::Native));
        assert_eq!(destination_of("POST", rpc, "application/grpc+json", h1), NeedsHttp2);
        for version in [h1, h2] {
            assert_eq!(destination_of("POST", rpc, "text/plain", version), NotACall);
            assert_eq!(destination_of("POST", rpc, "application/json", version), ConnectProtocol);
            assert_eq!(destination_of("POST", rpc, "application/connect+proto", version), ConnectProtocol);
            assert_eq!(
                destination_of("GET", "/board.v1.Board/Quote?connect=v1", "", version),
                ConnectProtocol
            );
            assert_eq!(destination_of("POST", rpc, "", version), NotACall);
            assert_eq!(destination_of("GET", rpc, "", version), WrongMethod);
            assert_eq!(destination_of("DELETE", rpc, "application/grpc-web", version), WrongMethod);
            assert_eq!(destination_of("POST", "/Board/Start", "text/plain", version), NotACall);
        }
    }

    #[test]
    fn pages_are_no_calls() {
        for path in [
            "/",
            "/?connect=v1",
            "/index.html",
            "/board/7",
            "/snippets/a.b/c.js",
            "/style-1.css",
            "/board.v1.Board/",
        ] {
            assert_eq!(destination_of("GET", path, "", Version::HTTP_11), Destination::Other, "{path}");
        }
    }
}
