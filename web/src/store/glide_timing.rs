//! The timing of glides: an estimate of the server's clock, and of the delay with which cars are drawn.
//!
//! Cars are drawn a little in the past. The delay is about the time between two reports of a car plus the jitter of
//! the network. So the next report arrives before the glide to the last one ends, and no car stops between ticks.

use crate::model::Millis;

/// The weight of one early or late frame in the estimate of the clocks' difference.
const OFFSET_GAIN: f64 = 0.1;
/// The weight of one frame in the estimate of the jitter.
const JITTER_GAIN: f64 = 0.125;
/// A frame that is early or late by more than this restarts the estimate and does not count as jitter. The
/// reason is sleep, a hidden tab or another server.
const RESTART: Millis = 2_000.0;
/// The lowest and the highest delay that is added for jitter.
const MARGIN: (Millis, Millis) = (20.0, 400.0);
/// The tick interval before the server has announced one.
const USUAL_INTERVAL: Millis = 250.0;

/// The estimated timing of a fleet stream.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct GlideTiming {
    interval: Millis,
    /// The page's clock minus the server's clock, for frames that are neither early nor late.
    offset: Option<f64>,
    jitter: Millis,
}

impl Default for GlideTiming {
    fn default() -> Self {
        Self { interval: USUAL_INTERVAL, offset: None, jitter: 0.0 }
    }
}

impl GlideTiming {
    /// Sets the length of a tick. Values outside of 1 ms to 10 s are ignored.
    pub(super) fn set_interval(&mut self, interval: Millis) {
        if (1.0..=10_000.0).contains(&interval) {
            self.interval = interval;
        }
    }

    /// Records that a frame taken at `server_time` (Unix milliseconds) arrived at `now`.
    pub(super) fn arrived(&mut self, server_time: f64, now: Millis) {
        let sample = now - server_time;
        let late = self.offset.map(|offset| sample - offset).filter(|late| late.abs() < RESTART);
        match (&mut self.offset, late) {
            (Some(offset), Some(late)) => {
                *offset += late * OFFSET_GAIN;
                self.jitter += (late.abs() - self.jitter) * JITTER_GAIN;
            }
            (offset, _) => *offset = Some(sample),
        }
    }

    /// Returns the time when a car should reach the position from the frame of `server_time`, if its reports
    /// are `gap` ticks apart.
    pub(super) fn due(&self, server_time: f64, gap: f64, now: Millis) -> Millis {
        let margin = (2.0 * self.jitter).clamp(MARGIN.0, MARGIN.1);
        let taken = self.offset.map_or(now, |offset| server_time + offset);
        // The glide to the position of a late frame takes at least half an interval.
        (taken + gap * self.interval + margin).max(now + self.interval / 2.0)
    }

    /// Returns the server's clock at `now`, in Unix milliseconds, or `None` before the first frame.
    pub(super) fn server_time(&self, now: Millis) -> Option<f64> {
        self.offset.map(|offset| now - offset)
    }

    /// Returns the duration of `count` ticks in milliseconds.
    pub(super) fn ticks(&self, count: u64) -> Millis {
        count as f64 * self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_frames_are_due_one_interval_and_a_margin_later() {
        let mut pace = GlideTiming::default();
        pace.set_interval(200.0);
        for n in 0..10 {
            pace.arrived(1_000_000.0 + 200.0 * f64::from(n), 50.0 + 200.0 * f64::from(n));
        }
        let due = pace.due(1_001_800.0, 1.0, 1_850.0);
        assert!((due - (1_850.0 + 200.0 + MARGIN.0)).abs() < 1e-6, "{due}");
    }

    #[test]
    fn a_late_frame_is_due_no_later_for_it() {
        let mut pace = GlideTiming::default();
        for n in 0..20 {
            pace.arrived(250.0 * f64::from(n), 250.0 * f64::from(n));
        }
        let on_time = pace.due(5_000.0, 1.0, 5_000.0);
        pace.arrived(5_000.0, 5_100.0);
        let late = pace.due(5_000.0, 1.0, 5_100.0);
        assert!(late - on_time < 40.0, "{late} after {on_time}");
    }

    #[test]
    fn jitter_widens_the_margin_up_to_a_limit() {
        let mut pace = GlideTiming::default();
        for n in 0..50 {
            let wobble = if n % 2 == 0 { 0.0 } else { 120.0 };
            pace.arrived(250.0 * f64::from(n), 250.0 * f64::from(n) + wobble);
        }
        let margin = pace.due(0.0, 0.0, -1e9) - pace.offset.expect("frames came");
        assert!((80.0..=MARGIN.1).contains(&margin), "{margin}");
    }

    #[test]
    fn a_pause_is_no_jitter() {
        let mut pace = GlideTiming::default();
        pace.arrived(0.0, 0.0);
        pace.arrived(250.0, 400_250.0);
        assert_eq!((pace.jitter, pace.offset), (0.0, Some(400_000.0)));
    }
}
