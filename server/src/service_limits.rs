//! The limits of the services, as command-line flags: viewers, sign-outs and open rides. The limits of the port are in
//! [`grpc_edge::Limits`].

use std::num::NonZeroU32;

use clap::Args;

use crate::{
    config::count,
    services::booking_limits::BookingLimits,
    sessions::{MAX_REVOCATIONS, SESSION_LIFETIME},
};

/// The largest value of `--max-sign-outs-per-hour`. A revocation is kept for up to [`SESSION_LIFETIME`], so that one
/// address alone, with its burst, cannot fill the list of revocations.
const MAX_SIGN_OUTS_PER_HOUR: usize = 7_000;
const _: () = assert!(
    MAX_SIGN_OUTS_PER_HOUR as u64 * (1 + SESSION_LIFETIME.as_secs() / 3_600) < MAX_REVOCATIONS as u64
);

/// The limits of the services. [`Default`] has the defaults of the flags.
#[derive(Args, Clone, PartialEq, Debug)]
#[command(next_help_heading = "Limits")]
pub struct ServiceLimits {
    /// Most sign-outs per hour from one address, from 1 to 7000
    #[arg(id = "max_sign_outs_per_hour", long = "max-sign-outs-per-hour", env = "RIDES_MAX_SIGN_OUTS_PER_HOUR", default_value = "1000", value_name = "N", value_parser = sign_outs)]
    pub max_sign_outs_per_hour: NonZeroU32,

    /// Most open rides of one rider
    #[arg(id = "max_open_rides", long = "max-open-rides", env = "RIDES_MAX_OPEN_RIDES", default_value = "10", value_name = "N", value_parser = count::<1_000_000>)]
    pub max_open_rides: usize,

    /// Most open rides that riders without an account have booked from one address
    #[arg(id = "max_open_rides_per_address", long = "max-open-rides-per-address", env = "RIDES_MAX_OPEN_RIDES_PER_ADDRESS", default_value = "50", value_name = "N", value_parser = count::<1_000_000>)]
    pub max_open_rides_per_address: usize,

    /// Most open rides that riders without an account have booked from all --exempt-addresses together
    #[arg(id = "max_open_rides_at_exempt_addresses", long = "max-open-rides-at-exempt-addresses", env = "RIDES_MAX_OPEN_RIDES_AT_EXEMPT_ADDRESSES", default_value = "1000", value_name = "N", value_parser = count::<1_000_000>)]
    pub max_open_rides_at_exempt_addresses: usize,

    /// Most viewers of the fleet at the same time
    #[arg(id = "max_viewers", long = "max-viewers", env = "RIDES_MAX_VIEWERS", default_value = "10000", value_name = "N", value_parser = count::<1_000_000>)]
    pub max_viewers: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        let BookingLimits { open_rides, open_rides_per_address, open_rides_at_exempt_addresses } =
            BookingLimits::default();
        Self {
            max_sign_outs_per_hour: NonZeroU32::MIN.saturating_add(999),
            max_open_rides: open_rides,
            max_open_rides_per_address: open_rides_per_address,
            max_open_rides_at_exempt_addresses: open_rides_at_exempt_addresses,
            max_viewers: 10_000,
        }
    }
}

impl ServiceLimits {
    /// Returns the limits that a booking is held to.
    pub fn of_bookings(&self) -> BookingLimits {
        BookingLimits {
            open_rides: self.max_open_rides,
            open_rides_per_address: self.max_open_rides_per_address,
            open_rides_at_exempt_addresses: self.max_open_rides_at_exempt_addresses,
        }
    }
}

fn sign_outs(text: &str) -> Result<NonZeroU32, String> {
    let whole = count::<MAX_SIGN_OUTS_PER_HOUR>(text)?;
    u32::try_from(whole).ok().and_then(NonZeroU32::new).ok_or_else(|| "must not be 0".to_owned())
}
