//! A strict gRPC-Web client: any deviation from the protocol fails the test.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prost::Message;
use tonic::{Code, Status};

use super::http::{ConnectError, Http};

pub(crate) const PROTO: &str = "application/grpc-web+proto";
const PREFIX: usize = 5;
pub(crate) const TRAILERS: u8 = 0x80;

/// Returns `message` with its length prefix.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len().try_into().unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

/// Returns the request of a gRPC-Web call with one message.
pub(crate) fn call(path: &str, message: &impl Message) -> Request<Bytes> {
    Request::post(path).header("content-type", PROTO).header("x-grpc-web", "1").body(frame(message)).unwrap()
}

/// Makes a call and reads the response to its end.
pub(crate) async fn ask(http: &mut Http, request: Request<Bytes>) -> WebResponse {
    let mut stream = open(http, request).await;
    let mut messages = Vec::new();
    while let Some(message) = stream.next().await {
        messages.push(message);
    }
    WebResponse { messages, status: stream.status() }
}

/// Makes a call and returns the response as a stream.
pub(crate) async fn open(http: &mut Http, request: Request<Bytes>) -> Stream {
    Stream::new(http.open(request).await)
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct WebResponse {
    pub(crate) messages: Vec<Bytes>,
    pub(crate) status: Status,
}

impl WebResponse {
    /// Returns the message of a unary call that succeeded.
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status.code(), Code::Ok, "{:?}", self.status);
        assert_eq!(self.messages.len(), 1);
        M::decode(self.messages[0].clone()).unwrap()
    }
}

/// Makes a call and returns the response as a stream. Fails if the connection breaks.
pub(crate) async fn try_open(http: &mut Http, request: Request<Bytes>) -> Result<Stream, ConnectError> {
    Ok(Stream::new(http.try_open(request).await?))
}

/// The status of a call whose connection broke. It has a source, unlike a status from the server.
pub(crate) fn broken(why: impl Into<ConnectError>) -> Status {
    let mut status = Status::unavailable("the connection broke");
    status.set_source(Arc::from(why.into()));
    status
}

/// A response that is still being read.
pub(crate) struct Stream {
    headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    trailers: Option<HeaderMap>,
    broken: Option<Status>,
}

impl Stream {
    fn new(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers["content-type"], PROTO);
        let buffer = BytesMut::new();
        Self { headers: parts.headers, body, buffer, trailers: None, broken: None }
    }

    /// Returns the next message. Returns `None` at the end of the body and if the connection breaks. The body
    /// must not end within a frame.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some((flag, payload)) = self.take_frame() {
                assert!(self.trailers.is_none(), "something follows the trailers");
                match flag {
                    0 => return Some(payload),
                    TRAILERS => self.trailers = Some(parse_trailers(&payload)),
                    other => panic!("a frame with flag {other:#x}"),
                }
                continue;
            }
            match self.body.frame().await {
                Some(Err(error)) => {
                    self.broken = Some(broken(error));
                    return None;
                }
                Some(Ok(frame)) => {
                    let data = frame.into_data();
                    self.buffer.extend_from_slice(&data.expect("HTTP trailers, which no page can read"));
                }
                None => {
                    assert!(self.buffer.is_empty(), "the body ends within a frame");
                    return None;
                }
            }
        }
    }

    /// The status of the call after its end. It comes from the trailers in the body, or from the headers if the
    /// body had none.
    pub(crate) fn status(&self) -> Status {
        if let Some(broken) = &self.broken {
            return broken.clone();
        }
        let from = self.trailers.as_ref().unwrap_or(&self.headers);
        Status::from_header_map(from).expect("no status")
    }

    fn take_frame(&mut self) -> Option<(u8, Bytes)> {
        let mut prefix = self.buffer.get(..PREFIX)?;
        let (flag, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        self.buffer.advance(PREFIX);
        Some((flag, self.buffer.split_to(length).freeze()))
    }
}

pub(crate) fn parse_trailers(block: &[u8]) -> HeaderMap {
    let block = std::str::from_utf8(block).unwrap();
    let lines = block.strip_suffix("\r\n").expect("the last line is not ended").split("\r\n");
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a line without a colon");
            assert_eq!(name, name.to_ascii_lowercase());
            (name.parse::<HeaderName>().unwrap(), value.trim().parse::<HeaderValue>().unwrap())
        })
        .collect()
}
