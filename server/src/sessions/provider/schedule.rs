//! The schedule of fetches of a provider's keys. Without I/O.

use std::time::Duration;

use tokio::time::Instant;

/// The intervals at which a provider's keys are fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refresh {
    /// The interval while no key is missing.
    pub interval: Duration,
    /// The shortest interval, also if a key is missing. A client can make up any number of key ids.
    pub min_interval: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10 * 60), min_interval: Duration::from_secs(60) }
    }
}

/// The time of the next fetch, given the result of the last one.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Refresh,
    last: LastFetch,
}

#[derive(Debug)]
enum LastFetch {
    /// A fetch is running, or is about to start.
    Asking,
    Succeeded(Instant),
    Failed,
}

/// The reaction to a token whose key is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnUnknownKey {
    /// The key may be in the fetch that is running.
    FetchPending,
    /// The key may be in a new fetch, which must start now.
    StartFetch,
    /// The last fetch was just now, and the key was not in it.
    UnknownKey,
}

impl Schedule {
    pub(super) fn new(refresh: Refresh) -> Self {
        Self { refresh, last: LastFetch::Asking }
    }

    pub(super) fn begin(&mut self) {
        self.last = LastFetch::Asking;
    }

    /// Records the end of a fetch, and returns the time of the next one, which a missing key may bring forward.
    pub(super) fn end(&mut self, had: bool, now: Instant) -> Instant {
        self.last = if had { LastFetch::Succeeded(now) } else { LastFetch::Failed };
        now + if had { self.refresh.interval } else { self.refresh.min_interval }
    }

    pub(super) fn miss(&mut self, now: Instant) -> OnUnknownKey {
        match self.last {
            LastFetch::Succeeded(at) if now < at + self.refresh.min_interval => OnUnknownKey::UnknownKey,
            // The current keys are not known, and a fetch ends or begins soon.
            LastFetch::Asking | LastFetch::Failed => OnUnknownKey::FetchPending,
            LastFetch::Succeeded(_) => {
                self.last = LastFetch::Asking;
                OnUnknownKey::StartFetch
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
        assert_eq!(schedule.miss(start), OnUnknownKey::FetchPending, "the first fetch has not ended");
        schedule.begin();
        assert_eq!(schedule.end(true, start), start + 10 * MINUTE);
        for second in [0, 30, 59] {
            assert_eq!(schedule.miss(start + Duration::from_secs(second)), OnUnknownKey::UnknownKey);
        }
        assert_eq!(schedule.miss(start + MINUTE), OnUnknownKey::StartFetch);
        assert_eq!(schedule.miss(start + MINUTE), OnUnknownKey::FetchPending, "one fetch is enough");
        schedule.begin();
        assert_eq!(schedule.miss(start + MINUTE), OnUnknownKey::FetchPending);
    }

    #[test]
    fn a_provider_that_is_away_is_asked_each_minute() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Refresh::default());
        assert_eq!(schedule.end(false, start), start + MINUTE);
        assert_eq!(schedule.miss(start + 2 * MINUTE), OnUnknownKey::FetchPending);
    }
}
