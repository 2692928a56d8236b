//! The messages of one call's answer, and then how it ended: never a silent end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use tonic::{Code, Status};

use super::{
    frames::{BadFrame, Frame, FrameReader},
    status::Metadata,
    tap::{Direction, TappedCall},
    transport::Chunks,
};

/// The messages of one call, still encoded. Ends after an error or, when the call ended with OK, without.
/// Dropping it before its end gives the call up.
pub struct Messages<C> {
    /// `None` once nothing more is to be read.
    chunks: Option<C>,
    reader: FrameReader,
    /// How the call ends if the body brings no status; taken when it has ended.
    without_status: Option<Status>,
    call: TappedCall,
}

impl<C: Chunks> Messages<C> {
    pub(super) fn new(chunks: Option<C>, without_status: Status, call: TappedCall) -> Self {
        Self { chunks, reader: FrameReader::default(), without_status: Some(without_status), call }
    }

    /// The next frame of the body; `None` at its end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Status>>> {
        loop {
            match self.reader.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(bad) => return Poll::Ready(Some(Err(status_of_frame(&bad)))),
            }
            let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
            match ready!(Pin::new(chunks).poll_next(cx)) {
                Some(Ok(chunk)) => self.reader.push(&chunk),
                Some(Err(text)) => return Poll::Ready(Some(Err(Status::unavailable(text)))),
                None if self.reader.at_boundary() => return Poll::Ready(None),
                None => {
                    let cut = Status::unavailable("the connection broke inside a message");
                    return Poll::Ready(Some(Err(cut)));
                }
            }
        }
    }

    /// The call is over. Without the server's word for it, what is left of it is given up.
    fn end(&mut self, status: Status, trailers: Option<Metadata>) -> Option<Result<Bytes, Status>> {
        self.without_status = None;
        if let (Some(mut chunks), Some(_)) = (self.chunks.take(), &trailers) {
            chunks.complete();
        }
        self.call.end(&status, trailers.unwrap_or_default());
        (status.code() != Code::Ok).then_some(Err(status))
    }
}

impl<C: Chunks> Stream for Messages<C> {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.without_status.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let item = match ready!(self.poll_frame(cx)) {
                Some(Ok(Frame::Message(message))) => {
                    self.call.frame(Direction::In, message.len() as u32);
                    Some(Ok(message))
                }
                Some(Ok(Frame::Trailers(trailers))) => match trailers.status() {
                    Some(status) => self.end(status, Some(trailers)),
                    // Some proxies send an empty trailer frame ahead of the real one, or beside a status in
                    // the headers: it says nothing.
                    None => continue,
                },
                Some(Err(status)) => self.end(status, None),
                None => self.without_status.take().and_then(|status| self.end(status, None)),
            };
            return Poll::Ready(item);
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
