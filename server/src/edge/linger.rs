//! A lingering close: what was said last is heard before the connection is gone.
//!
//! The kernel answers with a reset to what nobody has read when a socket is closed, and to all that comes afterwards, and
//! a client that is reset may never see the answer that it has. So we stop speaking, and hear the client out for a while.

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

use super::writes::writes_of_its_stream;

/// For so long a client may go on talking, and so many bytes.
const LONGEST: Duration = Duration::from_secs(1);
const MOST: usize = 1024 * 1024;
/// Bytes thrown away at a time.
const PIECE: usize = 16 * 1024;

/// A stream that is shut down in two steps: its own side at once, and all of it when the peer has done the same.
pub(super) struct Linger<S> {
    stream: S,
    /// Once our side is shut.
    leaving: Option<Leaving>,
}

struct Leaving {
    expired: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Linger<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, leaving: None }
    }
}

impl Leaving {
    /// Ready when the peer is done, or has gone on for too long.
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

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    writes_of_its_stream!();

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, leaving } = &mut *self;
        let leaving = match leaving {
            Some(leaving) => leaving,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                leaving.insert(Leaving { expired: Box::pin(sleep(LONGEST)), left: MOST })
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
        for (closes, longest) in [(true, Duration::ZERO), (false, LONGEST)] {
            let (near, mut far) = duplex(64);
            let mut near = Linger::new(near);
            let begun = Instant::now();
            let talking = async {
                assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0, "we stop speaking at once");
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
        let mut near = Linger::new(near);
        let talking = tokio::spawn(async move { while far.write_all(&[7; 1024]).await.is_ok() {} });
        near.shutdown().await.unwrap();
        drop(near);
        talking.await.unwrap();
    }
}
