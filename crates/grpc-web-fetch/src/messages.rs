//! The messages of a call, and its status. A call never ends without a status.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use prost::Message;
use tonic::{Code, Status};

use crate::{
    frames::{Frame, FrameError, FrameReader},
    metadata::Metadata,
    tap::{Direction, TappedCall},
    transport::Body,
};

type Item = Result<Bytes, Status>;

/// The encoded messages of a call, from before its request is sent to its end.
///
/// An error is the last item. A stream that ends without one ended with OK. Dropping it cancels the call.
pub struct MessageStream(Pin<Box<dyn Stream<Item = Item>>>);

impl MessageStream {
    /// Wraps a stream of encoded messages, for example of a test.
    pub fn new(messages: impl Stream<Item = Item> + 'static) -> Self {
        Self(Box::pin(messages))
    }

    /// Returns the message of a unary call, after its end: the last one, if the server has sent several.
    ///
    /// # Errors
    /// The status of the call, or INTERNAL if the call ended with OK and without a message.
    pub async fn only(mut self) -> Result<Bytes, Status> {
        let mut only = None;
        while let Some(message) = self.next().await {
            only = Some(message?);
        }
        only.ok_or_else(|| Status::internal("the server sent OK without a message"))
    }
}

impl Stream for MessageStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// Decodes a message.
///
/// # Errors
/// INTERNAL if the bytes are not a message of this type.
pub fn decode<A: Message + Default>(message: Bytes) -> Result<A, Status> {
    A::decode(message).map_err(|_which_field| Status::internal("the server sent a message of another type"))
}

/// The messages of a server-streaming call, as a [`MessageStream`] that decodes them.
pub struct Streaming<A> {
    messages: MessageStream,
    types: PhantomData<fn() -> A>,
}

impl<A> Streaming<A> {
    pub(crate) fn new(messages: MessageStream) -> Self {
        Self { messages, types: PhantomData }
    }
}

impl<A: Message + Default> Streaming<A> {
    /// Returns the next message, or `None` after the end of a call that ended with OK.
    ///
    /// # Errors
    /// The status of the call, or INTERNAL if the message is not of this type.
    pub async fn message(&mut self) -> Result<Option<A>, Status> {
        self.next().await.transpose()
    }
}

impl<A: Message + Default> Stream for Streaming<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_next_unpin(cx).map(|item| item.map(|message| decode(message?)))
    }
}

/// The messages in the body of one response.
pub(crate) struct ResponseMessages<B> {
    /// `None` once the rest of the body does not matter.
    body: Option<B>,
    reader: FrameReader,
    /// The status of a call whose body has none. `None` once the call has ended.
    without_status: Option<Status>,
    call: TappedCall,
}

impl<B: Body> ResponseMessages<B> {
    pub(crate) fn new(body: Option<B>, without_status: Status, max_message: u32, call: TappedCall) -> Self {
        Self { body, reader: FrameReader::new(max_message), without_status: Some(without_status), call }
    }

    /// Returns the next frame of the body, or `None` at its end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Status>>> {
        loop {
            match self.reader.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(status_of(&error)))),
            }
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_next(cx)) {
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

    /// Ends the call. Without trailers of the server, the rest of the call is cancelled.
    fn end(&mut self, status: Status, trailers: Option<Metadata>) -> Option<Item> {
        self.without_status = None;
        if let (Some(mut body), Some(_)) = (self.body.take(), &trailers) {
            body.complete();
        }
        self.call.end(&status, trailers.unwrap_or_default());
        (status.code() != Code::Ok).then_some(Err(status))
    }
}

impl<B: Body> Stream for ResponseMessages<B> {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
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
                    // Some proxies send an empty trailer frame before the real one, or beside a status in the headers.
                    None => continue,
                },
                Some(Err(status)) => self.end(status, None),
                None => self.without_status.take().and_then(|status| self.end(status, None)),
            };
            return Poll::Ready(item);
        }
    }
}

fn status_of(error: &FrameError) -> Status {
    let code = match error {
        FrameError::TooLong(_) => Code::ResourceExhausted,
        FrameError::Flag(_) | FrameError::Trailers => Code::Internal,
    };
    Status::new(code, error.to_string())
}
