//! Detection of the HTTP version that a peer speaks, by the first bytes of its connection.
//!
//! No request of HTTP/1.1 begins with the connection preface of HTTP/2 (RFC 9113, section 3.4).

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{delegate_writes::delegate_writes, transport::Transport};

/// The connection preface, which an HTTP/2 client sends first.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The versions of HTTP that share the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HttpVersion {
    One,
    Two,
}

/// The first byte of a TLS handshake (RFC 8446, section 5.1). No HTTP request begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A stream whose first bytes were read for the detection. Reading it returns them once more.
pub(super) struct Rewind<S> {
    stream: S,
    beginning: [u8; PREFACE.len()],
    /// The part of `beginning` that is still to be returned.
    unread: Range<usize>,
}

impl<S> Rewind<S> {
    /// Returns `true` if the peer speaks TLS instead of HTTP.
    pub(super) fn is_tls(&self) -> bool {
        !self.unread.is_empty() && self.beginning[0] == TLS_HANDSHAKE
    }
}

/// Reads from `stream` until its HTTP version is clear. A peer that closes before that counts as HTTP/1.1.
///
/// # Errors
/// When a read fails, and with `TimedOut` when the version is not clear within `limit`.
pub(super) async fn detect<S: AsyncRead + Unpin>(
    mut stream: S,
    limit: Duration,
) -> io::Result<(HttpVersion, Rewind<S>)> {
    let mut beginning = [0; PREFACE.len()];
    let read = timeout(limit, read_preface(&mut stream, &mut beginning)).await??;
    let http = if beginning == *PREFACE { HttpVersion::Two } else { HttpVersion::One };
    Ok((http, Rewind { stream, beginning, unread: 0..read }))
}

/// Reads into `beginning` while the bytes agree with the preface. Returns the number of bytes read.
async fn read_preface(
    stream: &mut (impl AsyncRead + Unpin),
    beginning: &mut [u8; PREFACE.len()],
) -> io::Result<usize> {
    let mut read = 0;
    while read < PREFACE.len() && PREFACE.starts_with(&beginning[..read]) {
        match stream.read(&mut beginning[read..]).await? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, beginning, unread } = &mut *self;
        if unread.start == unread.end {
            return Pin::new(stream).poll_read(cx, buf);
        }
        let fits = unread.start..unread.end.min(unread.start + buf.remaining());
        unread.start = fits.end;
        buf.put_slice(&beginning[fits]);
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // The bytes that follow are returned by the same read. hyper would double its buffer of 8 KiB after a read that
        // returns the first bytes alone.
        match Pin::new(stream).poll_read(cx, buf) {
            Poll::Pending => Poll::Ready(Ok(())),
            ready => ready,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    delegate_writes!();

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Transport> Transport for Rewind<S> {
    fn take_error(&self) -> Option<io::Error> {
        self.stream.take_error()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, DuplexStream, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn after(beginning: &[u8]) -> (DuplexStream, io::Result<(HttpVersion, Rewind<DuplexStream>)>) {
        let (near, mut far) = duplex(256);
        far.write_all(beginning).await.unwrap();
        (far, detect(near, LIMIT).await)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_begin_is_given_up() {
        for beginning in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            let (_far, opened) = after(beginning).await;
            assert_eq!(opened.err().unwrap().kind(), io::ErrorKind::TimedOut, "{beginning:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn drops_do_not_make_the_time_longer() {
        let (near, mut far) = duplex(256);
        let dripping = tokio::spawn(async move {
            for byte in PREFACE {
                far.write_all(&[*byte]).await.unwrap();
                sleep(LIMIT / 3).await;
            }
        });
        let begun = Instant::now();
        assert_eq!(detect(near, LIMIT).await.err().unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(1));
        dripping.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_begins_with_tells_its_http() {
        let two = [PREFACE.as_slice(), b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (beginning, http) in [
            (two.as_slice(), HttpVersion::Two),
            (b"GET / HTTP/1.1\r\n\r\n", HttpVersion::One),
            (b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", HttpVersion::One),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t", HttpVersion::One),
            (b"\x16\x03\x01", HttpVersion::One),
        ] {
            let (mut far, opened) = after(beginning).await;
            let (spoken, mut near) = opened.unwrap();
            assert_eq!(spoken, http, "{beginning:?}");
            assert_eq!(near.is_tls(), beginning[0] == 0x16, "{beginning:?}");
            // One read returns all bytes.
            let mut read = vec![0; 256];
            let count = near.read(&mut read).await.unwrap();
            assert_eq!(&read[..count], beginning);
            far.write_all(b"more").await.unwrap();
            assert_eq!(near.read(&mut read).await.unwrap(), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_may_be_read_in_sips_and_come_in_drops() {
        let (near, mut far) = duplex(256);
        let opening = tokio::spawn(detect(near, LIMIT));
        for byte in PREFACE {
            far.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let (http, mut near) = opening.await.unwrap().unwrap();
        assert_eq!(http, HttpVersion::Two);
        far.write_all(b"and on").await.unwrap();
        let mut read = [0; PREFACE.len() + 6];
        for sip in read.chunks_mut(7) {
            near.read_exact(sip).await.unwrap();
        }
        assert_eq!(read, *[PREFACE.as_slice(), b"and on"].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_it_is_clear_is_taken_to_speak_the_older() {
        for beginning in [&b""[..], b"PRI * HT"] {
            let (near, mut far) = duplex(256);
            far.write_all(beginning).await.unwrap();
            drop(far);
            let (http, mut near) = detect(near, LIMIT).await.unwrap();
            let mut read = Vec::new();
            near.read_to_end(&mut read).await.unwrap();
            assert_eq!((http, read.as_slice()), (HttpVersion::One, beginning));
        }
    }
}
