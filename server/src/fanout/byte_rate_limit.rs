//! The rate limit of one viewer in bytes per second.

use std::{num::NonZeroU32, time::Duration};

/// The debt up to which the next message is allowed, as the time in which the limit pays for it.
const BURST: Duration = Duration::from_secs(1);

/// A rate limit that delays messages and does not queue them. Each message is charged after it was sent, and the next
/// one is allowed once the debt is at most [`BURST`]. In any time `t` at most `t + BURST` of the limit is sent, and
/// one message more.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteRateLimit {
    /// `None`: no limit.
    per_second: Option<NonZeroU32>,
    /// The time at which the debt is paid.
    paid_at: Duration,
}

impl ByteRateLimit {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, paid_at: Duration::ZERO }
    }

    /// Returns `true` if another message may be sent at `now`.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.paid_at <= now + BURST
    }

    /// Charges a message that is sent at `now`.
    pub(super) fn charge(&mut self, bytes: usize, now: Duration) {
        let Some(per_second) = self.per_second else { return };
        let price = Duration::from_secs_f64(bytes as f64 / f64::from(per_second.get()));
        self.paid_at = self.paid_at.max(now) + price;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_ceiling_all_goes() {
        let mut allowance = ByteRateLimit::new(None);
        allowance.charge(usize::MAX, Duration::ZERO);
        assert!(allowance.allows(Duration::ZERO));
    }

    proptest! {
        /// Messages of any size at any pace stay below the limit, and none waits longer than the limit requires.
        #[test]
        fn the_ceiling_holds_and_is_used(
            per_second in 1_000..1_000_000u32,
            sizes in prop::collection::vec(1..100_000usize, 1..200),
            tick_ms in 20..2_000u64,
        ) {
            let mut allowance = ByteRateLimit::new(NonZeroU32::new(per_second));
            let (mut sent, mut now) = (0, Duration::ZERO);
            let started = now;
            let mut largest = 0;
            for bytes in sizes {
                let asked = now;
                while !allowance.allows(now) {
                    now += Duration::from_millis(tick_ms);
                }
                let owed = Duration::from_secs_f64(largest as f64 / f64::from(per_second));
                prop_assert!(now <= asked + owed + Duration::from_millis(tick_ms), "waits longer than it must");
                allowance.charge(bytes, now);
                sent += bytes;
                largest = largest.max(bytes);
                let covered = (now - started + BURST).as_secs_f64() * f64::from(per_second);
                prop_assert!(sent as f64 <= covered + largest as f64 + 1.0);
                now += Duration::from_millis(tick_ms);
            }
        }
    }
}
