//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rides_proto::ids::CarId;

use crate::access::Principal;

/// What is known of a client before it has said anything. Every request carries it in its extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: IpAddr,
    /// The car that its certificate names, if it has shown one.
    pub car: Option<CarId>,
}

/// Whose calls are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Caller {
    /// By its id.
    Session(String),
    Car(CarId),
    Address(IpAddr),
}

impl Peer {
    /// Who calls, as far as `principal` tells: many may share an address, and nobody a session.
    pub(super) fn caller(&self, principal: &Principal) -> Caller {
        match (principal.session(), self.car) {
            (Some(session), _) => Caller::Session(session.id.clone()),
            (None, Some(car)) => Caller::Car(car),
            (None, None) => Caller::Address(self.address),
        }
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
