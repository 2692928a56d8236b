//! Explained refusals of calls from pages of foreign origins.
//!
//! Most of these calls are not attacks. A reverse proxy that changes the host makes the server's own page look foreign.
//! The refusal names the origin and the host, so that the operator can see the difference and correct it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, Request, Response, StatusCode, header::ORIGIN};
use pin_project_lite::pin_project;
use tonic::{Code, body::Body};
use tower::Service;
use tower_http::csrf::ProtectionError;

use super::{
    allowed_hosts::authority,
    connect::ConnectKind,
    echoable::echoable,
    status::{self, with_reason},
    trace_id::TraceId,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A service that replaces the empty 403 responses of `S` by a status with a reason. As cheap to clone as `S`.
#[derive(Clone)]
pub(super) struct ExplainedCsrf<S> {
    domain: &'static str,
    inner: S,
}

impl<S> ExplainedCsrf<S> {
    /// `inner` is a [`tower_http::csrf::Csrf`], which marks its refusals with a [`ProtectionError`].
    pub(super) fn new(inner: S, domain: &'static str) -> Self {
        Self { domain, inner }
    }
}

impl<S, B> Service<Request<B>> for ExplainedCsrf<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Explaining<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Explaining { seen: RefusalContext::of(&request, self.domain), answer: self.inner.call(request) }
    }
}

pin_project! {
    /// The response of an [`ExplainedCsrf`] service.
    pub(super) struct Explaining<F> {
        seen: Option<RefusalContext>,
        #[pin]
        answer: F,
    }
}

impl<F, E> Future for Explaining<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(cx))?;
        let is_refusal = response.extensions().get::<ProtectionError>().is_some();
        Poll::Ready(Ok(match this.seen.take() {
            Some(seen) if is_refusal => seen.refusal(),
            _ => response,
        }))
    }
}

/// The parts of a request that a refusal needs.
struct RefusalContext {
    /// The `origin` header. Empty if the request has none, or one that cannot be quoted.
    origin: String,
    /// The host of the request. Empty in the same cases.
    host: String,
    connect: Option<ConnectKind>,
    trace: TraceId,
}

impl RefusalContext {
    /// Returns `None` if the request has no header that only browsers send. Such a request is never refused.
    fn of<B>(request: &Request<B>, domain: &'static str) -> Option<Self> {
        let headers = request.headers();
        let origin = headers.get(ORIGIN);
        if origin.is_none() && !headers.contains_key(SEC_FETCH_SITE) {
            return None;
        }
        let text = |value: Option<&[u8]>| value.and_then(echoable).unwrap_or_default().to_owned();
        Some(Self {
            origin: text(origin.map(|origin| origin.as_bytes()).filter(|origin| origin.contains(&b':'))),
            host: text(authority(request)),
            connect: ConnectKind::of(request),
            trace: TraceId::of(headers, domain),
        })
    }

    fn refusal(self) -> Response<Body> {
        let Self { origin, host, connect, trace } = self;
        let why = if origin.is_empty() || host.is_empty() {
            "the browser says that a page of another site made this call".to_owned()
        } else {
            format!(
                "a page of {origin} made this call, but the request names the host {host}: if a proxy changed the \
                 host, start the server with --allow-origin {origin}, or let the proxy keep the host (nginx: \
                 proxy_set_header Host $http_host)"
            )
        };
        let status = with_reason(Code::PermissionDenied, "FOREIGN_ORIGIN", why);
        status::refusal(connect, StatusCode::FORBIDDEN, &status, &trace)
    }
}
