//! Statistics of measurements: medians, percentiles, gaps between messages, slopes.

use std::time::Duration;

/// A gap between two messages is late above this many ticks.
const LATE: f64 = 1.5;
/// The share of late gaps below which viewers count as served in time.
const LATE_SHARE: f64 = 0.01;
/// The largest deviation of the mean gap from the tick, as a share of it. It finds servers that tick more slowly than
/// asked: no single gap of theirs is late.
const TICK_TOLERANCE: f64 = 0.03;

/// The lowest, the median and the highest result of several runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    /// The lowest result.
    pub(crate) min: f64,
    /// The middle result, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The highest result.
    pub(crate) max: f64,
}

impl Spread {
    /// Returns the spread, or `None` if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { min, median, max })
    }
}

/// Returns the smallest value that at least `share` of all values do not exceed, or `None` if `values` is empty.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// The gaps between messages of the same stream, over all streams.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Gaps {
    tick: Duration,
    count: u64,
    late: u64,
    total: Duration,
}

impl Gaps {
    /// Returns an empty collection.
    pub(crate) fn new(tick: Duration) -> Self {
        Self { tick, count: 0, late: 0, total: Duration::ZERO }
    }

    /// Adds the gap between a message and the one before it.
    pub(crate) fn add(&mut self, gap: Duration) {
        self.count += 1;
        self.total += gap;
        self.late += u64::from(self.is_late(gap));
    }

    /// Adds the time from a stream's last message to the end of the window, but only if it is late already.
    pub(crate) fn add_open(&mut self, gap: Duration) {
        if self.is_late(gap) {
            self.add(gap);
        }
    }

    /// Returns the share of late gaps; 1 if there are no gaps.
    pub(crate) fn late_share(&self) -> f64 {
        if self.count == 0 { 1.0 } else { self.late as f64 / self.count as f64 }
    }

    /// Returns the mean gap in ticks.
    pub(crate) fn mean_ticks(&self) -> f64 {
        self.total.as_secs_f64() / self.tick.as_secs_f64() / self.count as f64
    }

    /// Reports whether viewers with these gaps are served in time.
    pub(crate) fn in_time(&self) -> bool {
        self.late_share() < LATE_SHARE && (self.mean_ticks() - 1.0).abs() <= TICK_TOLERANCE
    }

    fn is_late(&self, gap: Duration) -> bool {
        gap > self.tick.mul_f64(LATE)
    }
}

/// Returns the slope between two points, or `None` if they have the same `x`.
pub(crate) fn slope((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Option<f64> {
    (x1 != x2).then(|| (y2 - y1) / (x2 - x1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(250);

    fn gaps(ms: &[u64]) -> Gaps {
        let mut gaps = Gaps::new(TICK);
        for ms in ms {
            gaps.add(Duration::from_millis(*ms));
        }
        gaps
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), Some(100.0));
        assert_eq!(percentile(&mut values, 0.99), Some(198.0));
        assert_eq!(percentile(&mut values, 1.0), Some(200.0));
        assert_eq!(percentile(&mut [7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&mut [], 0.99), None);
    }

    #[test]
    fn a_gap_is_late_after_one_and_a_half_ticks() {
        assert_eq!(gaps(&[250, 375]).late_share(), 0.0);
        assert_eq!(gaps(&[250, 376]).late_share(), 0.5);
        assert_eq!(gaps(&[]).late_share(), 1.0);
    }

    #[test]
    fn one_late_gap_in_a_hundred_is_too_many() {
        let with_late = |all: usize| gaps(&[vec![250; all - 1], vec![376]].concat());
        assert!(!with_late(100).in_time());
        assert!(with_late(101).in_time());
    }

    #[test]
    fn a_server_that_slows_its_ticks_is_not_in_time() {
        assert!(gaps(&[257, 257]).in_time());
        assert!(!gaps(&[258, 258]).in_time());
        assert!(!gaps(&[242, 242]).in_time());
    }

    #[test]
    fn a_stream_that_fell_silent_is_late_and_one_that_waits_for_its_tick_is_not() {
        let mut waiting = gaps(&[250]);
        waiting.add_open(Duration::from_millis(100));
        assert_eq!(waiting, gaps(&[250]));
        waiting.add_open(Duration::from_secs(2));
        assert_eq!(waiting.late_share(), 0.5);
    }

    #[test]
    fn a_slope_is_what_one_more_costs() {
        assert_eq!(slope((100.0, 5.0), (300.0, 9.0)), Some(0.02));
        assert_eq!(slope((1.0, 5.0), (1.0, 9.0)), None);
    }
}
