//! Token buckets that may go into debt, alone and per key.
//!
//! A charge never fails. The user of a bucket asks it afterwards whether to pause, and for how long.

use std::{
    collections::HashMap,
    hash::Hash,
    num::NonZeroU32,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The burst: the tokens that may be used at once, as the time in which they refill.
const BURST_DURATION: Duration = Duration::from_secs(2);
/// The largest debt, as the time in which it is paid. A throttled connection is not read, so this also bounds the time
/// until its end is noticed.
pub(super) const MAX_DEBT: Duration = Duration::from_secs(2);
/// The length of a pause as a multiple of the debt. It is random, so that the connections of a flood do not all
/// continue at the same moment.
pub(super) const PAUSE_FACTOR: Range<f64> = 1.0..1.5;
/// The number of accounts from which on full ones are evicted.
const EVICT_ABOVE: usize = 1_024;

/// A token bucket that may go into debt. Cheap to clone; all clones share one bucket.
#[derive(Clone)]
pub(super) struct TokenBucket(Arc<TokenBucketInner>);

struct TokenBucketInner {
    began: Instant,
    /// The time in which one token refills, in nanoseconds.
    nanos_per_token: u64,
    /// The time at which the bucket is full again, in nanoseconds since `began`.
    full_at: AtomicU64,
    /// The last time that was read from the clock, in nanoseconds since `began`.
    last_reading: AtomicU64,
}

/// The state of an [`TokenBucket`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum BucketState {
    /// At least half of the burst is left.
    Good,
    /// Less than half of the burst is left.
    Low,
    /// The bucket is in debt, which is paid in this time.
    Exhausted(Duration),
}

impl TokenBucket {
    /// A full bucket that refills at `per_second` tokens per second. Its burst is twice as many tokens.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let one = 1_000_000_000 / u64::from(per_second.get());
        let (until, seen) = Default::default();
        Self(Arc::new(TokenBucketInner {
            began: Instant::now(),
            nanos_per_token: one,
            full_at: until,
            last_reading: seen,
        }))
    }

    /// Takes `count` tokens. The debt grows to at most [`MAX_DEBT`].
    pub(super) fn charge(&self, count: u32) {
        if count > 0 {
            let now = self.now();
            let most = now + nanos(BURST_DURATION + MAX_DEBT);
            let cost = u64::from(count).saturating_mul(self.0.nanos_per_token);
            let spent = |until: u64| Some(until.max(now).saturating_add(cost).min(most));
            // The closure always returns a value, so this never fails.
            let _ = self.0.full_at.fetch_update(Relaxed, Relaxed, spent);
        }
    }

    pub(super) fn state(&self) -> BucketState {
        let until = self.0.full_at.load(Relaxed);
        // Time only improves the state. If it was good at the last reading of the clock, it is good now, and most calls
        // need no new reading.
        if until <= self.0.last_reading.load(Relaxed) + nanos(BURST_DURATION / 2) {
            return BucketState::Good;
        }
        let spent = Duration::from_nanos(until.saturating_sub(self.now()));
        if spent > BURST_DURATION {
            BucketState::Exhausted(spent - BURST_DURATION)
        } else if spent > BURST_DURATION / 2 {
            BucketState::Low
        } else {
            BucketState::Good
        }
    }

    /// Returns the time to wait if the bucket is in debt: the debt times a random factor of [`PAUSE_FACTOR`].
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.state() {
            BucketState::Exhausted(debt) => Some(debt.mul_f64(rand::random_range(PAUSE_FACTOR))),
            BucketState::Low | BucketState::Good => None,
        }
    }

    /// Returns `true` if the bucket is full.
    fn is_full(&self) -> bool {
        self.0.full_at.load(Relaxed) <= self.now()
    }

    fn now(&self) -> u64 {
        let now = nanos(self.0.began.elapsed());
        self.0.last_reading.store(now, Relaxed);
        now
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// One [`TokenBucket`] per key.
pub(super) struct KeyedBuckets<K> {
    per_second: NonZeroU32,
    buckets: HashMap<K, TokenBucket>,
    /// The time of the last eviction.
    evicted_at: Instant,
}

impl<K: Hash + Eq> KeyedBuckets<K> {
    /// Accounts that each refill at `per_second` tokens per second.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, buckets: HashMap::new(), evicted_at: Instant::now() }
    }

    /// Returns the account of `holder`, which begins full.
    pub(super) fn bucket(&mut self, holder: K) -> &TokenBucket {
        if self.buckets.len() > EVICT_ABOVE && self.evicted_at.elapsed() >= BURST_DURATION {
            self.evict_full();
        }
        self.buckets.entry(holder).or_insert_with(|| TokenBucket::new(self.per_second))
    }

    /// Evicts the accounts that are full and have no other clone: a clone may still be charged.
    fn evict_full(&mut self) {
        self.buckets.retain(|_, account| Arc::strong_count(&account.0) > 1 || !account.is_full());
        self.buckets.shrink_to(EVICT_ABOVE);
        self.evicted_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const ONE: Duration = Duration::from_millis(100);

    fn a_second(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_had_is_paid_by_time() {
        let account = TokenBucket::new(a_second(10));
        account.charge(10);
        assert_eq!(account.state(), BucketState::Good);
        account.charge(10);
        assert_eq!(account.state(), BucketState::Low, "after 20 tokens, the whole burst");
        account.charge(3);
        assert_eq!(account.state(), BucketState::Exhausted(3 * ONE));
        advance(2 * ONE).await;
        assert_eq!(account.state(), BucketState::Exhausted(ONE));
        advance(11 * ONE).await;
        assert_eq!(account.state(), BucketState::Good);
        account.charge(u32::MAX);
        assert_eq!(account.state(), BucketState::Exhausted(MAX_DEBT));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_kept_while_somebody_owes_or_holds_them() {
        let mut accounts = KeyedBuckets::new(a_second(1));
        for holder in 0..EVICT_ABOVE {
            accounts.bucket(holder).charge(1);
        }
        let held = accounts.bucket(EVICT_ABOVE).clone();
        accounts.bucket(EVICT_ABOVE + 1).charge(4);
        advance(BURST_DURATION).await;
        accounts.bucket(EVICT_ABOVE + 2);
        assert_eq!(accounts.buckets.len(), 3);
        held.charge(3);
        assert_eq!(accounts.bucket(EVICT_ABOVE).state(), BucketState::Exhausted(Duration::from_secs(1)));
    }
}
