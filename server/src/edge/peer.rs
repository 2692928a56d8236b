//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rides_proto::ids::CarId;

/// What is known of a client before it has said anything. Every request carries it in its extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: IpAddr,
    /// The car that its certificate names, if it has shown one.
    pub car: Option<CarId>,
}

/// Whose calls are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Caller {
    Car(CarId),
    Address(IpAddr),
}

impl Peer {
    pub(super) fn caller(&self) -> Caller {
        self.car.map_or(Caller::Address(self.address), Caller::Car)
    }
}

/// The address that limits go by. Whoever has one IPv6 address has the 2⁶⁴ around it.
pub(super) fn address(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_home_is_one_address() {
        for (peer, expected) in [
            ("192.0.2.7:80", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
            ("[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::"),
            ("[::1]:80", "::1"),
        ] {
            assert_eq!(address(peer.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{peer}");
        }
    }
}
