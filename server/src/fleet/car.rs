//! One car: its place, its duty, its meter.

use std::time::{Duration, Instant, SystemTime};

use rides_proto::{
    geo::LatLng,
    ids::CarNumber,
    tiles::{Cell, WorldPoint},
};

use super::{CarView, FreeCar, LinkId};
use crate::{
    positions::{CarDot, CarState, Heading},
    rides::model::Crew,
};

/// A car known only through reports leaves the map after this long without one.
const UNHEARD: Duration = Duration::from_secs(60);
/// With passengers aboard a car is waited for this long, so that a tunnel or a dead phone does not lose the
/// meter.
const ABOARD: Duration = Duration::from_secs(300);
/// Shorter moves than this are noise of a standing car and do not turn it, in metres.
const TURNING_M: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Car {
    pub(super) number: CarNumber,
    /// `None`: known only through reports.
    pub(super) crew: Option<Crew>,
    pub(super) link: Option<LinkId>,
    pub(super) on_duty: bool,
    /// What dispatch has it do, whether on duty or not.
    job: CarState,
    at: Option<(LatLng, WorldPoint)>,
    heading: Heading,
    meter_m: Option<f64>,
    reported: SystemTime,
    /// When its link broke, or its last report where there never was one. `None`: connected.
    pub(super) away_since: Option<Instant>,
    /// As the last tick left it on the map.
    pub(super) shown: Option<CarDot>,
    /// Whether it is on the list of cars to look at in the next tick.
    pub(super) touched: bool,
}

impl Car {
    pub(super) fn new(number: CarNumber) -> Self {
        Self {
            number,
            crew: None,
            link: None,
            on_duty: false,
            job: CarState::Free,
            at: None,
            heading: Heading::default(),
            meter_m: None,
            reported: SystemTime::UNIX_EPOCH,
            away_since: None,
            shown: None,
            touched: false,
        }
    }

    /// Applies a position; one older than the last is ignored.
    pub(super) fn report(&mut self, at: LatLng, heading_deg: Option<f64>, time: SystemTime) {
        if time < self.reported {
            return;
        }
        self.reported = time;
        let moved_m = self.at.map_or(0.0, |(last, _)| last.distance_m(at));
        self.heading = match (heading_deg, self.at) {
            (Some(deg), _) => Heading::from_deg(deg),
            (None, Some((last, _))) if moved_m >= TURNING_M => Heading::from_deg(last.bearing_deg(at)),
            _ => self.heading,
        };
        if self.job == CarState::OnTrip {
            self.meter_m = self.meter_m.map(|meter| meter + moved_m);
        }
        self.at = Some((at, WorldPoint::of(at)));
    }

    /// Takes the next report whatever its time: a new connection may come with another clock.
    pub(super) fn forget_clock(&mut self) {
        self.reported = SystemTime::UNIX_EPOCH;
    }

    /// Gives it something to do; a trip starts the meter at zero.
    pub(super) fn set_job(&mut self, job: CarState) {
        self.job = job;
        if job == CarState::OnTrip {
            self.meter_m = Some(0.0);
        }
    }

    /// Off duty is what a car is only between rides: a break begins when the ride is done.
    fn state(&self) -> CarState {
        if self.job == CarState::Free && !self.on_duty { CarState::OffDuty } else { self.job }
    }

    /// As the map should show it; `None` before its first position.
    pub(super) fn dot(&self) -> Option<CarDot> {
        let (_, at) = self.at?;
        Some(CarDot { number: self.number, at, heading: self.heading, state: self.state() })
    }

    /// The cell in which it can be asked to take a ride.
    pub(super) fn free_in(&self) -> Option<Cell> {
        let (_, at) = self.at?;
        (self.link.is_some() && self.state() == CarState::Free).then(|| Cell::of(at))
    }

    pub(super) fn place(&self) -> Option<LatLng> {
        self.at.map(|(at, _)| at)
    }

    pub(super) fn as_free(&self) -> Option<FreeCar> {
        Some(FreeCar { crew: self.crew.clone()?, at: self.place()? })
    }

    pub(super) fn view(&self) -> CarView {
        CarView {
            number: self.number,
            crew: self.crew.clone(),
            at: self.place(),
            heading: self.heading,
            state: self.state(),
            connected: self.link.is_some(),
            meter_m: self.meter_m,
        }
    }

    /// Whether it has been away for longer than it is waited for.
    pub(super) fn is_given_up(&self, now: Instant, grace: Duration) -> bool {
        let patience = match (self.job, &self.crew) {
            (CarState::OnTrip, _) => grace.max(ABOARD),
            (_, Some(_)) => grace,
            (_, None) => UNHEARD,
        };
        self.away_since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn seconds(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(s)
    }

    #[test]
    fn a_standing_car_keeps_looking_where_it_was_going() {
        let mut car = Car::new(CarNumber(1));
        car.report(at(60.0, 25.0), None, seconds(1));
        car.report(at(60.0, 25.001), None, seconds(2));
        assert_eq!(car.view().heading, Heading::from_deg(90.0));
        car.report(at(60.000_001, 25.001), None, seconds(3));
        assert_eq!(car.view().heading, Heading::from_deg(90.0));
        car.report(at(60.000_001, 25.001), Some(180.0), seconds(4));
        assert_eq!(car.view().heading, Heading::from_deg(180.0));
    }

    #[test]
    fn a_late_report_changes_nothing() {
        let mut car = Car::new(CarNumber(1));
        car.report(at(60.0, 25.0), None, seconds(5));
        car.report(at(61.0, 25.0), None, seconds(4));
        assert_eq!(car.place(), Some(at(60.0, 25.0)));
    }

    #[test]
    fn the_meter_runs_only_on_a_trip_and_keeps_the_last_one() {
        let mut car = Car::new(CarNumber(1));
        let minute = 1.0 / 60.0;
        car.report(at(60.0, 25.0), None, seconds(1));
        assert_eq!(car.view().meter_m, None);
        car.set_job(CarState::OnTrip);
        car.report(at(60.0 + minute, 25.0), None, seconds(2));
        car.set_job(CarState::Free);
        car.report(at(60.0 + 2.0 * minute, 25.0), None, seconds(3));
        let meter = car.view().meter_m.expect("a trip was made");
        assert!((meter - 1853.0).abs() < 1.0, "{meter}");
        car.set_job(CarState::OnTrip);
        assert_eq!(car.view().meter_m, Some(0.0));
    }

    #[test]
    fn a_break_begins_when_the_ride_is_done() {
        let mut car = Car::new(CarNumber(1));
        car.set_job(CarState::ToPickup);
        assert_eq!(car.view().state, CarState::ToPickup);
        car.set_job(CarState::Free);
        assert_eq!(car.view().state, CarState::OffDuty);
    }
}
