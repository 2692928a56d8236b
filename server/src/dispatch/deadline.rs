//! Wall-clock times as monotonic deadlines. Pure.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall-clock time as a monotonic instant. The instant is fixed at the first call for a time, so that a later
/// change of the clock does not move the deadline.
#[derive(Debug, Default)]
pub(super) struct Deadline(Option<(SystemTime, Instant)>);

impl Deadline {
    /// Returns the instant of `time`. `clock` is the wall-clock time at the instant `now`.
    pub(super) fn of(&mut self, time: SystemTime, clock: SystemTime, now: Instant) -> Instant {
        match self.0 {
            Some((held, at)) if held == time => at,
            _ => {
                let at = now + time.duration_since(clock).unwrap_or(Duration::ZERO);
                self.0 = Some((time, at));
                at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rides::testing::noon;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// L13
    #[test]
    fn a_clock_that_is_set_moves_no_deadline_that_is_waited_for() {
        let start = Instant::now();
        for clock in [noon() + HOUR, noon() - HOUR] {
            let mut deadline = Deadline::default();
            assert_eq!(deadline.of(noon() + MINUTE, noon(), start), start + MINUTE);
            assert_eq!(deadline.of(noon() + MINUTE, clock, start + MINUTE / 2), start + MINUTE);
        }
    }

    #[test]
    fn another_time_is_another_deadline_and_one_that_has_passed_is_now() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.of(noon() + MINUTE, noon(), start);
        assert_eq!(deadline.of(noon() + HOUR, noon(), start), start + HOUR);
        assert_eq!(deadline.of(noon() - HOUR, noon(), start), start);
    }
}
