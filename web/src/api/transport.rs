//! gRPC-Web for tonic's generated clients, over anything that can fetch.
//!
//! It takes the place of `tonic_web::GrpcWebClientLayer`: that one needs a body whose frames are sound before
//! it can be trusted with them (a repeated trailer keeps its last value only, a cut body is DATA_LOSS or
//! nothing, a length near 2³² overflows on wasm32), and once they are there is nothing left for it to do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName},
};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use super::{
    body::ResponseBody,
    tap::{Direction, Tap, TappedCall},
};

const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_PROTO: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");
/// The headers that end a call.
pub(super) const STATUS_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// Something that makes HTTP requests: the browser, or a script in a test.
///
/// Dropping the future or the chunks gives the request up.
pub trait Fetch: Clone + 'static {
    /// The body of a response as it arrives.
    type Chunks: Chunks;

    /// Sends a request; its path is relative to the page. Fails, with a text for people, only when there is
    /// no HTTP response.
    fn fetch(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Self::Chunks>, String>>;
}

/// The body of a response, in the pieces the network makes of it. An error is a text for people.
pub trait Chunks: Stream<Item = Result<Bytes, String>> + Unpin + Send + 'static {
    /// Nothing more is needed and the server is done: dropping the chunks must not cut the connection.
    fn complete(&mut self);
}

/// A [`tower::Service`] for generated clients: unary and server-streaming calls, one message out.
#[derive(Clone)]
pub struct Transport<F> {
    fetch: F,
    tap: Tap,
}

impl<F: Fetch> Transport<F> {
    /// Calls go through `fetch` and leave their figures in `tap`.
    pub fn new(fetch: F, tap: Tap) -> Self {
        Self { fetch, tap }
    }

    /// Where the calls leave their figures.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }
}

impl<F: Fetch> tower::Service<Request<tonic::body::Body>> for Transport<F> {
    type Response = Response<ResponseBody<F::Chunks>>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let fetch = self.fetch.clone();
        let call = self.tap.begin(request.uri().path().trim_start_matches('/'));
        Box::pin(async move {
            match exchange(fetch, request, &call).await {
                Ok((head, answer)) => Ok(Response::from_parts(head, answer.into_body(call))),
                Err(status) => {
                    call.end(&status);
                    Err(status)
                }
            }
        })
    }
}

/// What a response promises: its chunks, and how the call ends if they do not say.
struct Answer<C> {
    chunks: Option<C>,
    without_status: Result<HeaderMap, Status>,
}

impl<C: Chunks> Answer<C> {
    fn into_body(self, call: TappedCall) -> ResponseBody<C> {
        ResponseBody::new(self.chunks, self.without_status, call)
    }
}

async fn exchange<F: Fetch>(
    fetch: F,
    request: Request<tonic::body::Body>,
    call: &TappedCall,
) -> Result<(http::response::Parts, Answer<F::Chunks>), Status> {
    let (mut head, body) = request.into_parts();
    // A browser cannot send a request body while it reads the response: all of it is put together first.
    let body = body.collect().await?.to_bytes();
    call.frame(Direction::Out, body.len().saturating_sub(5) as u32);
    for unwanted in ["te", "user-agent"] {
        head.headers.remove(unwanted);
    }
    head.headers.insert(CONTENT_TYPE, GRPC_WEB_PROTO);
    head.headers.insert(ACCEPT, GRPC_WEB_PROTO);
    head.headers.insert("x-grpc-web", HeaderValue::from_static("1"));

    let response = fetch.fetch(Request::from_parts(head, body)).await.map_err(Status::unavailable)?;
    let (mut head, chunks) = response.into_parts();
    let answer = read_head(&mut head, chunks)?;
    Ok((head, answer))
}

/// Decides what a response is before any of its body is read.
///
/// A status in the headers ("trailers-only") moves out of them: if the body brings one too, that one counts.
fn read_head<C: Chunks>(head: &mut http::response::Parts, mut chunks: C) -> Result<Answer<C>, Status> {
    let trailers = take_status(&mut head.headers);
    let framed = head.headers.get(CONTENT_TYPE).is_some_and(is_grpc_web);
    let without_status = match trailers {
        Some(trailers) => Ok(trailers),
        None if head.status == StatusCode::OK && framed => {
            Err(Status::unavailable("the connection broke before the answer was complete"))
        }
        None => Err(status_of_http(head.status)),
    };
    if framed {
        return Ok(Answer { chunks: Some(chunks), without_status });
    }
    let trailers = without_status?;
    chunks.complete();
    Ok(Answer { chunks: None, without_status: Ok(trailers) })
}

fn take_status(headers: &mut HeaderMap) -> Option<HeaderMap> {
    let taken: HeaderMap = STATUS_HEADERS
        .into_iter()
        .filter_map(|name| headers.remove(&name).map(|value| (name, value)))
        .collect();
    taken.contains_key(&STATUS_HEADERS[0]).then_some(taken)
}

/// Binary framing, with or without a message format or parameters; not the base64 one.
fn is_grpc_web(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let text = text.to_ascii_lowercase();
    text.strip_prefix(GRPC_WEB).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';', ' ']))
}

/// grpc/grpc, `doc/http-grpc-status-mapping.md`: for answers of proxies that know nothing of gRPC.
fn status_of_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the server answered with HTTP {} and no gRPC status", status.as_u16()))
}
