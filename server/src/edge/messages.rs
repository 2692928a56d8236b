//! What a client sends, held to the contract before a handler sees any of it: how many messages, how large, how
//! fast, and that they come at all.

use std::{
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;

use super::{Contract, contract::Method, frames::Frames, metadata, status};

/// When an upload that was too fast may begin again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// On what terms requests are taken.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) contract: Arc<Contract>,
    /// How long a request, or the first message of an upload, may take to arrive.
    pub(super) patience: Duration,
    /// Messages a second of one upload, and at once.
    pub(super) per_second: NonZeroU32,
}

/// Passes requests on that keep to the contract. The one message of a call is complete when its handler begins; an
/// upload is checked as it goes.
pub(super) async fn check(State(terms): State<Terms>, request: Request, next: Next) -> Response {
    if let Err(refused) = metadata::check(request.headers()) {
        return refused.into_http();
    }
    let Some(method) = terms.contract.method(request.uri().path()) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let body = if method.kind.takes_one_message() {
        match timeout(terms.patience, one(body, method.largest)).await {
            Ok(Ok(message)) => Body::from(message),
            Ok(Err(refused)) => return refused.into_http(),
            Err(_elapsed) => return late().into_http(),
        }
    } else {
        Body::new(Upload::new(body, method, &terms))
    };
    next.run(Request::from_parts(parts, body)).await
}

/// The frame of the one message that a request is.
pub(super) async fn one(mut body: Body, largest: usize) -> Result<Bytes, Status> {
    let mut frames = Frames::new(largest);
    let mut message = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_cut| broken())?.into_data() else { continue };
        frames.take(&data)?;
        if frames.begun() > 1 {
            return Err(Status::unimplemented("this method takes one message, and there are more"));
        }
        message.extend_from_slice(&data);
    }
    frames.end()?;
    match frames.begun() {
        0 => Err(Status::unimplemented("this method takes one message, and there is none")),
        _ => Ok(message.freeze()),
    }
}

/// Why the body broke is nothing to tell: it is about our end of the connection.
fn broken() -> Status {
    Status::internal("the request broke off")
}

fn late() -> Status {
    Status::deadline_exceeded("the request did not arrive in time")
}

/// A stream of messages from the client. Its errors are [`Status`], which reach the handler as they are.
pub(super) struct Upload {
    body: Body,
    frames: Frames,
    rate: DefaultDirectRateLimiter,
    per_second: NonZeroU32,
    /// Until the first message has begun.
    first: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(body: Body, method: Method, terms: &Terms) -> Self {
        Self {
            body,
            frames: Frames::new(method.largest),
            rate: RateLimiter::direct(Quota::per_second(terms.per_second)),
            per_second: terms.per_second,
            first: Some(Box::pin(sleep(terms.patience))),
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let before = self.frames.begun();
        self.frames.take(data)?;
        let begun = self.frames.begun() - before;
        if begun > 0 {
            self.first = None;
        }
        if (0..begun).any(|_| self.rate.check().is_err()) {
            let text = format!("an upload has at most {} messages a second", self.per_second);
            return Err(status::busy("UPLOAD_TOO_FAST", text, RETRY_AFTER));
        }
        Ok(())
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending() && self.first.as_mut().is_some_and(|first| first.poll_unpin(cx).is_ready()) {
            self.first = None;
            return Poll::Ready(Some(Err(late())));
        }
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => match frame.data_ref().map_or(Ok(()), |data| self.take(data)) {
                Ok(()) => Some(Ok(frame)),
                Err(refused) => Some(Err(refused)),
            },
            Some(Err(_cut)) => Some(Err(broken())),
            None => self.frames.end().err().map(Err),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.frames.end().is_ok()
    }
}
