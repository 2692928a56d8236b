//! Checks of request messages before a handler sees them: their number, their size, their rate, and their timeouts.

use std::{
    error::Error,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use anyhow::Chain;
use bytes::{Bytes, BytesMut};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use metrics::Counter;
use tokio::time::{Instant, Sleep, sleep, timeout_at};
use tonic::{Code, Status, body::Body};

use super::{contract::Method, frames::FrameParser, status};

/// The limits on the messages of a request. An upload is a stream of messages from the client.
#[derive(Clone, Copy)]
pub(super) struct MessageLimits {
    /// The time within which a request message, or the first message of an upload, must arrive.
    pub(super) body_timeout: Duration,
    /// The longest time between two messages of an upload.
    pub(super) upload_timeout: Duration,
    /// The most messages per second of one upload, and the size of its burst.
    pub(super) max_messages_per_second: NonZeroU32,
}

/// Returns the body of a request after checking it against its `method`. The message of a call with one request message
/// is read and checked first. An upload is checked while it is read. `received` counts the messages.
pub(super) async fn check(
    body: Body,
    method: Option<Method>,
    begun: Instant,
    terms: &MessageLimits,
    received: &Counter,
) -> Result<Body, Status> {
    Ok(match method {
        None => body,
        Some(method) if method.kind.takes_one_message() => {
            let message =
                timeout_at(begun + terms.body_timeout, read_one(body, method.max_message_size)).await;
            let message = message.unwrap_or_else(|_elapsed| Err(late()))?;
            received.increment(1);
            Body::new(Full::new(message))
        }
        Some(method) => Body::new(Upload::new(body, method, *terms, received.clone())),
    })
}

/// Reads a request that has one message. Returns the frame of the message.
pub(super) async fn read_one(
    mut body: impl http_body::Body<Data = Bytes, Error: Error + 'static> + Unpin,
    largest: usize,
) -> Result<Bytes, Status> {
    let mut frames = FrameParser::new(largest);
    let mut message = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|cut| broken(&cut))?.into_data() else { continue };
        frames.feed(&data)?;
        if frames.begun() > 1 {
            return Err(not_one("this method takes one message, and the request has more"));
        }
        message.extend_from_slice(&data);
    }
    frames.finish()?;
    match frames.begun() {
        0 => Err(not_one("this method takes one message, and the request has none")),
        _ => Ok(message.freeze()),
    }
}

/// Returns the status of a request body that broke off. The cause is left out: it describes the server's side of the
/// connection.
///
/// If h2 itself reported no error, the client has cancelled the call or disconnected. That counts as CANCELLED in the
/// metrics. In a gRPC-Web call tonic wraps the body and drops the cause, so that this does not apply.
fn broken(cut: &(dyn Error + 'static)) -> Status {
    const TEXT: &str = "the request broke off";
    match Chain::new(cut).find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        Some(error) if !error.is_library() => Status::cancelled(TEXT),
        _ => status::malformed(TEXT),
    }
}

fn not_one(text: &str) -> Status {
    status::with_reason(Code::Unimplemented, "NOT_ONE_MESSAGE", text)
}

