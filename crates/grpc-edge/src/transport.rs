//! Access to the socket error of a connection, through the streams that wrap the socket.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A byte stream of a client.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Takes the pending error of the socket, for example after a reset by the client. A read would report it only
    /// after all bytes received before it.
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
