//! The charge for a trip as driven. Pure.

use std::time::Duration;

use super::{
    drivable_distance::DrivableDistance,
    fare::fare,
    model::{Booking, Cents, TripSummary},
};

/// The limits of fares. They are needed because a driver's positions may be false.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FareLimits {
    /// The highest fare of a booked ride, as a multiple of its quote.
    pub max_factor: f64,
    /// The longest distances that cars can drive.
    pub reach: DrivableDistance,
}

impl Default for FareLimits {
    fn default() -> Self {
        Self { max_factor: 3.0, reach: DrivableDistance::default() }
    }
}

/// The trip as driven, with the fare to pay, and the fare by the meter if the fare is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The driven distance, at most the distance that a car can drive, and the fare to pay.
    pub figures: TripSummary,
    /// The fare by the meter, if it is more than the fare to pay.
    pub metered_fare: Option<Cents>,
}

impl FareLimits {
    /// Returns the charge for a trip of `metered_m` metres.
    pub fn charge(self, booking: &Booking, metered_m: f64, duration: Duration) -> Charge {
        let farthest_m = self.reach.of_trip(duration.max(booking.plan.duration));
        let distance_m = whole_metres(metered_m.min(farthest_m));
        let metered = fare(distance_m, duration, booking.kind);
        // A ride off the street has no quote.
        let most = booking.dropoff.as_ref().map_or(metered, |_| self.max_fare(booking.plan.fare));
        Charge {
            figures: TripSummary { distance_m, duration, fare: metered.min(most) },
            metered_fare: (metered > most).then_some(metered),
        }
    }

    /// Returns the metres of a trip that has neither a plan nor a meter and ended `straight_m` metres from its
    /// pickup. Returns 0 if no car can drive that far in the time.
    pub fn unmetered_distance(self, straight_m: f64, duration: Duration) -> f64 {
        if straight_m <= self.reach.of_leg(duration) { straight_m } else { 0.0 }
    }

    fn max_fare(self, quote: Cents) -> Cents {
        // `as` turns a float that is too large into the largest integer.
        Cents((f64::from(quote.0) * self.max_factor).round() as u32)
    }
}

/// Returns a distance in whole metres. A value that is too large becomes the largest integer, and NaN becomes 0.
pub fn whole_metres(metres: f64) -> u32 {
    metres.round() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rides::{model::RideType, testing::booking};

    const MINUTE: Duration = Duration::from_secs(60);

    fn charge(booking: &Booking, metered_m: f64, duration: Duration) -> (u32, Cents, Option<Cents>) {
        let Charge { figures, metered_fare } = FareLimits::default().charge(booking, metered_m, duration);
        (figures.distance_m, figures.fare, metered_fare)
    }

    /// BAD-3 in docs/failures.md: the quote is 7 €.
    #[test]
    fn a_booked_ride_costs_at_most_three_times_its_quote() {
        let booked = booking("ada");
        assert_eq!(charge(&booked, 10_000.0, 10 * MINUTE), (10_000, Cents(1_820), None));
        assert_eq!(charge(&booked, 12_666.0, 10 * MINUTE), (12_666, Cents(2_100), None), "three times");
        assert_eq!(charge(&booked, 12_676.0, 10 * MINUTE), (12_676, Cents(2_100), Some(Cents(2_101))));
        assert_eq!(charge(&booked, 20_000.0, 10 * MINUTE), (20_000, Cents(2_100), Some(Cents(2_870))));
        let waits = charge(&booked, 600.0, 240 * MINUTE);
        assert_eq!(waits, (600, Cents(2_100), Some(Cents(9_573))), "the time costs, too");

        let generous = FareLimits { max_factor: 1.5, ..FareLimits::default() };
        assert_eq!(generous.charge(&booked, 20_000.0, 10 * MINUTE).figures.fare, Cents(1_050));
    }

    /// BAD-3 in docs/failures.md: a ride off the street has no quote.
    #[test]
    fn a_ride_off_the_street_costs_what_was_driven() {
        let street = Booking { dropoff: None, plan: TripSummary::default(), ..booking("") };
        assert_eq!(charge(&street, 20_000.0, 10 * MINUTE), (20_000, Cents(2_870), None));
    }

    /// BAD-3 in docs/failures.md: 70 metres per second, and one kilometre more.
    #[test]
    fn a_trip_is_no_longer_than_a_car_can_drive() {
        let street = Booking { dropoff: None, plan: TripSummary::default(), ..booking("") };
        let the_earths_half = 20_015_000.0;
        for metered_m in [43_001.0, the_earths_half, f64::MAX, f64::INFINITY] {
            assert_eq!(charge(&street, metered_m, 10 * MINUTE), (43_000, Cents(5_285), None));
        }
        let fast = FareLimits { reach: DrivableDistance::default().scaled_by(20.0), ..FareLimits::default() };
        assert_eq!(fast.charge(&street, the_earths_half, 10 * MINUTE).figures.distance_m, 841_000);
        assert_eq!(charge(&booking("ada"), 7_000.0, Duration::ZERO).0, 7_000, "the plan takes 90 s");
    }

    #[test]
    fn what_does_not_fit_is_the_most_that_fits() {
        for (metres, whole) in [
            (0.4, 0),
            (0.5, 1),
            (4_294_967_295.0, u32::MAX),
            (4_294_967_296.0, u32::MAX),
            (f64::INFINITY, u32::MAX),
            (-1.0, 0),
            (f64::NAN, 0),
        ] {
            assert_eq!(whole_metres(metres), whole, "{metres}");
        }
        let most = FareLimits { max_factor: 1_000.0, ..FareLimits::default() };
        assert_eq!(most.max_fare(Cents(u32::MAX)), Cents(u32::MAX));
    }

    proptest! {
        #[test]
        fn no_number_of_a_meter_breaks_it(metered_m: f64, seconds: u64, quote: u32, pool: bool) {
            let mut booked = booking("ada");
            booked.plan.fare = Cents(quote);
            booked.kind = if pool { RideType::Pool } else { RideType::Regular };
            let Charge { figures, metered_fare } =
                FareLimits::default().charge(&booked, metered_m, Duration::from_secs(seconds));
            prop_assert!(u64::from(figures.fare.0) <= 3 * u64::from(quote));
            prop_assert!(metered_fare.is_none_or(|metered| metered > figures.fare));
        }
    }
}
