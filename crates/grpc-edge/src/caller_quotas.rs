//! The quotas of each caller: a rate of calls, and a number of calls in progress.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
};

use super::peer::QuotaKey;

/// The number of callers from which on idle ones are evicted.
const EVICTION_THRESHOLD: usize = 1_024;
/// The least time between two evictions.
const EVICTION_INTERVAL: Duration = Duration::from_secs(1);

/// The quotas of all callers, with the use that each caller has made of its own.
pub(super) struct CallerQuotas {
    /// The rate of each caller.
    pub(super) rate: Quota,
    /// The most calls in progress of each caller.
    pub(super) max_in_progress: usize,
    known: Mutex<Callers>,
}

struct Callers {
    shares: HashMap<QuotaKey, Arc<CallerUsage>>,
    /// The time of the last eviction.
    evicted_at: Instant,
}

/// The use that one caller has made of its quota.
struct CallerUsage {
    pace: DefaultDirectRateLimiter,
    /// The number of calls in progress.
    open: AtomicUsize,
}

/// A permit for one call in progress. It is released when this is dropped.
pub(super) struct CallPermit(Arc<CallerUsage>);

/// The quota that is used up.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum QuotaExceeded {
    /// The rate of calls, with the time to wait until the next call is allowed.
    Rate(Duration),
    /// The number of calls in progress.
    InProgress,
}

impl CallerQuotas {
    pub(super) fn new(often: Quota, at_a_time: usize) -> Self {
        let known = Callers { shares: HashMap::new(), evicted_at: Instant::now() };
        Self { rate: often, max_in_progress: at_a_time, known: Mutex::new(known) }
    }

    /// Takes a permit for a call of `caller`. Fails if the caller exceeds its rate, or has as many calls in progress as
    /// it may.
    pub(super) fn acquire(&self, caller: &QuotaKey) -> Result<CallPermit, QuotaExceeded> {
        let share = self.of(caller);
        share.keep_pace().map_err(QuotaExceeded::Rate)?;
        let more = |open| (open < self.max_in_progress).then_some(open + 1);
        match share.open.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(CallPermit(share)),
            Err(_full) => Err(QuotaExceeded::InProgress),
        }
    }

    /// Counts a call of `caller` against its rate alone. Fails with the time to wait if the caller exceeds it.
    pub(super) fn check_rate(&self, caller: &QuotaKey) -> Result<(), Duration> {
        self.of(caller).keep_pace()
    }

    fn of(&self, caller: &QuotaKey) -> Arc<CallerUsage> {
        let mut known = self.lock();
        if let Some(share) = known.shares.get(caller) {
            return share.clone();
        }
        if known.shares.len() >= EVICTION_THRESHOLD && known.evicted_at.elapsed() >= EVICTION_INTERVAL {
            known.evict_idle(self.rate.burst_size());
        }
        let share = CallerUsage { pace: RateLimiter::direct(self.rate), open: AtomicUsize::new(0) };
        known.shares.entry(caller.clone()).or_insert(Arc::new(share)).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Callers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callers {
    fn evict_idle(&mut self, burst: NonZeroU32) {
        self.shares.retain(|_, share| {
            // A caller that may use a whole burst is idle. Its limiter is dropped, so that the burst taken here does
            // not count.
            let is_quiet = Arc::strong_count(share) == 1 && matches!(share.pace.check_n(burst), Ok(Ok(())));
            !is_quiet
        });
        self.shares.shrink_to(EVICTION_THRESHOLD);
        self.evicted_at = Instant::now();
    }
}

impl CallerUsage {
    fn keep_pace(&self) -> Result<(), Duration> {
        self.pace.check().map_err(|early| early.wait_time_from(MonotonicClock.now()))
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn caller(n: usize) -> QuotaKey {
        QuotaKey::Network(IpAddr::V4(Ipv4Addr::from_bits(n as u32)))
    }

    fn per_hour(n: u32) -> Quota {
        Quota::per_hour(NonZeroU32::new(n).unwrap())
    }

    #[test]
    fn each_has_so_many_at_a_time_and_so_often() {
        let shares = CallerQuotas::new(per_hour(5), 2);
        let (eve, ada) = (caller(0), caller(1));
        let first = shares.acquire(&eve).unwrap();
        let _second = shares.acquire(&eve).unwrap();
        assert_eq!(shares.acquire(&eve).err(), Some(QuotaExceeded::InProgress));
        assert!(shares.acquire(&ada).is_ok(), "each caller has its own quota");
        drop(first);
        let _third = shares.acquire(&eve).unwrap();
        assert_eq!(shares.check_rate(&eve), Ok(()));
        let wait = shares.check_rate(&eve).unwrap_err();
        assert!(wait > Duration::from_secs(700) && wait <= Duration::from_secs(720), "{wait:?}");
        assert_eq!(shares.check_rate(&ada), Ok(()));
    }

    #[test]
    fn those_who_are_quiet_are_forgotten_and_no_others() {
        let shares = CallerQuotas::new(Quota::per_second(NonZeroU32::MAX), 1);
        let held: Vec<_> = (0..3).map(|n| shares.acquire(&caller(n)).unwrap()).collect();
        (3..EVICTION_THRESHOLD).for_each(|n| shares.check_rate(&caller(n)).unwrap());
        shares.lock().evicted_at -= EVICTION_INTERVAL;
        shares.check_rate(&caller(EVICTION_THRESHOLD)).unwrap();
        assert_eq!(shares.lock().shares.len(), held.len() + 1);
        assert!(shares.acquire(&caller(0)).is_err(), "the permit is still held");
    }

    #[test]
    fn who_was_in_a_hurry_is_remembered() {
        let shares = CallerQuotas::new(per_hour(1), 1);
        (0..EVICTION_THRESHOLD).for_each(|n| shares.check_rate(&caller(n)).unwrap());
        shares.lock().evicted_at -= EVICTION_INTERVAL;
        shares.check_rate(&caller(EVICTION_THRESHOLD)).unwrap();
        assert!(shares.check_rate(&caller(0)).is_err());
    }
}
