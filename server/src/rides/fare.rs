//! The price list. Pure, in whole cents.

use std::time::Duration;

use super::model::{Cents, RideType};

/// The ISO 4217 code of every fare.
pub const CURRENCY: &str = "EUR";

/// The price list, in cents.
struct Tariff {
    /// The price for getting in.
    base: u64,
    per_km: u64,
    per_minute: u64,
    /// The lowest price of a regular ride.
    minimum: u64,
    /// The price of a pool ride, in percent of a regular one.
    pool_percent: u64,
}

const TARIFF: Tariff = Tariff { base: 390, per_km: 105, per_minute: 38, minimum: 700, pool_percent: 75 };

/// Returns the fare of a trip, rounded to the nearest cent.
pub fn fare(distance_m: u32, duration: Duration, kind: RideType) -> Cents {
    let distance = per(TARIFF.per_km, u64::from(distance_m), 1_000);
    let time = per(TARIFF.per_minute, duration.as_secs(), 60);
    let regular = TARIFF.base.saturating_add(distance).saturating_add(time).max(TARIFF.minimum);
    let cents = match kind {
        RideType::Regular => regular,
        RideType::Pool => per(TARIFF.pool_percent, regular, 100),
    };
    Cents(u32::try_from(cents).unwrap_or(u32::MAX))
}

/// Returns `price` for each `unit` of `amount`, rounded to the nearest cent.
fn per(price: u64, amount: u64, unit: u64) -> u64 {
    price.saturating_mul(amount).saturating_add(unit / 2) / unit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(n * 60)
    }

    #[test]
    fn a_fare_is_base_and_distance_and_time() {
        assert_eq!(fare(10_000, minutes(20), RideType::Regular), Cents(390 + 1050 + 760));
        assert_eq!(fare(10_000, minutes(20), RideType::Pool), Cents(1650));
    }

    #[test]
    fn a_short_ride_costs_the_minimum() {
        assert_eq!(fare(0, Duration::ZERO, RideType::Regular), Cents(700));
        assert_eq!(fare(300, minutes(1), RideType::Pool), Cents(525));
    }

    proptest! {
        #[test]
        fn more_never_costs_less(a: u32, b: u32, s in 0..u64::MAX, t in 0..u64::MAX) {
            let (near, far) = (a.min(b), a.max(b));
            let (short, long) = (Duration::from_secs(s.min(t)), Duration::from_secs(s.max(t)));
            for kind in [RideType::Regular, RideType::Pool] {
                prop_assert!(fare(near, short, kind) <= fare(far, long, kind));
            }
            prop_assert!(fare(far, long, RideType::Pool) <= fare(far, long, RideType::Regular));
        }
    }
}
