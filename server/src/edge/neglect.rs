//! Answers whose client takes nothing. Their transport is stuck and polls nobody, so that by themselves they would keep
//! what they hold, past their deadline and the end of their session.

use std::{
    array,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slab::Slab;
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};

use super::{admission::Admitted, calls::Outcome, ending::Ending};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Every answer is on one of so many lists: two that begin or end at once seldom meet.
const LISTS: usize = 64;

/// An answer, and what its call holds until it is over.
pub(super) struct Held {
    pub(super) body: Ending,
    pub(super) outcome: Outcome,
    /// `None`: it is over, though nobody has asked for its end yet.
    pub(super) admitted: Option<Admitted>,
}

impl Held {
    fn pass(&mut self) {
        if self.body.pass_round() {
            self.admitted = None;
            self.outcome.close(self.body.last_word());
        }
    }
}

/// Goes past the answers that are there. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rounds(Arc<[List; LISTS]>);

type List = Mutex<Slab<Arc<Mutex<Held>>>>;

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
            rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                rounds.tick().await;
                let Some(lists) = lists.upgrade() else { return };
                for list in lists.iter() {
                    // No list is locked while an answer ends.
                    let answers: Vec<_> = lock(list).iter().map(|(_, held)| held.clone()).collect();
                    if answers.is_empty() {
                        continue;
                    }
                    answers.into_iter().for_each(|held| lock(&held).pass());
                    // Calls do not wait until all of some thousands have been passed.
                    yield_now().await;
                }
            }
        });
    }

    /// Goes past this one too.
    pub(super) fn watch(&self, held: Held) -> Watched {
        let held = Arc::new(Mutex::new(held));
        // Where it lies in memory is as good as a lot that is drawn.
        let list = Arc::as_ptr(&held).addr() / size_of::<Mutex<Held>>() % LISTS;
        let place = lock(&self.0[list]).insert(held.clone());
        Watched { held, rounds: self.clone(), list, place }
    }
}

/// An answer that the rounds go past until this is dropped.
pub(super) struct Watched {
    held: Arc<Mutex<Held>>,
    rounds: Rounds,
    list: usize,
    place: usize,
}

impl Watched {
    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.rounds.0[self.list]).remove(self.place);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
