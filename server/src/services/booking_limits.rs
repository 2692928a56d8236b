//! The limits on open rides that apply to a booking. Pure.

use std::net::IpAddr;

use crate::{
    access::Principal,
    rides::open_ride_limits::{Holder, OpenRideLimit},
    sessions::{Role, Session},
};

/// The maximum numbers of rides that may be open at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookingLimits {
    /// The limit of one rider.
    pub open_rides: usize,
    /// The limit of all guests together that book from one address.
    pub open_rides_per_address: usize,
    /// The limit of all guests together that book from addresses without a limit of their own: proxies and NAT
    /// gateways, which stand for many callers.
    pub open_rides_at_exempt_addresses: usize,
}

/// The default values of the flags.
impl Default for BookingLimits {
    fn default() -> Self {
        Self { open_rides: 10, open_rides_per_address: 50, open_rides_at_exempt_addresses: 1_000 }
    }
}

impl BookingLimits {
    /// Returns the limits of a ride that `caller` books for `rider` from `address`. `address` is `None` if it stands
    /// for many callers.
    ///
    /// | caller | limits |
    /// | --- | --- |
    /// | guest | its rider, and all guests of its address, or of all addresses that stand for many callers |
    /// | session of an identity provider | its rider |
    /// | dispatcher | none |
    /// | no token | its rider and its address; none at an address that stands for many callers |
    ///
    /// Guests have a common limit because a new guest session costs nothing.
    pub(super) fn of(self, caller: &Principal, rider: &str, address: Option<IpAddr>) -> Vec<OpenRideLimit> {
        let of_rider = || {
            let holder = Holder::Rider(rider.to_owned());
            (!rider.is_empty()).then_some(OpenRideLimit { holder, max_open_rides: self.open_rides })
        };
        let of_address = address.map(|address| OpenRideLimit {
            holder: Holder::Address(address),
            max_open_rides: self.open_rides_per_address,
        });
        let of_exempt_addresses = OpenRideLimit {
            holder: Holder::ExemptAddresses,
            max_open_rides: self.open_rides_at_exempt_addresses,
        };
        let (rider, guests) = match caller {
            Principal::Authenticated(Session { role: Role::Dispatcher, .. }) => (None, None),
            Principal::Authenticated(Session { issued_here: false, .. }) => (of_rider(), None),
            Principal::Authenticated(_) => (of_rider(), of_address.or(Some(of_exempt_addresses))),
            Principal::Anonymous | Principal::Certificate(_) => {
                (address.and_then(|_| of_rider()), of_address)
            }
        };
        rider.into_iter().chain(guests).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// BAD-4
    #[test]
    fn the_limits_of_a_booking_depend_on_who_books() {
        let limits = BookingLimits::default();
        let session = |role| Session::new(role, "eve", SystemTime::UNIX_EPOCH);
        let guest = Principal::Authenticated(session(Role::Rider));
        let known = Principal::Authenticated(Session { issued_here: false, ..session(Role::Rider) });
        let dispatcher = Principal::Authenticated(session(Role::Dispatcher));
        let far = Some("192.0.2.7".parse().unwrap());
        for (caller, rider, address, expected) in [
            (&guest, "eve", far, &[10, 50][..]),
            (&guest, "eve", None, &[10, 1_000]),
            (&known, "eve", None, &[10]),
            (&known, "eve", far, &[10]),
            (&dispatcher, "ada", far, &[]),
            (&Principal::Anonymous, "ada", far, &[10, 50]),
            (&Principal::Anonymous, "", far, &[50]),
            (&Principal::Anonymous, "ada", None, &[]),
        ] {
            let most: Vec<_> =
                limits.of(caller, rider, address).iter().map(|limit| limit.max_open_rides).collect();
            assert_eq!(most, expected, "{caller:?} for {rider:?} from {address:?}");
        }
    }
}
