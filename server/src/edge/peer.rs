//! Who is at the other end of a connection.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use rides_proto::ids::CarId;

use crate::{access::Principal, tls::DriversCertificate};

/// What is known of a client before it has said anything. Every request carries it in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it connects from. One of IPv4 is one of IPv4, however the system has it.
    pub address: IpAddr,
    /// The driver's certificate that it has shown, if it has.
    pub certificate: Option<Arc<DriversCertificate>>,
}

/// Whose calls are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Caller {
    /// By its id.
    Session(String),
    Car(CarId),
    /// By its first address.
    Home(IpAddr),
}

impl Peer {
    /// Who calls, as far as `principal` tells: many may share an address, and nobody a session.
    pub(super) fn caller(&self, principal: &Principal) -> Caller {
        match (principal.session(), &self.certificate) {
            (Some(session), _) => Caller::Session(session.id.clone()),
            (None, Some(certificate)) => Caller::Car(certificate.car),
            (None, None) => Caller::Home(home(self.address)),
        }
    }
}

/// The first of all the addresses of whoever has this one: of IPv6, that is 2⁶⁴.
pub(super) fn home(address: IpAddr) -> IpAddr {
    match address {
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
    fn one_home_has_many_addresses() {
        for (address, expected) in
            [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::1", "::1")]
        {
            assert_eq!(home(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
