//! A lingering close, after which the client has received the last response.
//!
//! When a socket is closed with unread input, or receives more afterwards, the kernel sends a reset. A client that gets
//! a reset may lose a response that it has already received. So the server shuts its sending side down first, and
//! discards what the client still sends.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::delegate_writes::delegate_writes;

/// The longest time for which a client may go on sending.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes that a client may go on sending.
const MAX_LINGER_BYTES: usize = 1024 * 1024;
/// The most bytes discarded by one read.
const PIECE: usize = 16 * 1024;

/// A stream whose shutdown ends when the peer has closed its side too, or a limit is reached.
pub(super) struct LingeringClose<S> {
    stream: S,
    /// `None` while the server's side is open.
    leaving: Option<CloseLimits>,
}

/// The limits on what the peer still sends.
struct CloseLimits {
    expired: Pin<Box<Sleep>>,
    /// The number of bytes that may still be received.
    left: usize,
}

impl<S> LingeringClose<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, leaving: None }
    }
}

impl CloseLimits {
    /// Discards input. Ready when the peer has closed its side, or a limit is reached.
    fn poll(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        while self.left > 0 {
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.left = self.left.saturating_sub(piece.filled().len());
                }
                Poll::Ready(_over) => return Poll::Ready(()),
                Poll::Pending => return self.expired.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<S> {
    delegate_writes!();

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, leaving } = &mut *self;
        let leaving = match leaving {
            Some(leaving) => leaving,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                leaving
                    .insert(CloseLimits { expired: Box::pin(sleep(LINGER_TIMEOUT)), left: MAX_LINGER_BYTES })
            }
        };
        leaving.poll(stream, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_heard_out_but_not_for_ever() {
        for (closes, longest) in [(true, Duration::ZERO), (false, LINGER_TIMEOUT)] {
            let (near, mut far) = duplex(64);
            let mut near = LingeringClose::new(near);
            let begun = Instant::now();
            let talking = async {
                assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0, "the server's side is shut down at once");
                far.write_all(&[7; 100_000]).await.unwrap();
                if closes {
                    drop(far);
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let leaving = async {
                near.shutdown().await.unwrap();
                begun.elapsed()
            };
            tokio::select! {
                took = leaving => assert_eq!(took, longest),
                () = async { talking.await; std::future::pending().await } => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_talks_without_end_is_left() {
        let (near, mut far) = duplex(64 * 1024);
        let mut near = LingeringClose::new(near);
        let talking = tokio::spawn(async move { while far.write_all(&[7; 1024]).await.is_ok() {} });
        near.shutdown().await.unwrap();
        drop(near);
        talking.await.unwrap();
    }
}
