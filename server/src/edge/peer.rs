//! The client at the other end of a connection, and the caller that its calls are counted for.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use rides_proto::ids::CarId;

use crate::{access::Principal, tls::DriverCertificate};

/// The facts about a client that its connection alone tells. Every request has them in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the client. An IPv4-mapped IPv6 address is converted to IPv4.
    pub address: IpAddr,
    /// The driver's certificate that the client has presented in the TLS handshake, if any.
    pub certificate: Option<Arc<DriverCertificate>>,
}

/// The key under which calls are counted for quotas.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Caller {
    /// A session, by its id.
    Session(String),
    /// A car, by its client certificate.
    Car(CarId),
    /// An IPv4 address, or an IPv6 /64 network by its first address.
    Network(IpAddr),
}

impl Peer {
    /// Returns the most specific key of a call: the session of its `principal`, else the car of its certificate, else its
    /// address. Many clients may share an address.
    pub(super) fn caller(&self, principal: &Principal) -> Caller {
        match (principal.session(), &self.certificate) {
            (Some(session), _) => Caller::Session(session.id.clone()),
            (None, Some(certificate)) => Caller::Car(certificate.car),
            (None, None) => Caller::Network(network_of(self.address)),
        }
    }
}

/// Returns the address under which a client is counted: an IPv4 or loopback address itself, and the first address of
/// the /64 network of any other IPv6 address, since one client has the whole network.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
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
            assert_eq!(
                network_of(address.parse().unwrap()),
                expected.parse::<IpAddr>().unwrap(),
                "{address}"
            );
        }
    }
}
