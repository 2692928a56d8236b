//! The limits of a booking's caller. Pure.

use crate::{
    access::{CallerAddress, Principal},
    rides::open::{Holder, OpenRideLimit},
    sessions::{Role, Session},
};

/// The most rides that may be open at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookingLimits {
    /// The limit of one rider.
    pub open_rides: usize,
    /// The limit of all guests who book from one address.
    pub open_rides_per_address: usize,
    /// The limit of all guests who book from addresses that stand for many callers.
    pub open_rides_at_exempt_addresses: usize,
}

/// The defaults of the flags.
impl Default for BookingLimits {
    fn default() -> Self {
        Self { open_rides: 10, open_rides_per_address: 50, open_rides_at_exempt_addresses: 1_000 }
    }
}

impl BookingLimits {
    /// The limits of a ride that `caller` books for `rider` from `address`, if that counts.
    ///
    /// A guest's session costs nothing, so guests also have a limit together: those of one address, and those of all
    /// addresses that stand for many callers. A session of an identity provider has the rider's limit alone, and a
    /// dispatcher has no limit. Without a token the address alone tells callers apart: at an address that stands for many
    /// callers there is no limit.
    pub(super) fn of(
        self,
        caller: &Principal,
        rider: &str,
        address: Option<CallerAddress>,
    ) -> Vec<OpenRideLimit> {
        let of_rider = || {
            let holder = Holder::Rider(rider.to_owned());
            (!rider.is_empty()).then_some(OpenRideLimit { holder, most: self.open_rides })
        };
        let of_address = address.map(|CallerAddress(address)| OpenRideLimit {
            holder: Holder::Address(address),
            most: self.open_rides_per_address,
        });
        let of_exempt_addresses =
            OpenRideLimit { holder: Holder::ExemptAddresses, most: self.open_rides_at_exempt_addresses };
        let (rider, guests) = match caller {
            Principal::Proven(Session { role: Role::Dispatcher, .. }) => (None, None),
            Principal::Proven(Session { is_ours: false, .. }) => (of_rider(), None),
            Principal::Proven(_) => (of_rider(), of_address.or(Some(of_exempt_addresses))),
            Principal::Unproven | Principal::Certified(_) => (address.and_then(|_| of_rider()), of_address),
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
        let guest = Principal::Proven(session(Role::Rider));
        let known = Principal::Proven(Session { is_ours: false, ..session(Role::Rider) });
        let dispatcher = Principal::Proven(session(Role::Dispatcher));
        let far = Some(CallerAddress("192.0.2.7".parse().unwrap()));
        for (caller, rider, address, expected) in [
            (&guest, "eve", far, &[10, 50][..]),
            (&guest, "eve", None, &[10, 1_000]),
            (&known, "eve", None, &[10]),
            (&known, "eve", far, &[10]),
            (&dispatcher, "ada", far, &[]),
            (&Principal::Unproven, "ada", far, &[10, 50]),
            (&Principal::Unproven, "", far, &[50]),
            (&Principal::Unproven, "ada", None, &[]),
        ] {
            let most: Vec<_> = limits.of(caller, rider, address).iter().map(|limit| limit.most).collect();
            assert_eq!(most, expected, "{caller:?} for {rider:?} from {address:?}");
        }
    }
}
