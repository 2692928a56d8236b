//! What goes over the sockets of viewers: requests as bytes, and readers of answers that look at no more than they must.
//!
//! Pure. A reader is given what came, in whatever pieces, and says when a message was complete.

pub(crate) mod frames;
mod grpc;
mod h1;
mod h2;

pub(crate) use grpc::framed;

/// How a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Protocol {
    /// gRPC-Web over HTTP/1.1, as a page on a plain port does.
    Http1,
    /// gRPC over HTTP/2 in the clear.
    Http2,
}

/// One call, which may be made many times.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Like `/grpc.health.v1.Health/Check`.
    pub(crate) path: &'static str,
    /// The request, serialized.
    pub(crate) message: Vec<u8>,
    /// For `grpc-timeout`.
    pub(crate) timeout: Option<&'static str>,
    /// For `authorization`.
    pub(crate) token: Option<String>,
}

impl Call {
    /// Without a deadline, by anybody.
    pub(crate) fn new(path: &'static str, message: Vec<u8>) -> Self {
        Self { path, message, timeout: None, token: None }
    }
}

/// What a reader saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen<'a> {
    /// A message, complete. It is empty where nobody wants its contents.
    Message(&'a [u8]),
    /// The answer is over.
    End,
}

/// The peer does not speak as it must, or refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

impl Broken {
    fn because(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// The client's end of one connection.
#[derive(Debug)]
pub(crate) enum Connection {
    /// HTTP/1.1.
    H1(h1::Connection),
    /// HTTP/2.
    H2(h2::Connection),
}

impl Connection {
    /// Nothing was said yet. `keep`: the contents of messages are wanted.
    pub(crate) fn new(protocol: Protocol, keep: bool) -> Self {
        match protocol {
            Protocol::Http1 => Self::H1(h1::Connection::new(keep)),
            Protocol::Http2 => Self::H2(h2::Connection::new(keep)),
        }
    }

    /// Writes what makes the call to `out`. The call before it must be over.
    pub(crate) fn call(&mut self, call: &Call, authority: &str, out: &mut Vec<u8>) {
        match self {
            Self::H1(_) => h1::request(call, authority, out),
            Self::H2(connection) => connection.request(call, authority, out),
        }
    }

    /// Reads what came, and writes what must be said to it to `out`.
    ///
    /// # Errors
    /// When the peer refuses the call or cannot be understood.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        seen: impl FnMut(Seen<'_>),
    ) -> Result<(), Broken> {
        match self {
            Self::H1(connection) => connection.read(bytes, seen),
            Self::H2(connection) => connection.read(bytes, out, seen),
        }
    }
}
