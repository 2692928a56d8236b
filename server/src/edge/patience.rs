//! A stream that does not wait forever for its peer to begin.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::writes::writes_of_its_stream;

/// The HTTP/2 preface. Until so much was read, hyper may still be finding out which HTTP it is, with no limit
/// of its own; afterwards the header timeout (HTTP/1) or the pings (HTTP/2) watch over the connection.
const OPENING_BYTES: usize = 24;

/// Reads fail with `TimedOut` when the peer has not begun to speak in time.
pub(super) struct Patience<S> {
    stream: S,
    /// While the peer has not begun.
    opening: Option<Opening>,
}

struct Opening {
    expired: Pin<Box<Sleep>>,
    missing: usize,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, opening: Some(Opening { expired: Box::pin(sleep(limit)), missing: OPENING_BYTES }) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(opening) = &mut self.opening else { return read };

        opening.missing = opening.missing.saturating_sub(buf.filled().len() - before);
        if opening.missing == 0 {
            self.opening = None;
        } else if read.is_pending() && opening.expired.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    writes_of_its_stream!();

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let (near, mut far) = duplex(64);
        let mut near = Patience::new(near, LIMIT);
        far.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 16);
        assert_eq!(near.read(&mut [0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_began_may_be_quiet() {
        let (near, mut far) = duplex(64);
        let mut near = Patience::new(near, LIMIT);
        far.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        near.read_exact(&mut [0; 24]).await.unwrap();
        let later = tokio::spawn(async move {
            sleep(LIMIT * 10).await;
            far.write_all(b"at last").await.unwrap();
        });
        assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 7);
        later.await.unwrap();
    }
}
