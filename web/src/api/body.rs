//! A response body as tonic wants it: message bytes, then trailers, never a silent end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::{
    frames::{BadFrame, FrameReader, Piece},
    tap::{Direction, TappedCall},
    transport::{Chunks, STATUS_HEADERS},
};

/// The body of one call's response. Dropping it before its end gives the call up.
pub struct ResponseBody<C> {
    /// `None` once nothing more is to be read.
    chunks: Option<C>,
    chunk: Bytes,
    reader: FrameReader,
    /// How the call ends if the body brings no status; taken when it has ended.
    without_status: Option<Result<HeaderMap, Status>>,
    call: TappedCall,
}

impl<C: Chunks> ResponseBody<C> {
    pub(super) fn new(
        chunks: Option<C>,
        without_status: Result<HeaderMap, Status>,
        call: TappedCall,
    ) -> Self {
        Self {
            chunks,
            chunk: Bytes::new(),
            reader: FrameReader::default(),
            without_status: Some(without_status),
            call,
        }
    }

    /// The next piece of the body; `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Status>>> {
        loop {
            match self.reader.next(&mut self.chunk) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => {}
                Err(bad) => return Poll::Ready(Some(Err(status_of_frame(&bad)))),
            }
            let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
            match ready!(Pin::new(chunks).poll_next(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(text)) => return Poll::Ready(Some(Err(Status::unavailable(text)))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The server ended the call.
    fn end_with_trailers(&mut self, trailers: HeaderMap) -> Frame<Bytes> {
        self.without_status = None;
        if let Some(mut chunks) = self.chunks.take() {
            chunks.complete();
        }
        let status = Status::from_header_map(&trailers).unwrap_or_else(|| Status::new(Code::Ok, ""));
        self.call.end(&status);
        Frame::trailers(trailers)
    }

    /// The call ended without the server's word; what is left of the request is given up.
    fn end_with_error(&mut self, status: Status) -> Status {
        self.without_status = None;
        self.chunks = None;
        self.call.end(&status);
        status
    }
}

impl<C: Chunks> Body for ResponseBody<C> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.without_status.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let frame = match ready!(self.poll_piece(cx)) {
                Some(Ok(Piece::Message { header, len })) => {
                    self.call.frame(Direction::In, len);
                    Ok(Frame::data(header))
                }
                Some(Ok(Piece::Data(data))) => Ok(Frame::data(data)),
                // Some proxies send an empty trailer frame ahead of the real one, or beside a status in the
                // headers: it says nothing.
                Some(Ok(Piece::Trailers(trailers))) if !trailers.contains_key(&STATUS_HEADERS[0]) => continue,
                Some(Ok(Piece::Trailers(trailers))) => Ok(self.end_with_trailers(trailers)),
                Some(Err(status)) => Err(self.end_with_error(status)),
                None if !self.reader.at_boundary() => {
                    Err(self.end_with_error(Status::unavailable("the connection broke inside a message")))
                }
                None => match self.without_status.take() {
                    Some(Ok(trailers)) => Ok(self.end_with_trailers(trailers)),
                    Some(Err(status)) => Err(self.end_with_error(status)),
                    None => return Poll::Ready(None),
                },
            };
            return Poll::Ready(Some(frame));
        }
    }
}

fn status_of_frame(bad: &BadFrame) -> Status {
    let code = match bad {
        BadFrame::TooLong(_) => Code::ResourceExhausted,
        BadFrame::Flag(_) | BadFrame::Trailers => Code::Internal,
    };
    Status::new(code, bad.to_string())
}
