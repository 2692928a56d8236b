//! What somebody costs, paid by the passing of time.

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

/// What may be had at once.
const AT_ONCE: Duration = Duration::from_secs(2);
/// More than so long is nobody in debt, so that we hear of it soon when they leave.
pub(super) const LONGEST: Duration = Duration::from_secs(2);
/// A pause is so many times as long as the debt, at random: those of a flood are not to go on all at once.
pub(super) const PAUSE: Range<f64> = 1.0..1.5;
/// Accounts to keep before those that are paid are closed.
const KEPT: usize = 1_024;

/// What somebody has had that so many are for free of, a second. Cheap to clone; all clones are one account.
#[derive(Clone)]
pub(super) struct Account(Arc<Spent>);

struct Spent {
    began: Instant,
    /// What one costs, in nanoseconds.
    one: u64,
    /// Until when all is paid, in nanoseconds from the beginning.
    until: AtomicU64,
    /// When somebody looked at the clock last, in the same.
    seen: AtomicU64,
}

/// How somebody stands with an [`Account`].
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Good,
    /// More than half of what may be had at once has been.
    Low,
    /// And all of it, by so much.
    Overdrawn(Duration),
}

impl Account {
    /// In which `per_second` are for free, and twice as many at once.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let one = 1_000_000_000 / u64::from(per_second.get());
        let (until, seen) = Default::default();
        Self(Arc::new(Spent { began: Instant::now(), one, until, seen }))
    }

    pub(super) fn charge(&self, count: u32) {
        if count > 0 {
            let now = self.now();
            let most = now + nanos(AT_ONCE + LONGEST);
            let cost = u64::from(count).saturating_mul(self.0.one);
            let spent = |until: u64| Some(until.max(now).saturating_add(cost).min(most));
            // It never fails: there is always something to write.
            let _ = self.0.until.fetch_update(Relaxed, Relaxed, spent);
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let until = self.0.until.load(Relaxed);
        // Who stood well when somebody looked last stands no worse now: for most it takes no look at the clock.
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

    /// How long to wait, if it is overdrawn.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.standing() {
            Standing::Overdrawn(debt) => Some(debt.mul_f64(rand::random_range(PAUSE))),
            Standing::Low | Standing::Good => None,
        }
    }

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

/// An account for each of many.
pub(super) struct Accounts<K> {
    per_second: NonZeroU32,
    open: HashMap<K, Account>,
    /// When those that were paid were closed last.
    closed: Instant,
}

impl<K: Hash + Eq> Accounts<K> {
    /// As [`Account::new`] has each of them.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, open: HashMap::new(), closed: Instant::now() }
    }

    pub(super) fn of(&mut self, holder: K) -> &Account {
        if self.open.len() > KEPT && self.closed.elapsed() >= AT_ONCE {
            self.close_paid();
        }
        self.open.entry(holder).or_insert_with(|| Account::new(self.per_second))
    }

    /// But for those that somebody may still charge.
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
        assert_eq!(account.standing(), Standing::Low, "so much at once");
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
