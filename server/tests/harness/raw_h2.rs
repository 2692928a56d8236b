//! HTTP/2 frame by frame, for requests that no client library sends.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
/// The initial window of a stream in bytes, if the settings have none (RFC 9113, section 6.9.2).
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The sending half of a connection.
pub(crate) struct FrameSender(OwnedWriteHalf);

/// The receiving half of a connection.
pub(crate) struct FrameReceiver(OwnedReadHalf);

/// A received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Opens a connection and sends the preface and empty settings.
pub(crate) async fn connect(addr: SocketAddr) -> (FrameSender, FrameReceiver) {
    on(TcpStream::connect(addr).await.unwrap()).await
}

/// Sends the preface and empty settings on `stream`.
pub(crate) async fn on(stream: TcpStream) -> (FrameSender, FrameReceiver) {
    let (down, up) = stream.into_split();
    let mut up = FrameSender(up);
    up.0.write_all(PREFACE).await.unwrap();
    up.send(SETTINGS, 0, 0, &[]).await.unwrap();
    (up, FrameReceiver(down))
}

impl FrameSender {
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await
    }

    /// Sends a complete call with an empty message.
    pub(crate) async fn ask(&mut self, stream: u32, content_type: &str, path: &str) -> io::Result<()> {
        self.send(HEADERS, END_HEADERS, stream, &call_as(content_type, path)).await?;
        self.send(DATA, END_STREAM, stream, &[0; 5]).await
    }

    /// Resets the stream of a call with `CANCEL`.
    pub(crate) async fn cancel(&mut self, stream: u32) -> io::Result<()> {
        self.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).await
    }

    /// Sends the headers of a native call and leaves its body open.
    pub(crate) async fn call(&mut self, stream: u32, path: &str) -> io::Result<()> {
        self.send(HEADERS, END_HEADERS, stream, &call(path)).await
    }
}

impl FrameReceiver {
    /// Returns the next frame, or `None` if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, stream: u32::from_be_bytes(stream), payload })
    }

    /// Returns the next frame of `stream`, or `None` if the connection ends first.
    pub(crate) async fn next_on(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.stream == stream {
                return Some(frame);
            }
        }
    }

    /// Returns the next frame of this kind, or `None` if the connection ends first.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

impl Frame {
    /// The last stream id of a GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// The error code of a GOAWAY or RST_STREAM.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// Returns the value of `setting` in a SETTINGS frame.
    pub(crate) fn setting(&self, setting: u16) -> Option<u32> {
        let mut settings = self.payload.chunks(6);
        let found = settings.find(|bytes| bytes[..2] == setting.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
    }
}

/// The headers of a native call.
pub(crate) fn call(path: &str) -> Vec<u8> {
    call_as("application/grpc", path)
}

fn call_as(content_type: &str, path: &str) -> Vec<u8> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", content_type),
        ("te", "trailers"),
    ]
    .iter()
    .flat_map(|(name, value)| header(name, value))
    .collect()
}

/// A literal header field without indexing, the simplest form in HPACK (RFC 7541, section 6.2.2).
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}
