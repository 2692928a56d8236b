//! The value of `--listen`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// The addresses to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// `localhost:8080` or `8080`: both loopback addresses.
    Loopbacks(u16),
    /// `:8080` or `*:8080`: all interfaces, over IPv6 and IPv4.
    AllInterfaces(u16),
    /// `127.0.0.1:8080` or `[::1]:8080`: this address only.
    Address(SocketAddr),
    /// `rides.example:8080`: every address of the host name.
    Host(String, u16),
}

impl ListenAddress {
    /// Returns the host and port to open in a browser on this machine. `bound` is the first bound address.
    pub fn display_address(&self, bound: SocketAddr) -> String {
        let port = bound.port();
        match self {
            Self::Address(address) if !address.ip().is_unspecified() => bound.to_string(),
            Self::Loopbacks(_) | Self::AllInterfaces(_) | Self::Address(_) => format!("localhost:{port}"),
            Self::Host(name, _) => format!("{name}:{port}"),
        }
    }

    /// Returns the address at which this process can connect to itself. `bound` is the first bound address.
    pub fn local_address(&self, bound: SocketAddr) -> SocketAddr {
        let ip = match (self, bound.ip()) {
            // The socket accepts IPv4, too, and this machine may have no IPv6 loopback.
            (Self::AllInterfaces(_), _) => Ipv4Addr::LOCALHOST.into(),
            (_, IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            (_, IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            (_, ip) => ip,
        };
        SocketAddr::new(ip, bound.port())
    }

    /// Returns the host name, if one was given.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Host(name, _) => Some(name),
            Self::Loopbacks(_) | Self::AllInterfaces(_) | Self::Address(_) => None,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
        let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = port.and_then(|port| port.parse().ok());
        let port = port.ok_or("must end in a port from 0 to 65535, as in localhost:8080, :8080 or 8080")?;
        match host {
            "" | "*" => Ok(Self::AllInterfaces(port)),
            _ if host.eq_ignore_ascii_case("localhost") => Ok(Self::Loopbacks(port)),
            _ if host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) => {
                Ok(Self::Host(host.to_ascii_lowercase(), port))
            }
            _ if host.contains("://") => Err("must be HOST:PORT, without http://"),
            _ => Err("must be HOST:PORT, :PORT or PORT, with an IPv6 address in brackets, as in [::1]:8080"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn an_address_can_be_named_in_the_ways_that_people_try() {
        for (text, listen) in [
            ("localhost:8080", ListenAddress::Loopbacks(8080)),
            ("LocalHost:8080", ListenAddress::Loopbacks(8080)),
            ("8080", ListenAddress::Loopbacks(8080)),
            ("0", ListenAddress::Loopbacks(0)),
            (":8080", ListenAddress::AllInterfaces(8080)),
            ("*:8080", ListenAddress::AllInterfaces(8080)),
            ("127.0.0.1:0", ListenAddress::Address(bound("127.0.0.1:0"))),
            ("[::1]:8080", ListenAddress::Address(bound("[::1]:8080"))),
            ("0.0.0.0:80", ListenAddress::Address(bound("0.0.0.0:80"))),
            ("Rides.Example:443", ListenAddress::Host("rides.example".to_owned(), 443)),
        ] {
            assert_eq!(text.parse(), Ok(listen), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_is_missing() {
        for (text, says) in [
            ("", "must end in a port"),
            ("localhost", "must end in a port"),
            ("localhost:", "must end in a port"),
            ("127.0.0.1", "must end in a port"),
            ("[::1]", "must end in a port"),
            ("80800", "must end in a port"),
            ("localhost:http", "must end in a port"),
            ("localhost:+80", "must end in a port"),
            ("::1:8080", "in brackets"),
            ("http://localhost:8080", "without http://"),
            ("two words:80", "must be HOST:PORT"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn people_are_told_an_address_that_opens_and_the_simulation_uses_one_that_is_there() {
        for (text, address, people, from_here) in [
            ("8080", "127.0.0.1:8080", "localhost:8080", "127.0.0.1:8080"),
            ("localhost:0", "[::1]:4711", "localhost:4711", "[::1]:4711"),
            (":80", "[::]:80", "localhost:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "0.0.0.0:80", "localhost:80", "127.0.0.1:80"),
            ("[::]:80", "[::]:80", "localhost:80", "[::1]:80"),
            ("127.0.0.1:0", "127.0.0.1:4711", "127.0.0.1:4711", "127.0.0.1:4711"),
            ("[::1]:80", "[::1]:80", "[::1]:80", "[::1]:80"),
            ("192.168.1.7:80", "192.168.1.7:80", "192.168.1.7:80", "192.168.1.7:80"),
            ("rides.example:80", "192.168.1.7:80", "rides.example:80", "192.168.1.7:80"),
        ] {
            let listen: ListenAddress = text.parse().unwrap();
            assert_eq!(listen.display_address(bound(address)), people, "{text}");
            assert_eq!(listen.local_address(bound(address)), bound(from_here), "{text}");
        }
    }
}
