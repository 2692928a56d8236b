//! One car: its position, duty, ride and meter.

use std::time::{Duration, Instant, SystemTime};

use rides_proto::{
    geo::LatLng,
    ids::{CarId, CarNumber, RideId},
    tiles::{Cell, WorldPoint},
};

use super::{
    CarUpdate, CarView, DriverConnectionId, FreeCar, PositionReport,
    meter::{Fix, Meter},
};
use crate::{
    positions::{CarDot, CarState, Heading},
    rides::{drivable_distance::DrivableDistance, model::CarAndDriver},
};

/// A car that is known only through reports leaves the map after this long without one.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);
/// The grace time of a car with passengers. It is longer than usual so that a tunnel or a dead phone does not lose
/// the meter.
const PASSENGER_GRACE: Duration = Duration::from_secs(300);
/// A shorter move, in metres, is position noise and does not change the heading.
const MIN_TURN_M: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Car {
    pub(super) id: CarId,
    pub(super) number: CarNumber,
    /// `None`: known only through reports. Boxed, like `last_ride` and `meter`, so that the fields that every report
    /// touches lie close together.
    pub(super) crew: Option<Box<CarAndDriver>>,
    pub(super) link: Option<DriverConnectionId>,
    pub(super) on_duty: bool,
    /// The state of the car by its last ride, independent of duty.
    last_ride: Option<Box<CarRide>>,
    at: Option<(LatLng, WorldPoint)>,
    heading: Heading,
    /// `None`: no trip has begun, or its beginning was not seen.
    meter: Option<Box<Meter>>,
    /// The time of the last position by the car's clock. [`SystemTime::UNIX_EPOCH`]: that clock is not known.
    reported_at: SystemTime,
    /// The arrival of the last position.
    arrived_at: Option<Instant>,
    /// The time at which the connection was lost, or of the last report of a car that never had one. `None`:
    /// connected.
    pub(super) away_since: Option<Instant>,
    /// The car on the map as of the last tick.
    pub(super) shown: Option<CarDot>,
    /// `true` if the car is on the list of cars to compare in the next tick.
    pub(super) touched: bool,
}

/// The last ride of a car, as the car knows it.
#[derive(Debug)]
struct CarRide {
    ride: RideId,
    version: u64,
    state: CarState,
    /// The connection on which the driver got this version.
    told_on: Option<DriverConnectionId>,
}

impl Car {
    pub(super) fn new(id: CarId, number: CarNumber) -> Self {
        Self {
            id,
            number,
            crew: None,
            link: None,
            on_duty: false,
            last_ride: None,
            at: None,
            heading: Heading::default(),
            meter: None,
            reported_at: SystemTime::UNIX_EPOCH,
            arrived_at: None,
            away_since: None,
            shown: None,
            touched: false,
        }
    }

    /// Applies a position, or ignores one that is older than the last. `clock` is the time of day here, which may
    /// have been set back since the last position.
    pub(super) fn report(
        &mut self,
        report: &PositionReport,
        now: Instant,
        clock: SystemTime,
        reach: DrivableDistance,
    ) {
        let PositionReport { at, heading_deg, time, .. } = *report;
        if self.reported_at > clock {
            self.forget_clock();
        }
        // A car whose clock is ahead must not block its own later reports.
        let time = time.min(clock);
        if time < self.reported_at {
            return;
        }
        self.reported_at = time;
        self.arrived_at = Some(now);
        let moved = self.at.map(|(last, _)| last.leg_to(at));
        self.heading = match (heading_deg, moved) {
            (Some(deg), _) => Heading::from_deg(deg),
            (None, Some(leg)) if leg.distance_m >= MIN_TURN_M => Heading::from_deg(leg.bearing_deg()),
            _ => self.heading,
        };
        self.at = Some((at, WorldPoint::of(at)));
        if self.ride_state() == CarState::OnTrip
            && let Some(fix) = self.last_fix()
            && let Some(meter) = &mut self.meter
        {
            meter.measure(fix, reach);
        }
    }

    fn last_fix(&self) -> Option<Fix> {
        Some(Fix { at: self.place()?, time: self.known_clock(), arrived_at: self.arrived_at? })
    }

    /// The time of the last position by the car's clock, if that clock is known.
    fn known_clock(&self) -> Option<SystemTime> {
        Some(self.reported_at).filter(|reported| *reported != SystemTime::UNIX_EPOCH)
    }

