//! A response body that can be ended from outside, with a status.
//!
//! A call may have to end while its stream is idle, or while its client reads nothing and the transport polls nothing.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tonic::{Code, Status, body::Body};

use super::{StallPolicy, status};

/// The ready frames that are still sent after the call has ended: a message and its trailers. So a complete unary
/// response is not lost.
const LAST_FRAMES: u8 = 2;
/// The ready frames that are sent between two polls of `call_lifetime`. A complete unary response needs no poll of it,
/// and a stream that always has another frame still ends.
const FRAMES_PER_END_POLL: u8 = 8;

/// The sweeps of [`super::stalled_responses`] in which a client reads nothing before its call is ended. Services may
/// set a policy of their own.
const MAX_STALLED_SWEEPS: u16 = 60;
/// The sweeps in which a client reads nothing before a sweep polls `call_lifetime`, since the transport does not.
const POLL_END_AFTER_SWEEPS: u16 = 5;

type EndFuture = Pin<Box<dyn Future<Output = Status> + Send>>;

/// Forwards a gRPC response body until it ends, or until `call_lifetime` resolves to the status to end it with.
///
/// Then the inner body is dropped, and with it the stream of the handler.
pub(super) struct TerminableBody {
    state: State,
    /// The sweeps since the transport last took a frame. `None`: the transport waits for a frame, so it is not stalled.
    stalled_sweeps: Option<u16>,
}

enum State {
    Running { body: Body, end: EndFuture, let_go: Option<StallPolicy>, burst: u8 },
    Flushing { body: Body, status: Status, left: u8 },
    Done,
}

impl TerminableBody {
    /// `stall_policy` is the policy of the service for a client that reads nothing. The default is to end the call after
    /// [`STUCK`] sweeps.
    pub(super) fn new(
        body: Body,
        let_go: Option<StallPolicy>,
        end: impl Future<Output = Status> + Send + 'static,
    ) -> Self {
        let state = State::Running { body, end: Box::pin(end), let_go, burst: 0 };
        Self { state, stalled_sweeps: Some(0) }
    }

    /// Counts one sweep, and ends the response if its transport is stalled and the call is over. Returns `true` if the
    /// response has ended.
    pub(super) fn sweep(&mut self) -> bool {
        if let Some(status) = self.stalled_end() {
            self.state = State::Flushing { body: Body::empty(), status, left: 0 };
        }
        !matches!(self.state, State::Running { .. })
    }

    /// Returns the status with which a stalled response ends now. While a transport is stalled, no task waits for
    /// `call_lifetime`, so the no-op waker replaces no other.
    fn stalled_end(&mut self) -> Option<Status> {
        let State::Running { end, let_go, .. } = &mut self.state else { return None };
        let rounds = self.stalled_sweeps.as_mut()?;
        *rounds = rounds.saturating_add(1);
        if let Some(status) = let_go.as_ref().and_then(StallPolicy::status) {
            return Some(status);
        }
        if *rounds < POLL_END_AFTER_SWEEPS {
            return None;
        }
        match end.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(status) => Some(status),
            Poll::Pending if *rounds >= MAX_STALLED_SWEEPS && let_go.is_none() => {
                Some(status::response_not_read())
            }
            Poll::Pending => None,
        }
    }

    /// Returns the status with which the response was ended, if the transport has not taken it yet.
    pub(super) fn ended_with(&self) -> Option<Code> {
        match &self.state {
            State::Flushing { status, .. } => Some(status.code()),
            State::Running { .. } | State::Done => None,
        }
    }
}

