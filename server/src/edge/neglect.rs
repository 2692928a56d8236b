//! Answers whose client takes nothing. Their transport is stuck and polls nobody, so that by themselves they would keep
//! what they hold, past their deadline and the end of their session.

use std::{
    array,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, interval};

use super::{admission::Admitted, calls::Outcome, ending::Ending};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Every call is on one of so many lists: two that begin at once seldom meet.
const LISTS: usize = 16;
/// What a list has room for at least before those that are gone are struck off.
const ROOM: usize = 64;

/// An answer, and what its call holds until it is over.
pub(super) struct Held {
    pub(super) body: Ending,
    pub(super) outcome: Outcome,
    /// `None`: it is over, though nobody has asked for its end yet.
    pub(super) admitted: Option<Admitted>,
}

impl Held {
    fn is_over_unasked(&mut self, now: Instant) -> bool {
        let is_over = self.body.is_over_unasked(now);
        if is_over {
            self.admitted = None;
            self.outcome.close(self.body.last_word());
        }
        is_over
    }
}

pub(super) fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes past the answers that are there.
pub(super) struct Rounds(Arc<[List; LISTS]>);

impl Default for Rounds {
    fn default() -> Self {
        Self(Arc::new(array::from_fn(|_| List::default())))
    }
}

impl Rounds {
    /// Begins to go, for as long as there is anyone who has these rounds.
    pub(super) fn begin(&self) {
        let lists = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut rounds = interval(ROUND);
            loop {
                rounds.tick().await;
                let Some(lists) = lists.upgrade() else { return };
                let now = Instant::now();
                lists.iter().for_each(|list| list.go(now));
            }
        });
    }

    /// Goes past this one too, until it is over.
    pub(super) fn add(&self, answer: &Arc<Mutex<Held>>) {
        // Where it lies in memory is as good as a lot that is drawn.
        let lot = Arc::as_ptr(answer).addr() / size_of::<Mutex<Held>>();
        self.0[lot % LISTS].add(Arc::downgrade(answer));
    }
}

#[derive(Default)]
struct List(Mutex<Vec<Weak<Mutex<Held>>>>);

impl List {
    /// Nearly all are taken at once, and gone before a round: so many of them are struck off at a time that none costs
    /// more than two looks.
    fn add(&self, answer: Weak<Mutex<Held>>) {
        let mut answers = self.lock();
        if answers.len() == answers.capacity() {
            answers.retain(|answer| answer.strong_count() > 0);
            let room = answers.len().max(ROOM);
            answers.reserve(room);
        }
        answers.push(answer);
    }

    fn go(&self, now: Instant) {
        self.lock().retain(|answer| answer.upgrade().is_some_and(|held| !lock(&held).is_over_unasked(now)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Mutex<Held>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
