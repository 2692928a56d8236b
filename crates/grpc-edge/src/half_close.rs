//! Support for HTTP/1.1 clients that close their sending side after a request and wait for the response.
//!
//! Such a client cannot be told from one that has disconnected (RFC 9112, section 9.6), and hyper would drop its call
//! at once. So the end of the input is hidden from hyper while a response that is not a stream is incomplete, until
//! nothing has been written for [`MAX_DEBT`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::backlog::Backlog;

/// The time without a byte written after which a client that has closed its sending side counts as gone.
const HALF_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A byte stream whose end is reported late while calls have no complete response.
pub(super) struct HalfClose<S> {
    stream: S,
    /// The calls without a complete response. `None` over HTTP/2.
    incomplete_responses: Option<Backlog>,
    /// The timer after which the end of the input is reported. `None` before the input has ended.
    ended: Option<Pin<Box<Sleep>>>,
    /// Everything that hyper has written is flushed.
    is_flushed: bool,
}

impl<S> HalfClose<S> {
    /// Creates it. `incomplete_responses` counts the HTTP/1.1 calls whose responses are waited for.
    pub(super) fn new(stream: S, unanswered: Option<Backlog>) -> Self {
        Self { stream, incomplete_responses: unanswered, ended: None, is_flushed: true }
    }

    /// Records a write, which restarts the timer.
    fn note_written(&mut self, written: &Poll<io::Result<usize>>) {
        self.is_flushed = false;
        if let (Some(ended), Poll::Ready(Ok(1..))) = (&mut self.ended, written) {
            ended.as_mut().reset(Instant::now() + HALF_CLOSE_TIMEOUT);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HalfClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, incomplete_responses: unanswered, ended, is_flushed } = &mut *self;
        let Some(unanswered) = unanswered else {
            return Pin::new(stream).poll_read(cx, buf);
        };
        let longest = match ended {
            Some(longest) => longest,
            None => {
                let before = buf.filled().len();
                ready!(Pin::new(stream).poll_read(cx, buf))?;
                if buf.filled().len() > before || buf.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                ended.insert(Box::pin(sleep(HALF_CLOSE_TIMEOUT)))
            }
        };
        if unanswered.poll_empty(cx).is_ready() && *is_flushed {
            return Poll::Ready(Ok(()));
        }
        longest.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HalfClose<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Flushes. hyper calls this when it has written everything it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if !self.is_flushed && self.ended.is_some() {
            // The read that was held back may report the end of the input now.
            cx.waker().wake_by_ref();
        }
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_is_reported_after_the_response_or_a_second_after_its_last_byte() {
        let unanswered = Backlog::default();
        let (near, mut far) = duplex(64);
        let mut near = HalfClose::new(near, Some(unanswered.clone()));
        let call = unanswered.begin();
        far.write_all(b"request").await.unwrap();
        far.shutdown().await.unwrap();
        let begun = Instant::now();
        assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 7);
        let respond = async {
            sleep(HALF_CLOSE_TIMEOUT / 2).await;
            drop(call);
        };
        let (ended, ()) = tokio::join!(near.read_u8(), respond);
        assert_eq!(
            (ended.unwrap_err().kind(), begun.elapsed()),
            (io::ErrorKind::UnexpectedEof, HALF_CLOSE_TIMEOUT / 2)
        );

        let (near, mut far) = duplex(64);
        let mut near = HalfClose::new(near, Some(unanswered.clone()));
        let _call = unanswered.begin();
        far.shutdown().await.unwrap();
        let begun = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(&mut near);
        let respond = async {
            sleep(HALF_CLOSE_TIMEOUT / 2).await;
            writing.write_all(b"a part of the response").await.unwrap();
        };
        let (ended, ()) = tokio::join!(reading.read_u8(), respond);
        assert!(ended.is_err());
        assert_eq!(begun.elapsed(), HALF_CLOSE_TIMEOUT + HALF_CLOSE_TIMEOUT / 2);
    }
}
