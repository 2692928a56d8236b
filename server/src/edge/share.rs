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

use super::peer::Caller;

/// The number of callers from which on idle ones are evicted.
const REMEMBERED: usize = 1_024;
/// The least time between two evictions.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// The quotas of all callers, with the use that each caller has made of its own.
pub(super) struct Shares {
    /// The rate of each caller.
    pub(super) often: Quota,
    /// The most calls in progress of each caller.
    pub(super) at_a_time: usize,
    known: Mutex<Known>,
}

struct Known {
    shares: HashMap<Caller, Arc<Share>>,
    /// The time of the last eviction.
    forgot: Instant,
}

/// The use that one caller has made of its quota.
struct Share {
    pace: DefaultDirectRateLimiter,
    /// The number of calls in progress.
    open: AtomicUsize,
}

/// A permit for one call in progress. It is released when this is dropped.
pub(super) struct Open(Arc<Share>);

/// The quota that is used up.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NoMore {
    /// The rate. The next call is allowed after this time.
    TooOften(Duration),
    /// The number of calls in progress.
    TooManyOpen,
}

impl Shares {
    pub(super) fn new(often: Quota, at_a_time: usize) -> Self {
        let known = Known { shares: HashMap::new(), forgot: Instant::now() };
        Self { often, at_a_time, known: Mutex::new(known) }
    }

    /// Takes a permit for a call of `caller`. Fails if the caller exceeds its rate, or has as many calls in progress as
    /// it may.
    pub(super) fn take(&self, caller: &Caller) -> Result<Open, NoMore> {
        let share = self.of(caller);
        share.keep_pace().map_err(NoMore::TooOften)?;
        let more = |open| (open < self.at_a_time).then_some(open + 1);
        match share.open.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(Open(share)),
            Err(_full) => Err(NoMore::TooManyOpen),
        }
    }

    /// Counts a call of `caller` against its rate alone. Fails with the time to wait if the caller exceeds it.
    pub(super) fn keep_pace(&self, caller: &Caller) -> Result<(), Duration> {
        self.of(caller).keep_pace()
    }

    fn of(&self, caller: &Caller) -> Arc<Share> {
        let mut known = self.lock();
        if let Some(share) = known.shares.get(caller) {
            return share.clone();
        }
        if known.shares.len() >= REMEMBERED && known.forgot.elapsed() >= FORGET_EVERY {
            known.forget_the_quiet(self.often.burst_size());
        }
        let share = Share { pace: RateLimiter::direct(self.often), open: AtomicUsize::new(0) };
        known.shares.entry(caller.clone()).or_insert(Arc::new(share)).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget_the_quiet(&mut self, burst: NonZeroU32) {
        self.shares.retain(|_, share| {
            // A caller that may use a whole burst is idle. Its limiter is dropped, so that the burst taken here does
            // not count.
            let is_quiet = Arc::strong_count(share) == 1 && matches!(share.pace.check_n(burst), Ok(Ok(())));
            !is_quiet
        });
        self.shares.shrink_to(REMEMBERED);
        self.forgot = Instant::now();
    }
}

impl Share {
    fn keep_pace(&self) -> Result<(), Duration> {
        self.pace.check().map_err(|early| early.wait_time_from(MonotonicClock.now()))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn caller(n: usize) -> Caller {
        Caller::Home(IpAddr::V4(Ipv4Addr::from_bits(n as u32)))
    }

    fn per_hour(n: u32) -> Quota {
        Quota::per_hour(NonZeroU32::new(n).unwrap())
    }

    #[test]
    fn each_has_so_many_at_a_time_and_so_often() {
        let shares = Shares::new(per_hour(5), 2);
        let (eve, ada) = (caller(0), caller(1));
        let first = shares.take(&eve).unwrap();
        let _second = shares.take(&eve).unwrap();
        assert_eq!(shares.take(&eve).err(), Some(NoMore::TooManyOpen));
        assert!(shares.take(&ada).is_ok(), "each caller has its own quota");
        drop(first);
        let _third = shares.take(&eve).unwrap();
        assert_eq!(shares.keep_pace(&eve), Ok(()));
        let wait = shares.keep_pace(&eve).unwrap_err();
        assert!(wait > Duration::from_secs(700) && wait <= Duration::from_secs(720), "{wait:?}");
        assert_eq!(shares.keep_pace(&ada), Ok(()));
    }

    #[test]
    fn those_who_are_quiet_are_forgotten_and_no_others() {
        let shares = Shares::new(Quota::per_second(NonZeroU32::MAX), 1);
        let held: Vec<_> = (0..3).map(|n| shares.take(&caller(n)).unwrap()).collect();
        (3..REMEMBERED).for_each(|n| shares.keep_pace(&caller(n)).unwrap());
        shares.lock().forgot -= FORGET_EVERY;
        shares.keep_pace(&caller(REMEMBERED)).unwrap();
        assert_eq!(shares.lock().shares.len(), held.len() + 1);
        assert!(shares.take(&caller(0)).is_err(), "the permit is still held");
    }

    #[test]
    fn who_was_in_a_hurry_is_remembered() {
        let shares = Shares::new(per_hour(1), 1);
        (0..REMEMBERED).for_each(|n| shares.keep_pace(&caller(n)).unwrap());
        shares.lock().forgot -= FORGET_EVERY;
        shares.keep_pace(&caller(REMEMBERED)).unwrap();
        assert!(shares.keep_pace(&caller(0)).is_err());
    }
}
