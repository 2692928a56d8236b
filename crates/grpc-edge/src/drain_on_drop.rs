//! Draining of request bodies whose response was sent before all of the body was read.
//!
//! A client that is still sending can lose the response when its connection is closed (HTTP/1.1), or when its stream is
//! reset (HTTP/2: Node's clients report a response that broke off). So the server reads and discards the rest, within
//! limits.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header::EXPECT};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{runtime::Handle, sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;

/// The most bytes of one request that are discarded: many times the largest message.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;
/// The longest time that one request is drained.
const DRAIN_BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time that a request is drained after shutdown.
const DRAIN_BODY_TIMEOUT_AT_SHUTDOWN: Duration = Duration::from_millis(500);
/// The most frames that are discarded without leaving the task.
const MAX_FRAMES_AT_ONCE: usize = 64;

/// The request bodies of one connection that are being drained. Over HTTP/2 each of them holds a stream of the client,
/// so the oldest is dropped when there are more than `limit`. Then a client whose requests never end has streams left
/// for new calls.
pub(super) struct DrainingBodies {
    limit: usize,
    /// A sender for each body, the oldest first. A body is dropped when its sender is dropped.
    kept: Mutex<VecDeque<oneshot::Sender<Infallible>>>,
    shutdown: CancellationToken,
}

impl DrainingBodies {
    /// Creates the list for a connection with at most `max_streams` streams. Half of the streams stay free for calls.
    pub(super) fn new(max_streams: u32, shutdown: CancellationToken) -> Self {
        let limit = (max_streams as usize / 2).max(1);
        Self { limit, kept: Mutex::default(), shutdown }
    }

    /// Adds a body. The receiver resolves when the body is to be dropped. The body counts until the receiver is
    /// dropped.
    fn add(&self) -> oneshot::Receiver<Infallible> {
        let (sender, dropped) = oneshot::channel();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|sender| !sender.is_closed());
        kept.push_back(sender);
        if kept.len() > self.limit {
            kept.pop_front();
        }
        dropped
    }
}

/// A request body whose unread rest is drained when it is dropped.
pub(super) struct DrainOnDrop {
    /// `None` when the body has ended.
    body: Option<Incoming>,
    /// `None` when the client waits for `100 Continue` before it sends the body, so that there is nothing to drain.
    leftovers: Option<Arc<DrainingBodies>>,
}

/// Wraps the body of `request`, so that a response may be sent before all of it was read.
pub(super) fn drain_on_drop(
    request: Request<Incoming>,
    leftovers: &Arc<DrainingBodies>,
) -> Request<DrainOnDrop> {
    let waits = request.headers().contains_key(EXPECT);
    let leftovers = (!waits).then(|| Arc::clone(leftovers));
    request.map(|body| DrainOnDrop { body: Some(body).filter(|body| !body.is_end_stream()), leftovers })
}

impl http_body::Body for DrainOnDrop {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        let Some((mut body, leftovers)) = self.body.take().zip(self.leftovers.take()) else { return };
        // Without a runtime the connection is gone, too.
        if let (false, Ok(runtime)) = (discard_available(&mut body), Handle::try_current()) {
            runtime.spawn(async move { drain(body, &leftovers).await });
        }
    }
}

/// Discards up to [`BURST_DURATION`] frames that are there already. Returns `true` if the body has ended by that, or
/// was reset.
fn discard_available(body: &mut (impl http_body::Body<Data = Bytes> + Unpin)) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..MAX_FRAMES_AT_ONCE {
        if body.is_end_stream() {
            return true;
        }
        match Pin::new(&mut *body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => return true,
            Poll::Pending => return false,
        }
    }
    false
}

/// Reads and discards `body` up to its end or a limit.
async fn drain(mut body: impl http_body::Body<Data = Bytes> + Unpin, leftovers: &DrainingBodies) {
    let reading = async {
        let mut left = MAX_DRAINED_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    tokio::select! {
        () = reading => {}
        () = sleep(DRAIN_BODY_TIMEOUT) => {}
        _ = leftovers.add() => {}
        () = async { leftovers.shutdown.cancelled().await; sleep(DRAIN_BODY_TIMEOUT_AT_SHUTDOWN).await } => {}
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::StreamBody;
    use tokio::time::Instant;

    use super::*;

    /// Returns the time for which a request is drained that sends one byte at a time and never ends.
    async fn patience(leftovers: &DrainingBodies) -> Duration {
        let dribble = Box::pin(stream::unfold((), |()| async {
            sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        }));
        let begun = Instant::now();
        drain(StreamBody::new(dribble), leftovers).await;
        begun.elapsed()
    }

    #[test]
    fn what_is_there_already_or_taken_back_is_waited_for_by_nobody() {
        let data = || Ok(Frame::data(Bytes::from_static(b"x")));
        let over = |frames: Vec<Result<_, &'static str>>| {
            discard_available(&mut StreamBody::new(stream::iter(frames)))
        };
        assert!(over(vec![data(), data()]));
        assert!(over(vec![data(), Err("it was reset"), data()]));
        let more = stream::iter([data()]).chain(stream::pending());
        assert!(!discard_available(&mut StreamBody::new(more)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_end_is_not_read_for_ever() {
        let leftovers = DrainingBodies::new(256, CancellationToken::new());
        assert_eq!(patience(&leftovers).await, DRAIN_BODY_TIMEOUT);
        leftovers.shutdown.cancel();
        assert_eq!(patience(&leftovers).await, DRAIN_BODY_TIMEOUT_AT_SHUTDOWN);
    }

    /// CLIENT-4
    #[test]
    fn the_oldest_leftover_makes_room_for_the_next() {
        let leftovers = DrainingBodies::new(8, CancellationToken::new());
        let mut all: Vec<_> = (0..5).map(|_| leftovers.add()).collect();
        let is_dropped = |one: &mut oneshot::Receiver<_>| one.now_or_never().is_some();
        let dropped: Vec<_> = all.iter_mut().map(is_dropped).collect();
        assert_eq!(dropped, [true, false, false, false, false]);
        all.remove(2);
        let mut more = leftovers.add();
        assert!(!all.iter_mut().skip(1).chain([&mut more]).any(is_dropped), "one body has ended by itself");
    }
}
