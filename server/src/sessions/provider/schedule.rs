//! When keys are asked for. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How often a provider is asked for its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refresh {
    /// Between two times, while nothing is missed.
    pub every: Duration,
    /// Between any two, whatever is missed: names of keys are free to make up.
    pub at_least: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { every: Duration::from_secs(10 * 60), at_least: Duration::from_secs(60) }
    }
}

/// When to ask, given how it went so far.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Refresh,
    last: Last,
}

#[derive(Debug)]
enum Last {
    /// It goes on, or is about to.
    Asking,
    Had(Instant),
    Failed,
}

/// What is to be done about a key that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It may be there in a moment.
    OnItsWay,
    /// It may be there once the provider is asked, which is to be done now.
    Ask,
    /// The provider was asked just now, and has no such key.
    NoSuchKey,
}

impl Schedule {
    pub(super) fn new(refresh: Refresh) -> Self {
        Self { refresh, last: Last::Asking }
    }

    pub(super) fn begin(&mut self) {
        self.last = Last::Asking;
    }

    /// When to ask again, if nothing is missed before.
    pub(super) fn end(&mut self, had: bool, now: Instant) -> Instant {
        self.last = if had { Last::Had(now) } else { Last::Failed };
        now + if had { self.refresh.every } else { self.refresh.at_least }
    }

    pub(super) fn miss(&mut self, now: Instant) -> Answer {
        match self.last {
            Last::Had(at) if now < at + self.refresh.at_least => Answer::NoSuchKey,
            // Nobody knows what keys there are, and it will not be long.
            Last::Asking | Last::Failed => Answer::OnItsWay,
            Last::Had(_) => {
                self.last = Last::Asking;
                Answer::Ask
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn made_up_names_cause_one_question_a_minute() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Refresh::default());
        assert_eq!(schedule.miss(start), Answer::OnItsWay, "the first answer is not there yet");
        schedule.begin();
        assert_eq!(schedule.end(true, start), start + 10 * MINUTE);
        for second in [0, 30, 59] {
            assert_eq!(schedule.miss(start + Duration::from_secs(second)), Answer::NoSuchKey);
        }
        assert_eq!(schedule.miss(start + MINUTE), Answer::Ask);
        assert_eq!(schedule.miss(start + MINUTE), Answer::OnItsWay, "and one is enough");
        schedule.begin();
        assert_eq!(schedule.miss(start + MINUTE), Answer::OnItsWay);
    }

    #[test]
    fn a_provider_that_is_away_is_asked_each_minute() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Refresh::default());
        assert_eq!(schedule.end(false, start), start + MINUTE);
        assert_eq!(schedule.miss(start + 2 * MINUTE), Answer::OnItsWay);
    }
}