    /// The time at `now` by the car's clock: the time of the last position, and the time since its arrival.
    fn clock_at(&self, now: Instant) -> Option<SystemTime> {
        Some(self.known_clock()? + now.saturating_duration_since(self.arrived_at?))
    }

    /// Accepts any time in the next report, because a new connection may come with another clock.
    pub(super) fn forget_clock(&mut self) {
        self.reported_at = SystemTime::UNIX_EPOCH;
        if let Some(meter) = &mut self.meter {
            meter.forget_clock();
        }
    }

    /// Applies a brief at `now`, when the time of day is `clock`. Returns `false` if the driver does not need its
    /// order: it is late, or the driver got it already.
    pub(super) fn apply_update(&mut self, brief: &CarUpdate, now: Instant, clock: SystemTime) -> bool {
        let CarUpdate { version, state, begins_trip: begins, .. } = *brief;
        let known = self.last_ride.as_ref().filter(|job| job.ride == brief.ride);
        match known {
            Some(job) if version < job.version => return false,
            // The driver is still told of the end of an earlier ride. It does not free the car from its present ride.
            None if self.ride_state() != CarState::Free && !(begins && version == 1) => {
                return state == CarState::Free;
            }
            _ => {}
        }
        let heard = self.link.is_some()
            && known.is_some_and(|job| job.version == version && job.told_on == self.link);
        let runs = known.is_some_and(|job| job.state == CarState::OnTrip) && self.meter.is_some();
        if begins && !runs {
            // A ride that begins off the street begins with a report of its driver, which may come late.
            let since = if version == 1 { self.known_clock() } else { self.clock_at(now).or(Some(clock)) };
            self.meter = Some(Box::new(Meter::new(self.last_fix(), since)));
        } else if known.is_none() {
            self.meter = None;
        }
        self.last_ride =
            Some(Box::new(CarRide { ride: brief.ride.clone(), version, state, told_on: self.link }));
        !heard
    }

    fn ride_state(&self) -> CarState {
        self.last_ride.as_ref().map_or(CarState::Free, |job| job.state)
    }

    /// A car is off duty only between rides. A break that is requested during a ride begins after it.
    fn state(&self) -> CarState {
        let doing = self.ride_state();
        if doing == CarState::Free && !self.on_duty { CarState::OffDuty } else { doing }
    }

    /// The car as the map shows it. `None` before its first position.
    pub(super) fn dot(&self) -> Option<CarDot> {
        let (_, at) = self.at?;
        Some(CarDot { number: self.number, at, heading: self.heading, state: self.state() })
    }

    /// The cell in which the car can be offered a ride. `None`: it is not free.
    pub(super) fn free_cell(&self) -> Option<Cell> {
        let (_, at) = self.at?;
        (self.link.is_some() && self.state() == CarState::Free).then(|| Cell::of(at))
    }

    pub(super) fn place(&self) -> Option<LatLng> {
        self.at.map(|(at, _)| at)
    }

    pub(super) fn as_free(&self) -> Option<FreeCar> {
        Some(FreeCar { crew: self.crew.as_deref()?.clone(), at: self.place()? })
    }

    pub(super) fn view(&self) -> CarView {
        CarView {
            number: self.number,
            crew: self.crew.as_deref().cloned(),
            at: self.place(),
            heading: self.heading,
            state: self.state(),
            connected: self.link.is_some(),
            ride: self.last_ride.as_ref().map(|job| job.ride.clone()),
            meter_m: self.meter.as_ref().map(|meter| meter.metres()),
            meter_has_gap: self.meter.as_ref().is_some_and(|meter| meter.has_gap()),
        }
    }

