//! The bytes on viewers' sockets: requests, and parsers of responses that read as little as possible.
//!
//! Pure. A parser takes bytes in pieces of any size, and reports each complete message.

pub(crate) mod frames;
mod grpc;
mod h1;
mod h2;

pub(crate) use grpc::framed;

/// The protocol of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Protocol {
    /// gRPC-Web over HTTP/1.1, as a page on a port without TLS uses it.
    Http1,
    /// gRPC over HTTP/2 without TLS.
    Http2,
}

/// A call, which may be made many times.
#[derive(Clone, Debug)]
pub(crate) struct RpcCall {
    /// The path, for example `/grpc.health.v1.Health/Check`.
    pub(crate) path: &'static str,
    /// The serialized request message.
    pub(crate) message: Vec<u8>,
    /// The value of the header `grpc-timeout`.
    pub(crate) timeout: Option<&'static str>,
    /// The bearer token of the header `authorization`.
    pub(crate) token: Option<String>,
}

impl RpcCall {
    /// Returns a call without a deadline and without a token.
    pub(crate) fn new(path: &'static str, message: Vec<u8>) -> Self {
        Self { path, message, timeout: None, token: None }
    }
}

/// An event of a parser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ParserEvent<'a> {
    /// A complete message. It is empty unless the contents are kept.
    Message(&'a [u8]),
    /// The end of the response.
    End,
}

/// An error of a connection: the peer violated the protocol, or refused the call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProtocolError(String);

impl ProtocolError {
    fn because(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// The client's side of a connection.
#[derive(Debug)]
pub(crate) enum ClientConnection {
    /// HTTP/1.1.
    H1(h1::ResponseParser),
    /// HTTP/2.
    H2(h2::Http2Client),
}

impl ClientConnection {
    /// Returns a connection on which nothing was sent. With `keep`, it passes on the contents of messages.
    pub(crate) fn new(protocol: Protocol, keep: bool) -> Self {
        match protocol {
            Protocol::Http1 => Self::H1(h1::ResponseParser::new(keep)),
            Protocol::Http2 => Self::H2(h2::Http2Client::new(keep)),
        }
    }

    /// Writes a call to `out`. The previous call must have ended.
    pub(crate) fn call(&mut self, call: &RpcCall, authority: &str, out: &mut Vec<u8>) {
        match self {
            Self::H1(_) => h1::request(call, authority, out),
            Self::H2(connection) => connection.request(call, authority, out),
        }
    }

    /// Parses received bytes, and writes what the protocol requires in return to `out`.
    ///
    /// # Errors
    /// When the peer refuses the call or violates the protocol.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        seen: impl FnMut(ParserEvent<'_>),
    ) -> Result<(), ProtocolError> {
        match self {
            Self::H1(connection) => connection.read(bytes, seen),
            Self::H2(connection) => connection.read(bytes, out, seen),
        }
    }
}
