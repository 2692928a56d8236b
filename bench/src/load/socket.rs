//! One client's connection.

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
use crate::wire::{Call, Connection, Protocol, Seen};

/// What is read at once. In the processor's cache, and more than a socket usually has.
pub(crate) const BUFFER: usize = 256 * 1024;
/// Connections from one address: it has about 28,000 ports.
const PER_ADDRESS: usize = 20_000;

/// How a client gets to its server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// `None`: from wherever the kernel likes.
    pub(crate) from: Option<IpAddr>,
    pub(crate) to: SocketAddr,
    /// Bytes that the kernel may keep for us, where it shall not decide.
    pub(crate) receive_buffer: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Connection,
    authority: String,
    /// Not sent yet.
    out: Vec<u8>,
    /// Bytes received.
    pub(super) received: u64,
}

impl Socket {
    /// Connects the `index`-th client of a target, in the background. Events come under its index.
    pub(super) fn connect(target: &Target, index: usize, keep: bool, registry: &Registry) -> Result<Self> {
        let from = match index / PER_ADDRESS {
            0 => None,
            nth => Some(Ipv4Addr::new(127, 0, 0, u8::try_from(1 + nth).context("too many clients")?).into()),
        };
        let route = Route { from, to: target.addr, receive_buffer: None };
        Self::open(route, target.protocol, keep, Token(index), registry)
    }

    /// Connects, in the background. `keep`: the contents of messages are wanted.
    pub(crate) fn open(
        route: Route,
        protocol: Protocol,
        keep: bool,
        token: Token,
        registry: &Registry,
    ) -> Result<Self> {
        let raw = RawSocket::new(Domain::IPV4, Type::STREAM, None).context("no more sockets")?;
        raw.set_nonblocking(true)?;
        raw.set_tcp_nodelay(true)?;
        // No port is left waiting when thousands are closed.
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
        let connection = Connection::new(protocol, keep);
        Ok(Self { stream, connection, authority: route.to.to_string(), out: Vec::new(), received: 0 })
    }

    /// Makes a call: at once, or as soon as there is a connection.
    pub(crate) fn call(&mut self, call: &Call) {
        self.connection.call(call, &self.authority, &mut self.out);
    }

    /// What is to be sent next, to add whatever bytes to.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends and reads what can be sent and read.
    pub(crate) fn advance(&mut self, buffer: &mut [u8], mut seen: impl FnMut(Seen<'_>)) -> Result<()> {
        self.send()?;
        // Less than was asked for: there is no more, and the next event will say when there is.
        while self.read(buffer, &mut seen)? == buffer.len() {}
        self.send()
    }

    /// Reads once. How many bytes there were: none, if there are none now.
    pub(crate) fn read(&mut self, buffer: &mut [u8], seen: impl FnMut(Seen<'_>)) -> Result<usize> {
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

    /// Sends what can be sent.
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
