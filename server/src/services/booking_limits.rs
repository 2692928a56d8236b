//! The limits of a booking's caller. Pure.

use crate::{
    access::{CallerAddress, Principal},
    rides::open::{Holder, OpenRideLimit},
    sessions::{Role, Session},
};

/// How many rides may be open at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookingLimits {
    /// Of one rider.
    pub open_rides: usize,
    /// Booked by guests from one address.
    pub open_rides_per_address: usize,
}

/// What the flags say when nobody says otherwise.
impl Default for BookingLimits {
    fn default() -> Self {
        Self { open_rides: 10, open_rides_per_address: 50 }
    }
}

impl BookingLimits {
    /// The limits of a ride that `caller` books for `rider` from `address`, if that counts.
    ///
    /// Sessions of our own are free, so their address is counted too. Those of an identity provider are not, and a
    /// dispatcher has no limit. Without a token the address alone tells callers apart: at one that does not count there is
    /// no limit.
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
        let of_address = || {
            let CallerAddress(address) = address?;
            Some(OpenRideLimit { holder: Holder::Address(address), most: self.open_rides_per_address })
        };
        let (rider, address) = match caller {
            Principal::Proven(Session { role: Role::Dispatcher, .. }) => (None, None),
            Principal::Proven(Session { is_ours: false, .. }) => (of_rider(), None),
            Principal::Proven(_) => (of_rider(), of_address()),
            Principal::Unproven | Principal::Certified(_) => (address.and_then(|_| of_rider()), of_address()),
        };
        rider.into_iter().chain(address).collect()
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
            (&guest, "eve", None, &[10]),
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
