//! The listening sockets of the server.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, ensure};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use super::ListenAddress;
use grpc_edge::Listeners;

/// The length of the kernel's queue of connections that are not accepted yet. The system may limit it further.
const BACKLOG: u32 = 1_024;
/// The number of attempts to find a port that is free on every address.
const TRIES: usize = 16;
/// The error code of a system without IPv6, or without IPv4.
#[cfg(unix)]
const NO_SUCH_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
#[cfg(windows)]
const NO_SUCH_FAMILY: i32 = 10047;

/// Binds the sockets.
///
/// # Errors
/// If a name cannot be resolved, or an address cannot be bound.
pub async fn open(listen: &ListenAddress) -> anyhow::Result<Listeners> {
    let sockets = match listen {
        ListenAddress::Loopbacks(port) => {
            bind_each(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], *port)?
        }
        ListenAddress::AllInterfaces(port) => vec![bind_all_interfaces(*port)?],
        ListenAddress::Address(address) => bind_each(&[address.ip()], address.port())?,
        ListenAddress::Host(name, port) => bind_each(&addresses_of(name).await?, *port)?,
    };
    Ok(sockets.into())
}

async fn addresses_of(name: &str) -> anyhow::Result<Vec<IpAddr>> {
    let found = lookup_host((name, 0)).await.with_context(|| format!("--listen: cannot resolve {name}"))?;
    let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    ensure!(!addresses.is_empty(), "--listen: {name} has no address");
    Ok(addresses)
}

/// Binds one socket for IPv6 and IPv4, or for IPv4 only if the system has no IPv6.
fn bind_all_interfaces(port: u16) -> anyhow::Result<TcpListener> {
    let [v6, v4] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    let [v6, v4] = [v6, v4].map(|ip: IpAddr| SocketAddr::new(ip, port));
    match bind(v6, true) {
        Err(error) if is_absent(&error) => bind(v4, false).map_err(|why| refused(v4, &why)),
        bound => bound.map_err(|why| refused(v6, &why)),
    }
}

/// Binds a socket for each of `ips`, all with one port. An address that this machine does not have, for example `::1`
/// without IPv6, is left out if another one can be bound.
fn bind_each(ips: &[IpAddr], port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut tries = if port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match try_all(ips, port) {
            Err((_, why)) if why.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            tried => return tried.map_err(|(address, why)| refused(address, &why)),
        }
    }
}

fn try_all(ips: &[IpAddr], mut port: u16) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let (mut sockets, mut absent) = (Vec::new(), None);
    for &ip in ips {
        let address = SocketAddr::new(ip, port);
        let bound = bind(address, false).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
        match bound {
            Ok((picked, socket)) => {
                port = picked;
                sockets.push(socket);
            }
            Err(why) if is_absent(&why) => absent = Some((address, why)),
            Err(why) => return Err((address, why)),
        }
    }
    match absent {
        Some(absent) if sockets.is_empty() => Err(absent),
        _ => Ok(sockets),
    }
}

fn bind(address: SocketAddr, and_v4: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a previous server may still be closing. Not on Windows: there the option would share the port with
    // another program.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    if and_v4 {
        SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

fn refused(address: SocketAddr, why: &io::Error) -> anyhow::Error {
    let hint = match why.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there; stop it, or choose another port, for example by --listen 8081"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 may need CAP_NET_BIND_SERVICE; choose another port, for example by --listen 8080"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
        _ => "",
    };
    anyhow::anyhow!("cannot listen on {address}: {why}{hint}")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    async fn open(listen: ListenAddress) -> Listeners {
        super::open(&listen).await.unwrap()
    }

    /// Returns `true` if this machine has `::1`. Some containers do not.
    fn has_ipv6() -> bool {
        std::net::TcpListener::bind("[::1]:0").is_ok()
    }

    async fn connects(ip: impl Into<IpAddr>, port: u16) -> bool {
        TcpStream::connect(SocketAddr::new(ip.into(), port)).await.is_ok()
    }

    #[tokio::test]
    async fn both_loopbacks_have_the_port_that_was_picked() {
        let addresses = open(ListenAddress::Loopbacks(0)).await.addresses().unwrap();
        let ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
        assert_eq!(addresses.len(), if has_ipv6() { 2 } else { 1 });
    }

    #[tokio::test]
    async fn all_interfaces_are_ipv4_and_ipv6_on_one_port() {
        let listeners = open(ListenAddress::AllInterfaces(0)).await;
        let port = listeners.addresses().unwrap()[0].port();
        assert!(connects(Ipv4Addr::LOCALHOST, port).await);
        assert_eq!(connects(Ipv6Addr::LOCALHOST, port).await, has_ipv6());
    }

    #[tokio::test]
    async fn an_address_that_is_asked_for_is_the_only_one() {
        let listeners = open(ListenAddress::Address((Ipv4Addr::LOCALHOST, 0).into())).await;
        let port = listeners.addresses().unwrap()[0].port();
        assert!(connects(Ipv4Addr::LOCALHOST, port).await);
        assert!(!connects(Ipv6Addr::LOCALHOST, port).await);
    }

    #[tokio::test]
    async fn a_loopback_that_another_program_has_is_named() {
        let Ok(taken) = TcpListener::bind("[::1]:0").await else { return };
        let address = taken.local_addr().unwrap();
        let why = super::open(&ListenAddress::Loopbacks(address.port())).await.err().unwrap().to_string();
        assert!(why.starts_with(&format!("cannot listen on {address}: ")), "{why}");
        assert!(why.contains("another program listens there"), "{why}");
    }

    #[test]
    fn an_address_that_a_machine_does_not_have_is_left_out_if_there_are_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        // The first is an address for documentation (RFC 5737), which no machine has.
        let [nowhere, here] = ["192.0.2.1", "127.0.0.1"].map(|ip| ip.parse().unwrap());
        assert_eq!(bind_each(&[nowhere, here], 0).unwrap().len(), 1);
        let why = bind_each(&[nowhere], 0).unwrap_err().to_string();
        assert!(why.contains("192.0.2.1:0") && why.contains("does not have"), "{why}");
    }

    #[tokio::test]
    async fn sockets_take_turns() {
        let mut listeners = open(ListenAddress::Loopbacks(0)).await;
        let [first, second] = listeners.addresses().unwrap()[..] else { return assert!(!has_ipv6()) };
        let mut clients = Vec::new();
        for address in [first, first, second, second] {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut accepted = Vec::new();
        for _ in &clients {
            accepted.push(listeners.accept().await.unwrap().1.is_ipv4());
        }
        assert_eq!(accepted, [true, false, true, false]);
    }
}
