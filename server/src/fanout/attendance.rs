//! Who of the viewers still takes what is shown.
//!
//! A transport that is stuck asks its viewer for nothing, so that no viewer can find out by itself. They leave a
//! mark whenever they are asked, and the fan-out goes round and looks at the marks. The port goes round too, and ends
//! the answer of one who has lost the seat. Times are its uptime.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The seats of all viewers.
#[derive(Debug)]
pub(super) struct Attendance {
    timeout: Duration,
    seats: Mutex<Vec<Weak<Seat>>>,
}

/// One viewer's.
#[derive(Debug)]
pub struct Seat {
    /// When it was asked last, in milliseconds.
    asked: AtomicU64,
    is_taken_away: AtomicBool,
}

impl Attendance {
    /// Of nobody yet. Who takes nothing for `timeout` loses the seat.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, seats: Mutex::default() }
    }

    /// Gives a seat, which is free again once it is dropped.
    pub(super) fn take_seat(&self, now: Duration) -> Arc<Seat> {
        let seat = Arc::new(Seat { asked: AtomicU64::default(), is_taken_away: AtomicBool::new(false) });
        seat.is_kept(now);
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&seat));
        seat
    }

    /// Goes round, and says how many lost their seats.
    pub(super) fn go_round(&self, now: Duration) -> usize {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seats.len();
        let mut gone = 0;
        seats.retain(|seat| {
            let Some(seat) = seat.upgrade() else {
                gone += 1;
                return false;
            };
            let keeps = now.saturating_sub(seat.asked()) < self.timeout;
            seat.is_taken_away.store(!keeps, Relaxed);
            keeps
        });
        before - gone - seats.len()
    }
}

impl Seat {
    /// Whether its viewer took nothing for too long. It may not have been asked since, and so not know.
    pub fn is_lost(&self) -> bool {
        self.is_taken_away.load(Relaxed)
    }

    /// Leaves the mark that its viewer is asked for more. False: too late.
    pub(super) fn is_kept(&self, now: Duration) -> bool {
        self.asked.store(now.as_millis() as u64, Relaxed);
        !self.is_lost()
    }

    fn asked(&self) -> Duration {
        Duration::from_millis(self.asked.load(Relaxed))
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
        let attendance = Attendance::new(at(20));
        let [awake, stuck, left] = [0, 0, 0].map(|now| attendance.take_seat(at(now)));
        drop(left);
        assert!(awake.is_kept(at(19)));
        assert_eq!([19, 20, 21].map(|now| attendance.go_round(at(now))), [0, 1, 0]);
        assert!(stuck.is_lost() && !awake.is_lost());
        assert!(awake.is_kept(at(21)));
        assert!(!stuck.is_kept(at(21)), "it woke up too late");
        assert_eq!(attendance.seats.into_inner().expect("no panic").len(), 1);
    }
}
