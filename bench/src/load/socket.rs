//! The connection of one client.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use mio::{Interest, Registry, Token, net::TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Socket as RawSocket, Type};

use super::Target;
use crate::wire::{ClientConnection, ParserEvent, Protocol, RpcCall};

/// The size of the shared read buffer in bytes: it fits into the processor's cache, and a socket rarely has more.
pub(crate) const BUFFER: usize = 256 * 1024;
/// The number of connections from one source address, which has about 28,000 ephemeral ports.
const PER_ADDRESS: usize = 20_000;

/// The addresses of a connection, and its receive buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// The source address. `None` leaves it to the kernel.
    pub(crate) from: Option<IpAddr>,
    pub(crate) to: SocketAddr,
    /// The size of the receive buffer in bytes. `None` leaves it to the kernel.
    pub(crate) receive_buffer: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection: ClientConnection,
    authority: String,
    /// Bytes that are not sent yet.
    out: Vec<u8>,
    /// The number of bytes received.
    pub(super) received: u64,
}

impl Socket {
    /// Starts to connect the `index`-th client of a target. Its token in the poller is the index.
    pub(super) fn connect(target: &Target, index: usize, keep: bool, registry: &Registry) -> Result<Self> {
        let from = match index / PER_ADDRESS {
            0 => None,
            nth => Some(Ipv4Addr::new(127, 0, 0, u8::try_from(1 + nth).context("too many clients")?).into()),
        };
        let route = Route { from, to: target.addr, receive_buffer: None };
        Self::open(route, target.protocol, keep, Token(index), registry)
    }

    /// Starts to connect. With `keep`, the reader passes on the contents of messages.
    pub(crate) fn open(
        route: Route,
        protocol: Protocol,
        keep: bool,
        token: Token,
        registry: &Registry,
    ) -> Result<Self> {
        let raw = RawSocket::new(Domain::IPV4, Type::STREAM, None).context("cannot make a socket")?;
        raw.set_nonblocking(true)?;
        raw.set_tcp_nodelay(true)?;
        // A close resets the connection, so that no port stays in TIME_WAIT when thousands are closed.
        raw.set_linger(Some(Duration::ZERO))?;
        if let Some(bytes) = route.receive_buffer {
            raw.set_recv_buffer_size(bytes)?;
        }
        if let Some(from) = route.from {
            raw.bind(&SocketAddr::new(from, 0).into())?;
        }
        match raw.connect(&route.to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).context("cannot connect");
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(raw.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let connection = ClientConnection::new(protocol, keep);
        Ok(Self { stream, connection, authority: route.to.to_string(), out: Vec::new(), received: 0 })
    }

    /// Queues a call. It is sent when the socket next sends, once connected.
    pub(crate) fn call(&mut self, call: &RpcCall) {
        self.connection.call(call, &self.authority, &mut self.out);
    }

    /// Returns the buffer of bytes to send, to which any bytes may be added.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends and reads as much as possible without waiting.
    pub(crate) fn advance(&mut self, buffer: &mut [u8], mut seen: impl FnMut(ParserEvent<'_>)) -> Result<()> {
        self.send()?;
        // A short read means that the socket is empty. The next event reports new bytes.
        while self.read(buffer, &mut seen)? == buffer.len() {}
        self.send()
    }

    /// Reads once. Returns the number of bytes, or 0 if none are available now.
    pub(crate) fn read(&mut self, buffer: &mut [u8], seen: impl FnMut(ParserEvent<'_>)) -> Result<usize> {
        let length = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => length,
            Err(error) if is_not_now(&error) => return Ok(0),
            Err(error) => return Err(error).context("the connection broke"),
        };
        self.received += length as u64;
        self.connection.read(&buffer[..length], &mut self.out, seen)?;
        Ok(length)
    }

    /// Sends as much as possible without waiting.
    pub(crate) fn send(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if is_not_now(&error) => break,
                Err(error) => return Err(error).context("the connection broke"),
            }
        }
        Ok(())
    }
}

fn is_not_now(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(error.kind(), WouldBlock | NotConnected | Interrupted)
}
