//! What a client sends, held to the contract before a handler sees any of it: how many messages, how large, how
//! fast, and that they come at all.

use std::{
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
};
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt as _;
use metrics::Counter;
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;

use super::{contract::Method, frames::Frames, metadata};

/// On what terms requests are taken.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long a request, or the first message of an upload, may take to arrive.
    pub(super) patience: Duration,
    /// Messages a second of one upload, and at once.
    pub(super) per_second: NonZeroU32,
}

/// The request, if it keeps to the contract of its `method`. The one message of a call is complete then; an upload is
/// checked as it goes. `received` counts them.
pub(super) async fn take<B>(
    request: Request<B>,
    method: Option<Method>,
    terms: &Terms,
    received: &Counter,
) -> Result<Request<Body>, Status>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    metadata::check(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = match method {
        None => Body::new(body),
        Some(method) if method.kind.takes_one_message() => {
            let message = timeout(terms.patience, one(body, method.largest)).await;
            let message = message.unwrap_or_else(|_elapsed| Err(late()))?;
            received.increment(1);
            Body::from(message)
        }
        Some(method) => Body::new(Upload::new(Body::new(body), method, *terms, received.clone())),
    };
    Ok(Request::from_parts(parts, body))
}

/// The frame of the one message that a request is.
pub(super) async fn one(
    mut body: impl http_body::Body<Data = Bytes> + Unpin,
    largest: usize,
) -> Result<Bytes, Status> {
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
///
/// One that is too fast is not read on until it is slow enough: gRPC's flow control passes that on to its sender.
pub(super) struct Upload {
    body: Body,
    frames: Frames,
    rate: DefaultDirectRateLimiter,
    received: Counter,
    /// Messages that were passed on and are not accounted for yet.
    owed: u64,
    /// Until the next message may come.
    pause: Option<Pin<Box<Sleep>>>,
    /// Until the first message must have begun.
    first: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(body: Body, method: Method, terms: Terms, received: Counter) -> Self {
        Self {
            body,
            frames: Frames::new(method.largest),
            rate: RateLimiter::direct(Quota::per_second(terms.per_second)),
            received,
            owed: 0,
            pause: None,
            first: Some(Box::pin(sleep(terms.patience))),
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let before = self.frames.begun();
        self.frames.take(data)?;
        let begun = self.frames.begun() - before;
        if begun > 0 {
            self.owed += begun;
            self.received.increment(begun);
            self.first = None;
        }
        Ok(())
    }

    /// Ready once what was passed on is within the rate.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.owed > 0 {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.rate.check() {
                Ok(()) => self.owed -= 1,
                Err(early) => {
                    let wait = early.wait_time_from(MonotonicClock.now());
                    self.pause = Some(Box::pin(sleep(wait)));
                }
            }
        }
        Poll::Ready(())
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        ready!(self.poll_pace(cx));
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
