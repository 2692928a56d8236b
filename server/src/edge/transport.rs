//! The socket below a connection, whatever was put around it.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A byte stream of a client.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The error of a connection that the client has reset, if it has and nothing else met that error. A read meets it only
    /// behind all that came before.
    fn take_error(&self) -> Option<io::Error>;
}

impl Transport for TcpStream {
    fn take_error(&self) -> Option<io::Error> {
        TcpStream::take_error(self).unwrap_or_else(Some)
    }
}

impl<T: Transport> Transport for TlsStream<T> {
    fn take_error(&self) -> Option<io::Error> {
        self.get_ref().0.take_error()
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn take_error(&self) -> Option<io::Error> {
        None
    }
}
