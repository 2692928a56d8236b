//! How many bytes a second one viewer may be sent.

use std::{num::NonZeroU32, time::Duration};

/// How far ahead of its time a message may go.
const BURST: Duration = Duration::from_secs(1);

/// A ceiling that is kept by waiting, not by queueing: each message is paid for after it was sent, and the next may
/// go once little is owed. In any time `t` goes out what `t + BURST` pays for, and one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// `None`: no ceiling.
    per_second: Option<NonZeroU32>,
    /// When all that was sent will be paid for.
    paid_at: Duration,
}

impl Allowance {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, paid_at: Duration::ZERO }
    }

    /// Whether another message may be sent.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.paid_at <= now + BURST
    }

    /// Notes a message that is sent.
    pub(super) fn spend(&mut self, bytes: usize, now: Duration) {
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
        let mut allowance = Allowance::new(None);
        allowance.spend(usize::MAX, Duration::ZERO);
        assert!(allowance.allows(Duration::ZERO));
    }

    proptest! {
        /// Whatever there is to send, at whatever pace, less than the ceiling goes out, and not much less.
        #[test]
        fn the_ceiling_holds_and_is_used(
            per_second in 1_000..1_000_000u32,
            sizes in prop::collection::vec(1..100_000usize, 1..200),
            tick_ms in 20..2_000u64,
        ) {
            let mut allowance = Allowance::new(NonZeroU32::new(per_second));
            let (mut sent, mut now) = (0, Duration::ZERO);
            let started = now;
            let mut largest = 0;
            for bytes in sizes {
                let asked = now;
                while !allowance.allows(now) {
                    now += Duration::from_millis(tick_ms);
                }
                let owed = Duration::from_secs_f64(largest as f64 / f64::from(per_second));
                prop_assert!(now <= asked + owed + Duration::from_millis(tick_ms), "it waits for no more than it must");
                allowance.spend(bytes, now);
                sent += bytes;
                largest = largest.max(bytes);
                let covered = (now - started + BURST).as_secs_f64() * f64::from(per_second);
                prop_assert!(sent as f64 <= covered + largest as f64 + 1.0);
                now += Duration::from_millis(tick_ms);
            }
        }
    }
}
