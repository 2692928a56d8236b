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
const AT_ONCE: Duration = Duration::from_secs(2);
/// The largest debt, as the time in which it is paid. A throttled connection is not read, so this also bounds the time
/// until its end is noticed.
pub(super) const LONGEST: Duration = Duration::from_secs(2);
/// The length of a pause as a multiple of the debt. It is random, so that the connections of a flood do not all
/// continue at the same moment.
pub(super) const PAUSE: Range<f64> = 1.0..1.5;
/// The number of accounts from which on full ones are evicted.
const KEPT: usize = 1_024;

/// A token bucket that may go into debt. Cheap to clone; all clones share one bucket.
#[derive(Clone)]
pub(super) struct Account(Arc<Spent>);

struct Spent {
    began: Instant,
    /// The time in which one token refills, in nanoseconds.
    one: u64,
    /// The time at which the bucket is full again, in nanoseconds since `began`.
    until: AtomicU64,
    /// The last time that was read from the clock, in nanoseconds since `began`.
    seen: AtomicU64,
}

/// The state of an [`Account`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// At least half of the burst is left.
    Good,
    /// Less than half of the burst is left.
    Low,
    /// The bucket is in debt, which is paid in this time.
    Overdrawn(Duration),
}

impl Account {
    /// A full bucket that refills at `per_second` tokens per second. Its burst is twice as many tokens.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let one = 1_000_000_000 / u64::from(per_second.get());
        let (until, seen) = Default::default();
        Self(Arc::new(Spent { began: Instant::now(), one, until, seen }))
    }

    /// Takes `count` tokens. The debt grows to at most [`LONGEST`].
    pub(super) fn charge(&self, count: u32) {
        if count > 0 {
            let now = self.now();
            let most = now + nanos(AT_ONCE + LONGEST);
            let cost = u64::from(count).saturating_mul(self.0.one);
            let spent = |until: u64| Some(until.max(now).saturating_add(cost).min(most));
            // The closure always returns a value, so this never fails.
            let _ = self.0.until.fetch_update(Relaxed, Relaxed, spent);
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let until = self.0.until.load(Relaxed);
        // Time only improves the state. If it was good at the last reading of the clock, it is good now, and most calls
        // need no new reading.
        if until <= self.0.seen.load(Relaxed) + nanos(AT_ONCE / 2) {
            return Standing::Good;
        }
        let spent = Duration::from_nanos(until.saturating_sub(self.now()));
        if spent > AT_ONCE {
            Standing::Overdrawn(spent - AT_ONCE)
        } else if spent > AT_ONCE / 2 {
            Standing::Low
        } else {
            Standing::Good
        }
    }

    /// Returns the time to wait if the bucket is in debt: the debt times a random factor of [`PAUSE`].
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.standing() {
            Standing::Overdrawn(debt) => Some(debt.mul_f64(rand::random_range(PAUSE))),
            Standing::Low | Standing::Good => None,
        }
    }

    /// Returns `true` if the bucket is full.
    fn is_paid(&self) -> bool {
        self.0.until.load(Relaxed) <= self.now()
    }

    fn now(&self) -> u64 {
        let now = nanos(self.0.began.elapsed());
        self.0.seen.store(now, Relaxed);
        now
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// One [`Account`] per key.
pub(super) struct Accounts<K> {
    per_second: NonZeroU32,
    open: HashMap<K, Account>,
    /// The time of the last eviction.
    closed: Instant,
}

impl<K: Hash + Eq> Accounts<K> {
    /// Accounts that each refill at `per_second` tokens per second.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, open: HashMap::new(), closed: Instant::now() }
    }

    /// Returns the account of `holder`, which begins full.
    pub(super) fn of(&mut self, holder: K) -> &Account {
        if self.open.len() > KEPT && self.closed.elapsed() >= AT_ONCE {
            self.close_paid();
        }
        self.open.entry(holder).or_insert_with(|| Account::new(self.per_second))
    }

    /// Evicts the accounts that are full and have no other clone: a clone may still be charged.
    fn close_paid(&mut self) {
        self.open.retain(|_, account| Arc::strong_count(&account.0) > 1 || !account.is_paid());
        self.open.shrink_to(KEPT);
        self.closed = Instant::now();
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
        let account = Account::new(a_second(10));
        account.charge(10);
        assert_eq!(account.standing(), Standing::Good);
        account.charge(10);
        assert_eq!(account.standing(), Standing::Low, "after 20 tokens, the whole burst");
        account.charge(3);
        assert_eq!(account.standing(), Standing::Overdrawn(3 * ONE));
        advance(2 * ONE).await;
        assert_eq!(account.standing(), Standing::Overdrawn(ONE));
        advance(11 * ONE).await;
        assert_eq!(account.standing(), Standing::Good);
        account.charge(u32::MAX);
        assert_eq!(account.standing(), Standing::Overdrawn(LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_kept_while_somebody_owes_or_holds_them() {
        let mut accounts = Accounts::new(a_second(1));
        for holder in 0..KEPT {
            accounts.of(holder).charge(1);
        }
        let held = accounts.of(KEPT).clone();
        accounts.of(KEPT + 1).charge(4);
        advance(AT_ONCE).await;
        accounts.of(KEPT + 2);
        assert_eq!(accounts.open.len(), 3);
        held.charge(3);
        assert_eq!(accounts.of(KEPT).standing(), Standing::Overdrawn(Duration::from_secs(1)));
    }
}