fn late() -> Status {
    status::with_reason(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", "the request did not arrive in time")
}

/// The body of a client stream. Its errors are of type [`Status`], which tonic passes to the handler unchanged.
///
/// An upload that exceeds its rate is not read for a while, and flow control slows its sender down.
pub(super) struct Upload {
    body: Body,
    frames: FrameParser,
    rate: DefaultDirectRateLimiter,
    per_second: NonZeroU32,
    received: Counter,
    /// Messages that were passed on and not yet counted against the rate.
    owed: u64,
    /// The pause before the next read, for an upload that exceeds its rate.
    pause: Option<Pin<Box<Sleep>>>,
    /// The time at which the last message began.
    last_message_at: Instant,
    /// The timer within which the next message must begin.
    next_message_timer: Pin<Box<Sleep>>,
    silence: Duration,
}

impl Upload {
    pub(super) fn new(body: Body, method: Method, terms: MessageLimits, received: Counter) -> Self {
        Self {
            body,
            frames: FrameParser::new(method.max_message_size),
            rate: RateLimiter::direct(Quota::per_second(terms.max_messages_per_second)),
            per_second: terms.max_messages_per_second,
            received,
            owed: 0,
            pause: None,
            last_message_at: Instant::now(),
            next_message_timer: Box::pin(sleep(terms.body_timeout)),
            silence: terms.upload_timeout,
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let begun = self.frames.feed(data)?;
        if begun > 0 {
            self.owed += begun;
            self.received.increment(begun);
            self.last_message_at = Instant::now();
            if begun == self.frames.begun() {
                self.next_message_timer.as_mut().reset(self.last_message_at + self.silence);
            }
        }
        Ok(())
    }

    /// Ready with a status when no message has begun for too long. To save work, the timer is reset when it expires
    /// instead of after each message.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        loop {
            ready!(self.next_message_timer.as_mut().poll(cx));
            if self.frames.begun() == 0 {
                return Poll::Ready(late());
            }
            let until = self.last_message_at + self.silence;
            if until <= Instant::now() {
                return Poll::Ready(status::upload_timed_out(self.silence));
            }
            self.next_message_timer.as_mut().reset(until);
        }
    }

    /// Ready when all messages that were passed on are counted against the rate.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(due) = self.due() {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if let Ok(Err(early)) = self.rate.check_n(due) {
                let wait = early.wait_time_from(MonotonicClock.now());
                self.pause = Some(Box::pin(sleep(wait)));
            } else {
                self.owed -= u64::from(due.get());
            }
        }
        Poll::Ready(())
    }

    /// Returns the part of `owed` that fits into one burst. `None` if nothing is owed.
    fn due(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.owed.min(self.per_second.get().into()) as u32)
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
        let Poll::Ready(polled) = polled else {
            return self.poll_patience(cx).map(|status| Some(Err(status)));
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => match frame.data_ref().map_or(Ok(()), |data| self.take(data)) {
                Ok(()) => Some(Ok(frame)),
                Err(refused) => Some(Err(refused)),
            },
            Some(Err(cut)) => Some(Err(broken(&cut))),
            None => self.frames.finish().err().map(Err),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.frames.finish().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;
    use crate::MethodKind;

    const PATIENCE: Duration = Duration::from_secs(30);
    const SILENCE: Duration = Duration::from_secs(600);

    /// Returns the code that ends an upload of empty messages, with one of `pauses` before each. `None` if it succeeds.
    async fn outcome(pauses: &'static [Duration]) -> Option<Code> {
        let messages = stream::unfold(pauses.iter(), |mut pauses| async {
            sleep(*pauses.next()?).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 5]))), pauses))
        });
        let method = Method::alone(MethodKind::ClientStreaming, 0);
        let terms = MessageLimits {
            body_timeout: PATIENCE,
            upload_timeout: SILENCE,
            max_messages_per_second: NonZeroU32::MAX,
        };
        let upload = Upload::new(Body::new(StreamBody::new(messages)), method, terms, Counter::noop());
        upload.collect().await.err().map(|status| status.code())
    }

    #[tokio::test]
    async fn a_call_that_its_client_takes_back_is_no_failure() {
        for (cut, expected) in [
            (Box::<dyn Error + Send + Sync>::from(h2::Error::from(h2::Reason::CANCEL)), Code::Cancelled),
            ("the body is shorter than it said".into(), Code::Internal),
        ] {
            let body = Body::new(StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(cut)])));
            assert_eq!(read_one(body, 1).await.unwrap_err().code(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_has_time_to_begin_and_more_time_to_go_on() {
        const MORE: Duration = Duration::from_millis(1);
        let (patience, silence) = (PATIENCE.checked_sub(MORE).unwrap(), SILENCE.checked_sub(MORE).unwrap());
        for (pauses, expected) in [
            (vec![patience, silence, silence, silence], None),
            (vec![PATIENCE + MORE], Some(Code::DeadlineExceeded)),
            (vec![patience, SILENCE + MORE], Some(Code::DeadlineExceeded)),
            (vec![patience, silence, silence, SILENCE + MORE], Some(Code::DeadlineExceeded)),
        ] {
            let pauses = pauses.leak();
            assert_eq!(outcome(pauses).await, expected, "{pauses:?}");
        }
    }
}
