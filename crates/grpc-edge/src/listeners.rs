//! The listening sockets of a port.

use std::{future::poll_fn, io, net::SocketAddr, task::Poll};

use tokio::net::{TcpListener, TcpStream};

/// The listening sockets, which take turns in accepting.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    /// The index of the socket that is polled first.
    next: usize,
}

impl Listeners {
    /// Returns the addresses of all sockets, with the actual port.
    ///
    /// # Errors
    /// If the system does not report an address.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Accepts the next connection. Sockets are polled in turn, so that a flood at one does not block the others.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| {
            for at in (0..self.sockets.len()).map(|n| (self.next + n) % self.sockets.len()) {
                if let Poll::Ready(accepted) = self.sockets[at].poll_accept(cx) {
                    self.next = at + 1;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl From<TcpListener> for Listeners {
    fn from(socket: TcpListener) -> Self {
        Self { sockets: vec![socket], next: 0 }
    }
}

impl From<Vec<TcpListener>> for Listeners {
    fn from(sockets: Vec<TcpListener>) -> Self {
        Self { sockets, next: 0 }
    }
}
