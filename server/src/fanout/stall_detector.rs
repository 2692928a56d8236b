//! The detector of viewers that no longer read.
//!
//! A transport that is blocked does not poll its viewer, so the viewer cannot find out by itself. Each viewer records
//! when it took its last board, and the fan-out checks all viewers at intervals. The edge looks at the slots too, and
//! ends the response body of a viewer that has expired. All times are uptimes of the fan-out.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The slots of all open viewers.
#[derive(Debug)]
pub(super) struct StallDetector {
    timeout: Duration,
    slots: Mutex<Vec<Weak<ViewerSlot>>>,
}

/// The progress of one viewer, shared with the fan-out and the edge. No other memory depends on its fields, so
/// `Relaxed` suffices.
#[derive(Debug)]
pub struct ViewerSlot {
    /// The uptime in milliseconds at which the viewer took its last board.
    last_active_ms: AtomicU64,
    expired: AtomicBool,
}

impl StallDetector {
    /// Returns a detector without viewers. A viewer that takes no board for `timeout` expires.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, slots: Mutex::default() }
    }

    /// Adds a slot. It is removed after its last handle was dropped.
    pub(super) fn register(&self, now: Duration) -> Arc<ViewerSlot> {
        let seat =
            Arc::new(ViewerSlot { last_active_ms: AtomicU64::default(), expired: AtomicBool::new(false) });
        seat.mark_active(now);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&seat));
        seat
    }

    /// Expires the viewers that took no board for the timeout. Returns their number.
    pub(super) fn expire_stalled(&self, now: Duration) -> usize {
        let mut seats = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seats.len();
        let mut gone = 0;
        seats.retain(|seat| {
            let Some(seat) = seat.upgrade() else {
                gone += 1;
                return false;
            };
            let keeps = now.saturating_sub(seat.last_active()) < self.timeout;
            seat.expired.store(!keeps, Relaxed);
            keeps
        });
        before - gone - seats.len()
    }
}

impl ViewerSlot {
    /// Returns `true` if the viewer took no board for the timeout. The viewer itself learns it only at its next poll.
    pub fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    /// Records that the viewer takes a board at `now`. Returns `false` if it has expired already.
    pub(super) fn mark_active(&self, now: Duration) -> bool {
        self.last_active_ms.store(now.as_millis() as u64, Relaxed);
        !self.is_expired()
    }

    fn last_active(&self) -> Duration {
        Duration::from_millis(self.last_active_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_takes_nothing_for_too_long_loses_the_seat_and_is_counted_once() {
        let attendance = StallDetector::new(at(20));
        let [awake, stuck, left] = [0, 0, 0].map(|now| attendance.register(at(now)));
        drop(left);
        assert!(awake.mark_active(at(19)));
        assert_eq!([19, 20, 21].map(|now| attendance.expire_stalled(at(now))), [0, 1, 0]);
        assert!(stuck.is_expired() && !awake.is_expired());
        assert!(awake.mark_active(at(21)));
        assert!(!stuck.mark_active(at(21)), "an expired viewer does not come back");
        assert_eq!(attendance.slots.into_inner().expect("no panic").len(), 1);
    }
}