impl http_body::Body for TerminableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // The panic hook has logged the panic.
        let polled = catch_unwind(AssertUnwindSafe(|| self.state.poll(cx))).unwrap_or_else(|_panic| {
            self.state = State::Done;
            Poll::Ready(Some(Ok(Frame::trailers(trailers(&status::failed())))))
        });
        self.stalled_sweeps = matches!(&polled, Poll::Ready(Some(Ok(_)))).then_some(0);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Running { body, .. } => body.is_end_stream(),
            State::Flushing { .. } => false,
            State::Done => true,
        }
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self {
            Self::Running { body, end, burst, .. } => {
                let rests = *burst == FRAMES_PER_END_POLL;
                if !rests && let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                    *burst += 1;
                    return Poll::Ready(frame);
                }
                *burst = 0;
                let Poll::Ready(status) = end.as_mut().poll(cx) else {
                    return if rests { self.poll(cx) } else { Poll::Pending };
                };
                let body = mem::take(body);
                *self = Self::Flushing { body, status, left: LAST_FRAMES };
                self.poll(cx)
            }
            Self::Flushing { body, status, left } => {
                if *left > 0
                    && let Poll::Ready(last) = Pin::new(body).poll_frame(cx)
                {
                    *left -= 1;
                    if !last.as_ref().is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data)) {
                        *self = Self::Done;
                    }
                    return Poll::Ready(last);
                }
                let trailers = trailers(status);
                *self = Self::Done;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::Done => Poll::Ready(None),
        }
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unsendable) = status.add_header(&mut trailers) {
        tracing::error!(%unsendable, "failed to encode a status as trailers");
    }
    trailers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::{
        sync::oneshot,
        time::{Instant, advance},
    };

    use super::*;

    fn message() -> Result<Frame<Bytes>, Status> {
        Ok(Frame::data(Bytes::from_static(b"message")))
    }

    fn ok() -> Result<Frame<Bytes>, Status> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        Ok(Frame::trailers(trailers))
    }

    async fn now() -> Status {
        Status::unavailable("the end")
    }

    async fn outcome(body: TerminableBody) -> (usize, i32) {
        let collected = body.collect().await.unwrap();
        let code = collected.trailers().unwrap()["grpc-status"].to_str().unwrap().parse().unwrap();
        (collected.to_bytes().len() / b"message".len(), code)
    }

    #[tokio::test]
    async fn without_an_end_all_goes_through() {
        let body = Body::new(StreamBody::new(stream::iter([message(), message(), ok()])));
        assert_eq!(
            outcome(TerminableBody::new(body, None, std::future::pending())).await,
            (2, Code::Ok as i32)
        );
    }

    #[tokio::test]
    async fn a_quiet_stream_ends_when_told_and_is_dropped() {
        let (held, mut dropped) = oneshot::channel::<()>();
        let quiet = Body::new(StreamBody::new(stream::once(async move {
            let _held = held;
            std::future::pending::<Result<Frame<Bytes>, Status>>().await
        })));
        let (end, told) = oneshot::channel();
        let mut body = TerminableBody::new(quiet, None, async { told.await.unwrap() });

        let next = tokio::spawn(async move {
            let frame = body.frame().await.unwrap().unwrap();
            assert!(body.frame().await.is_none());
            frame.into_trailers().unwrap()
        });
        end.send(Status::deadline_exceeded("late")).unwrap();
        assert_eq!(next.await.unwrap()["grpc-status"], "4");
        assert!(dropped.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
    }

    #[tokio::test]
    async fn an_answer_that_is_made_is_not_lost() {
        let body = Body::new(StreamBody::new(stream::iter([message(), ok()])));
        assert_eq!(outcome(TerminableBody::new(body, None, now())).await, (1, Code::Ok as i32));
    }

    #[tokio::test]
    async fn a_stream_that_always_has_more_ends_too() {
        let body = Body::new(StreamBody::new(stream::repeat_with(message)));
        let expected = (usize::from(FRAMES_PER_END_POLL + LAST_FRAMES), Code::Unavailable as i32);
        assert_eq!(outcome(TerminableBody::new(body, None, now())).await, expected);
    }

    #[tokio::test]
    async fn a_panic_has_a_status_too() {
        let body =
            Body::new(StreamBody::new(stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                panic!("on purpose")
            })));
        assert_eq!(
            outcome(TerminableBody::new(body, None, std::future::pending())).await,
            (0, Code::Internal as i32)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_ends_all_the_same() {
        for (end, code, begins) in [
            (5, Code::Unavailable, true),
            (5, Code::Unavailable, false),
            (3_600, Code::ResourceExhausted, true),
            (3_600, Code::ResourceExhausted, false),
        ] {
            let (held, mut dropped) = oneshot::channel::<()>();
            let busy = Body::new(StreamBody::new(stream::repeat_with(move || {
                let _held = &held;
                message()
            })));
            let come = Instant::now() + Duration::from_secs(end);
            let mut body = TerminableBody::new(busy, None, async move {
                tokio::time::sleep_until(come).await;
                Status::unavailable("the end")
            });
            if begins {
                body.frame().await.unwrap().unwrap();
            }
            assert!(!body.sweep());
            advance(Duration::from_secs(60)).await;
            let passed = (2..).find(|_| body.sweep());
            assert_eq!(passed, Some(if end < 60 { POLL_END_AFTER_SWEEPS } else { MAX_STALLED_SWEEPS }));
            assert!(dropped.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
            assert_eq!(body.ended_with(), Some(code));
            assert_eq!(outcome(body).await, (0, code as i32));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_may_have_more_patience_or_less() {
        for patience in [Duration::from_secs(1), Duration::from_secs(600)] {
            let until = Instant::now() + patience;
            let let_go = StallPolicy::new(move || {
                (Instant::now() >= until).then(|| Status::resource_exhausted("too slow"))
            });
            let busy = Body::new(StreamBody::new(stream::repeat_with(message)));
            let mut body = TerminableBody::new(busy, Some(let_go), std::future::pending());
            body.frame().await.unwrap().unwrap();
            advance(patience - Duration::from_millis(1)).await;
            assert!((0..2 * MAX_STALLED_SWEEPS).all(|_| !body.sweep()), "{patience:?}");
            advance(Duration::from_millis(1)).await;
            assert!(body.sweep(), "{patience:?}");
            assert_eq!(body.ended_with(), Some(Code::ResourceExhausted));
        }
    }
}
