//! Messages for the error responses that hyper sends by itself over HTTP/1.1.
//!
//! hyper responds to a request that it cannot parse with a status and an empty body, and offers no way to set a body. A
//! browser shows an empty page for it. The stream in this module adds a message to such a response when it is written.
//!
//! Nothing else can be mistaken for such a response. It is the last one on its connection, and begins with the first
//! bytes after a flush. The other writes after a flush begin with a response that has other headers, or with a part of
//! a body: the size of a chunk, a frame of gRPC-Web, or a part of a file of the page. No client controls the first
//! bytes of any of these.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::Status;

use super::{
    header_size::HeaderSize,
    status::{self, malformed},
    trace_id::TraceId,
    wrong_protocol::TLS_ON_PLAIN_PORT,
};

/// The first header of hyper's own responses. [`EMPTY`] follows it. No other response of this server has these headers
/// in this order.
const CLOSE: &[u8] = b"\r\nconnection: close\r\n";
/// The second header of hyper's own responses.
const EMPTY: &[u8] = b"content-length: 0\r\n";

/// A stream that adds messages to hyper's own error responses.
pub(super) struct ErrorBodies<S> {
    stream: S,
    /// `None` over HTTP/2, which has no such responses.
    words: Option<ErrorMessages>,
    /// hyper has flushed everything that it has written.
    is_flushed: bool,
    /// The part of a replaced response that is still to be written. hyper was told that all of it was written.
    rest: Vec<u8>,
}

/// The messages for the errors of one connection.
#[derive(Clone, Copy)]
pub(super) struct ErrorMessages {
    pub(super) domain: &'static str,
    pub(super) header_size: HeaderSize,
    /// The client speaks TLS to a port without TLS.
    pub(super) is_tls: bool,
}

impl<S> ErrorBodies<S> {
    pub(super) fn new(stream: S, words: Option<ErrorMessages>) -> Self {
        Self { stream, words, is_flushed: true, rest: Vec::new() }
    }
}

impl ErrorMessages {
    /// Returns the response to send instead of `written`, if that is one of hyper's own error responses.
    fn replacement_for(self, written: &[u8]) -> Option<Vec<u8>> {
        let code = status_of_refusal(written)?;
        let head = written.strip_suffix(b"\r\n\r\n")?;
        let at = head.windows(EMPTY.len()).position(|window| window == EMPTY)?;
        let (before, after) = (&head[..at], &head[at + EMPTY.len()..]);

        let (headers, body) = self.say(code)?;
        let mut instead = before.to_vec();
        for (name, value) in &headers {
            instead.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        instead.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
        instead.extend([after, b"\r\n\r\n", body.as_bytes()].concat());
        Some(instead)
    }

    /// Returns the headers and the body of the response with `code`, or `None` for a code without a message.
    fn say(self, code: StatusCode) -> Option<(HeaderMap, String)> {
        let status: Status = match code {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => self.header_size.exceeded(),
            StatusCode::URI_TOO_LONG => {
                malformed("the path and the query of this request are longer than 65,534 bytes")
            }
            StatusCode::BAD_REQUEST if self.is_tls => malformed(TLS_ON_PLAIN_PORT),
            StatusCode::BAD_REQUEST => malformed(
                "this is no HTTP request: its method, path, version or one of its headers cannot be read",
            ),
            _ => return None,
        };
        let response = status::over_http(code, &status, &TraceId::of(&HeaderMap::new(), self.domain));
        Some((response.into_parts().0.headers, format!("{}\n", status.message())))
    }
}

/// Returns the status code of one of hyper's own error responses, and `None` for any other bytes.
fn status_of_refusal(written: &[u8]) -> Option<StatusCode> {
    let line = written.strip_prefix(b"HTTP/1.1 ")?;
    let end = line.windows(2).position(|window| window == b"\r\n")?;
    let headers = line[end..].strip_prefix(CLOSE)?;
    headers.starts_with(EMPTY).then(|| StatusCode::from_bytes(line.get(..3)?).ok())?
}

impl<S: AsyncWrite + Unpin> ErrorBodies<S> {
    /// Writes the rest of a replaced response.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.rest.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ErrorBodies<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ErrorBodies<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        let words = self.words.filter(|_| self.is_flushed);
        self.is_flushed = false;
        match words.and_then(|words| words.replacement_for(bytes)) {
            Some(instead) => {
                self.rest = instead;
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(cx, only),
            _ => {
                ready!(self.poll_rest(cx))?;
                self.is_flushed = false;
                Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        self.is_flushed = true;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