    /// Returns `true` if the car has been away for its whole grace time.
    pub(super) fn is_grace_over(&self, now: Instant, grace: Duration) -> bool {
        let patience = match (self.ride_state(), &self.crew) {
            (CarState::OnTrip, _) => grace.max(PASSENGER_GRACE),
            (_, Some(_)) => grace,
            (_, None) => REPORT_TIMEOUT,
        };
        self.away_since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// The instant at which the test clock is 0.
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn at(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn seconds(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(s)
    }

    /// A brief of `ride` at `version`. The trip begins with it if `state` is `OnTrip`.
    fn brief(ride: &str, version: u64, state: CarState) -> CarUpdate {
        let begins = state == CarState::OnTrip;
        CarUpdate { ride: RideId::new(ride), version, state, begins_trip: begins, order: None }
    }

    impl Car {
        fn hears_at(&mut self, at: LatLng, heading_deg: Option<f64>, second: u64) {
            self.hears(at, heading_deg, seconds(second), seconds(1_000));
        }

        /// Applies a position that arrives when the clock here is at `clock`.
        fn hears(&mut self, at: LatLng, heading_deg: Option<f64>, time: SystemTime, clock: SystemTime) {
            let since = clock.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let report = PositionReport { car: self.id, at, heading_deg, time };
            self.report(&report, *BEGUN + since, clock, DrivableDistance::default());
        }

        /// Applies a brief that arrives when the clock here is at 1,000 s.
        fn told(&mut self, brief: &CarUpdate) -> bool {
            self.apply_update(brief, *BEGUN + Duration::from_secs(1_000), seconds(1_000))
        }
    }

    #[test]
    fn a_standing_car_keeps_looking_where_it_was_going() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.hears_at(at(60.0, 25.0), None, 1);
        car.hears_at(at(60.0, 25.001), None, 2);
        assert_eq!(car.view().heading, Heading::from_deg(90.0));
        car.hears_at(at(60.000_001, 25.001), None, 3);
        assert_eq!(car.view().heading, Heading::from_deg(90.0));
        car.hears_at(at(60.000_001, 25.001), Some(180.0), 4);
        assert_eq!(car.view().heading, Heading::from_deg(180.0));
    }

    #[test]
    fn a_late_report_changes_nothing() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.hears_at(at(60.0, 25.0), None, 5);
        car.hears_at(at(61.0, 25.0), None, 4);
        assert_eq!(car.place(), Some(at(60.0, 25.0)));
    }

