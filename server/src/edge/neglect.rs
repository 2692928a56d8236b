//! A sweeper for stalled responses, whose client reads nothing.
//!
//! The transport of a stalled response polls neither its body nor its deadline. Without the sweeper, the call would
//! keep its permits past its deadline and past the end of its session.

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

/// The time between two sweeps.
const ROUND: Duration = Duration::from_secs(1);
/// The number of lists that responses are spread over, so that responses that begin or end at the same time seldom
/// contend for a lock.
const LISTS: usize = 64;

/// A response body, with what its call holds until it ends.
pub(super) struct Held {
    pub(super) body: Ending,
    pub(super) outcome: Outcome,
    /// The permits of the call. `None` when the call has ended, even if the transport has not polled the end of the
    /// body yet.
    pub(super) admitted: Option<Admitted>,
}

impl Held {
    /// Counts one sweep. If the response has ended by that, releases the permits and records the status of the call.
    fn pass(&mut self) {
        if self.body.pass_round() {
            self.admitted = None;
            self.outcome.close(self.body.last_word());
        }
    }
}

/// The sweeper and the responses that it watches. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rounds(Arc<[List; LISTS]>);

type List = Mutex<Slab<Arc<Mutex<Held>>>>;

impl Default for Rounds {
    fn default() -> Self {
        Self(Arc::new(array::from_fn(|_| List::default())))
    }
}

impl Rounds {
    /// Starts the sweeper. It stops when the last handle is dropped.
    pub(super) fn begin(&self) {
        let lists = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut rounds = interval(ROUND);
            rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                rounds.tick().await;
                let Some(lists) = lists.upgrade() else { return };
                for list in lists.iter() {
                    // The responses are cloned, so that the list is not locked while one of them ends.
                    let answers: Vec<_> = lock(list).iter().map(|(_, held)| held.clone()).collect();
                    if answers.is_empty() {
                        continue;
                    }
                    answers.into_iter().for_each(|held| lock(&held).pass());
                    // There may be thousands of responses, and other tasks must not wait for a whole sweep.
                    yield_now().await;
                }
            }
        });
    }

    /// Adds a response to those that are swept.
    pub(super) fn watch(&self, held: Held) -> Watched {
        let held = Arc::new(Mutex::new(held));
        // The address in memory spreads responses evenly, like a random number would.
        let list = Arc::as_ptr(&held).addr() / size_of::<Mutex<Held>>() % LISTS;
        let place = lock(&self.0[list]).insert(held.clone());
        Watched { held, rounds: self.clone(), list, place }
    }
}

/// A response that is swept until this is dropped.
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
