//! The client at the other end of a connection, and the caller that its calls are counted for.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use super::{Limits, tls::ClientCertificate};

/// The facts about a client that its connection alone tells. Every request has them in its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address of the client. An IPv4-mapped IPv6 address is converted to IPv4.
    pub address: IpAddr,
    /// The address that the client's calls count for in quotas: its IPv4 address, or its IPv6 /64 network by the first
    /// address. `None` if the address is exempt, because it stands for many clients.
    pub counted_address: Option<IpAddr>,
    /// The certificate that the client has presented in the TLS handshake, if any.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Peer {
    /// The client at `address`, under `limits`.
    pub fn new(address: IpAddr, certificate: Option<Arc<ClientCertificate>>, limits: &Limits) -> Self {
        let counted_address = (!limits.is_exempt(address)).then(|| network_of(address));
        Self { address, counted_address, certificate }
    }
}

/// The key under which calls are counted for quotas.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum QuotaKey {
    /// A caller, by the key that the authenticator gives.
    Principal(String),
    /// An IPv4 address, or an IPv6 /64 network by its first address.
    Network(IpAddr),
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
