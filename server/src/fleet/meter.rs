//! The taximeter of a trip. Pure.

use std::time::{Duration, Instant, SystemTime};

use rides_proto::geo::LatLng;

use crate::rides::drivable_distance::{DrivableDistance, MAX_DELAY};

/// A position and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fix {
    pub(super) at: LatLng,
    /// By the car's clock. `None`: that clock is not known.
    pub(super) time: Option<SystemTime>,
    /// The time of arrival, by the clock here.
    pub(super) arrived_at: Instant,
}

impl Fix {
    /// Returns the metres from here to `next`, or `None` if no car can drive them in the time between the two.
    fn leg_to(&self, next: &Self, reach: DrivableDistance) -> Option<f64> {
        let metres = self.at.leg_to(next.at).distance_m;
        (metres <= reach.of_leg(self.elapsed_to(next))).then_some(metres)
    }

    /// Returns the time to `next` by the car's clock, because positions may arrive late and together. It is at most
    /// [`MAX_DELAY`] longer than the time between the two arrivals.
    fn elapsed_to(&self, next: &Self) -> Duration {
        let seen = next.arrived_at.saturating_duration_since(self.arrived_at);
        match (self.time, next.time) {
            (Some(time), Some(next)) => next.duration_since(time).unwrap_or_default().min(seen + MAX_DELAY),
            _ => seen,
        }
    }
}

/// The sum of the legs of a trip that a car can drive in their time.
///
/// A position that no car can reach may be false, so the meter measures on from the position before it. If later
/// positions can be reached only from the doubtful position, the doubtful one was right.
#[derive(Debug)]
pub(super) struct Meter {
    metres: f64,
    /// The beginning of the trip by the clock of the car. `None`: that clock is not known.
    since: Option<SystemTime>,
    last: Option<Fix>,
    doubtful: Option<Doubtful>,
}

/// Positions that no car can reach from the position before them.
#[derive(Debug)]
struct Doubtful {
    /// The length of the way through these positions.
    metres: f64,
    last: Fix,
}

impl Meter {
    /// Returns a meter at 0 for a trip that begins at the car's last position.
    pub(super) fn new(last: Option<Fix>, since: Option<SystemTime>) -> Self {
        Self { metres: 0.0, since, last, doubtful: None }
    }

    /// Applies the next position. The leg to a position from before the trip is left out.
    pub(super) fn measure(&mut self, fix: Fix, reach: DrivableDistance) {
        let is_early = fix.time.zip(self.since).is_some_and(|(time, since)| time < since);
        let Some(last) = self.last.filter(|_| !is_early) else {
            (self.last, self.doubtful) = (Some(fix), None);
            return;
        };
        if let Some(metres) = last.leg_to(&fix, reach) {
            self.metres += metres;
            (self.last, self.doubtful) = (Some(fix), None);
            return;
        }
        let before = self.doubtful.take();
        let metres =
            before.map_or(0.0, |before| before.metres + before.last.leg_to(&fix, reach).unwrap_or_default());
        self.doubtful = Some(Doubtful { metres, last: fix });
    }

    /// Forgets the car's clock, because a new connection may come with another clock.
    pub(super) fn forget_clock(&mut self) {
        self.since = None;
        let doubtful = self.doubtful.as_mut().map(|doubtful| &mut doubtful.last);
        for fix in self.last.iter_mut().chain(doubtful) {
            fix.time = None;
        }
    }

    /// The metres of the trip so far.
    pub(super) fn metres(&self) -> f64 {
        self.metres + self.doubtful.as_ref().map_or(0.0, |doubtful| doubtful.metres)
    }

    /// Returns `true` if a leg before the last position is left out.
    pub(super) fn has_gap(&self) -> bool {
        self.doubtful.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// The time by the car's clock `second` seconds after the trip began.
    fn clock(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(100_000 + second)
    }

    /// A position north of the pickup that arrives `arrived_at` seconds after the trip began.
    fn fix(north_m: f64, second: u64, heard: u64) -> Fix {
        let at = LatLng::new(60.0 + north_m / 111_195.0, 25.0).expect("on Earth");
        Fix { at, time: Some(clock(second)), arrived_at: *BEGUN + Duration::from_secs(heard) }
    }

    /// The metres and the gap after positions that each arrive without delay.
    fn after(positions: &[(f64, u64)]) -> (f64, bool) {
        let mut meter = Meter::new(Some(fix(0.0, 0, 0)), Some(clock(0)));
        for &(north_m, second) in positions {
            meter.measure(fix(north_m, second, second), DrivableDistance::default());
        }
        (meter.metres().round(), meter.has_gap())
    }

    const FALSE: f64 = -1_000_000.0;

    /// BAD-3
    #[test]
    fn the_way_past_false_positions_is_measured() {
        assert_eq!(after(&[(50.0, 5), (FALSE, 6), (100.0, 10)]), (100.0, false));
        assert_eq!(
            after(&[(50.0, 5), (FALSE, 6), (FALSE, 7), (FALSE + 9.0, 8), (100.0, 10)]),
            (100.0, false)
        );
        assert_eq!(after(&[(50.0, 5), (FALSE, 6)]), (50.0, true), "not decided yet");
        let both_ways = [(FALSE, 1), (-FALSE, 2), (FALSE, 3), (40.0, 4)];
        assert_eq!(after(&both_ways), (40.0, false));
    }

    /// BAD-3: a trip begins at a false position.
    #[test]
    fn what_follows_from_a_doubtful_position_is_measured() {
        let driven = [(FALSE, 1), (FALSE + 100.0, 10), (FALSE + 300.0, 30)];
        assert_eq!(after(&driven), (300.0, true));
    }

    /// BAD-3
    #[test]
    fn the_way_to_a_position_from_before_the_trip_is_not_measured() {
        let mut meter = Meter::new(Some(fix(0.0, 0, 0)), Some(clock(60)));
        for (north_m, second) in [(1_000.0, 20), (1_500.0, 59), (1_600.0, 60), (1_700.0, 70)] {
            meter.measure(fix(north_m, second, 100), DrivableDistance::default());
        }
        assert_eq!(meter.metres().round(), 200.0);
    }

    /// BAD-3: by the car's clock, two positions that arrive together are a day apart.
    #[test]
    fn a_leg_takes_at_most_five_minutes_longer_than_the_server_has_seen() {
        for (north_m, heard, measured) in
            [(21_149.0, 0, 21_149.0), (21_151.0, 0, 0.0), (28_149.0, 100, 28_149.0), (28_151.0, 100, 0.0)]
        {
            let mut meter = Meter::new(Some(fix(0.0, 0, 0)), Some(clock(0)));
            meter.measure(fix(north_m, 86_400, heard), DrivableDistance::default());
            assert_eq!(meter.metres().round(), measured, "{north_m} m");
        }
    }

    /// BAD-3: a new connection comes with a clock that is an hour behind.
    #[test]
    fn another_clock_stops_no_meter() {
        let mut meter = Meter::new(Some(fix(0.0, 3_600, 0)), Some(clock(3_600)));
        meter.forget_clock();
        meter.measure(fix(100.0, 10, 10), DrivableDistance::default());
        meter.measure(fix(200.0, 20, 20), DrivableDistance::default());
        assert_eq!((meter.metres().round(), meter.has_gap()), (200.0, false));
    }
}