    /// L13: the clock here is set back by an hour.
    #[test]
    fn a_clock_that_is_set_back_stops_no_car() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.hears(at(60.0, 25.0), None, seconds(7_200), seconds(7_200));
        for (n, lat) in [(0, 60.1), (1, 60.2)] {
            car.hears(at(lat, 25.0), None, seconds(3_600 + n), seconds(3_600 + n));
            assert_eq!(car.place(), Some(at(lat, 25.0)));
        }
        car.hears(at(61.0, 25.0), None, seconds(3_600), seconds(3_602));
        assert_eq!(car.place(), Some(at(60.2, 25.0)), "late by the new clock");
    }

    #[test]
    fn the_meter_runs_only_on_a_trip_and_keeps_the_last_one() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        let minute = 1.0 / 60.0;
        car.hears_at(at(60.0, 25.0), None, 1);
        assert_eq!(car.view().meter_m, None);
        car.told(&brief("a", 5, CarState::OnTrip));
        car.hears_at(at(60.0 + minute, 25.0), None, 101);
        car.told(&brief("a", 5, CarState::OnTrip));
        car.told(&brief("a", 6, CarState::Free));
        car.hears_at(at(60.0 + 2.0 * minute, 25.0), None, 201);
        let meter = car.view().meter_m.expect("a trip was made");
        assert!((meter - 1853.0).abs() < 1.0, "{meter}");
        car.told(&brief("b", 2, CarState::Offered));
        assert_eq!(car.view().meter_m, None, "another ride");
        car.told(&brief("b", 5, CarState::OnTrip));
        assert_eq!(car.view().meter_m, Some(0.0));
    }

    /// A car on a trip, which was at 60° N at second 1.
    fn on_trip() -> Car {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.hears_at(at(60.0, 25.0), None, 1);
        car.told(&brief("a", 5, CarState::OnTrip));
        car
    }

    /// A place `metres` north of 60° N, 25° E.
    fn north(metres: f64) -> LatLng {
        at(60.0 + metres / 111_195.0, 25.0)
    }

    fn assert_meter(car: &Car, expected_m: f64) {
        let meter = car.view().meter_m.expect("on a trip");
        assert!((meter - expected_m).abs() < 0.1, "{meter} m, expected {expected_m} m");
    }

    /// BAD-3: a position at 0° N, 0° E is 7,000 km away.
    #[test]
    fn a_leg_that_no_car_can_drive_in_its_time_is_not_metered() {
        let mut car = on_trip();
        car.hears_at(at(0.0, 0.0), None, 2);
        assert_meter(&car, 0.0);
        assert_eq!(car.place(), Some(at(0.0, 0.0)), "the map shows the reported position");
        car.hears_at(north(20.0), None, 3);
        assert_meter(&car, 20.0);
        assert!(!car.view().meter_has_gap, "the false position is left out");
        car.hears_at(north(40.0), None, 4);
        assert_meter(&car, 40.0);
        car.hears_at(north(40.0 + 219.0), None, 5);
        assert_meter(&car, 40.0 + 219.0);
        car.hears_at(north(40.0 + 219.0 + 221.0), None, 6);
        assert_meter(&car, 40.0 + 219.0);
        assert!(car.view().meter_has_gap);
        car.told(&brief("a", 6, CarState::Free));
        car.told(&brief("b", 5, CarState::OnTrip));
        assert!(!car.view().meter_has_gap, "a new trip");
    }

    /// BAD-3: positions that were stored while there was no connection arrive late and together, with their times.
    #[test]
    fn what_was_driven_without_a_connection_is_metered() {
        let mut car = on_trip();
        for second in 2..=600 {
            let (time, clock) = (seconds(second), seconds(900));
            car.hears(north(20.0 * (second - 1) as f64), None, time, clock);
        }
        assert_meter(&car, 20.0 * 599.0);
        assert!(!car.view().meter_has_gap);

        let mut tunnel = on_trip();
        tunnel.hears_at(north(9_000.0), None, 301);
        assert_meter(&tunnel, 9_000.0);
    }

    /// BAD-3: a new connection may come with another clock, and must not allow a jump.
    #[test]
    fn after_a_new_connection_the_time_here_counts() {
        for (waited, metered) in [(1, 0.0), (200, 12_000.0)] {
            let mut car = on_trip();
            car.hears(north(0.0), None, seconds(100_000), seconds(100_000));
            car.forget_clock();
            let clock = seconds(100_000 + waited);
            car.hears(north(12_000.0), None, seconds(20_000), clock);
            assert_meter(&car, metered);
        }
    }

    /// BAD-3: the positions of a standing car differ.
    #[test]
    fn noise_is_metered_as_before() {
        let mut car = on_trip();
        for n in 1..=100 {
            car.hears_at(north(if n % 2 == 0 { 0.0 } else { 5.0 }), None, 1);
        }
        assert_meter(&car, 500.0);
    }

    #[test]
    fn a_trip_whose_beginning_was_not_seen_is_not_metered() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.told(&CarUpdate { begins_trip: false, ..brief("a", 5, CarState::OnTrip) });
        assert_eq!((car.view().state, car.view().meter_m), (CarState::OnTrip, None));
    }

    #[test]
    fn what_is_late_of_one_ride_undoes_nothing() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        assert!(car.told(&brief("a", 3, CarState::ToPickup)));
        assert!(!car.told(&brief("a", 2, CarState::Offered)));
        assert_eq!(car.view().state, CarState::ToPickup);
        assert!(car.told(&brief("a", 4, CarState::Free)));
        assert!(!car.told(&brief("a", 3, CarState::ToPickup)), "the car would never be free again");
        assert_eq!(car.view().ride, Some(RideId::new("a")));
        assert_eq!(car.ride_state(), CarState::Free);
    }

    #[test]
    fn a_ride_off_the_street_takes_the_car_from_one_whose_end_it_has_not_heard() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.told(&brief("a", 5, CarState::OnTrip));
        assert!(!car.told(&brief("b", 2, CarState::Offered)), "one ride at a time");
        assert!(car.told(&brief("b", 1, CarState::OnTrip)));
        assert!(car.told(&brief("a", 6, CarState::Free)), "the driver is told of the end");
        let view = car.view();
        assert_eq!(
            (view.state, view.ride, view.meter_m),
            (CarState::OnTrip, Some(RideId::new("b")), Some(0.0))
        );
    }

    #[test]
    fn a_driver_hears_each_version_once_on_each_connection() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        for link in 1..=2 {
            car.link = Some(DriverConnectionId(link));
            assert!(car.told(&brief("a", 3, CarState::ToPickup)));
            assert!(!car.told(&brief("a", 3, CarState::ToPickup)));
        }
        car.link = None;
        car.told(&brief("a", 4, CarState::AtPickup));
        car.link = Some(DriverConnectionId(3));
        assert!(car.told(&brief("a", 4, CarState::AtPickup)), "no connection had it");
    }

    #[test]
    fn a_break_begins_when_the_ride_is_done() {
        let mut car = Car::new(CarId::new(7).unwrap(), CarNumber(1));
        car.told(&brief("a", 3, CarState::ToPickup));
        assert_eq!(car.view().state, CarState::ToPickup);
        car.told(&brief("a", 4, CarState::Free));
        assert_eq!(car.view().state, CarState::OffDuty);
    }
}
