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

use super::{admission::CallPermits, calls::CallObserver, terminable_body::TerminableBody};

/// The time between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The number of lists that responses are spread over, so that responses that begin or end at the same time seldom
/// contend for a lock.
const SHARDS: usize = 64;

/// A response body, with what its call holds until it ends.
pub(super) struct ResponseState {
    pub(super) body: TerminableBody,
    pub(super) outcome: CallObserver,
    /// The permits of the call. `None` when the call has ended, even if the transport has not polled the end of the
    /// body yet.
    pub(super) admitted: Option<CallPermits>,
}

impl ResponseState {
    /// Counts one sweep. If the response has ended by that, releases the permits and records the status of the call.
    fn sweep(&mut self) {
        if self.body.sweep() {
            self.admitted = None;
            self.outcome.close(self.body.ended_with());
        }
    }
}

/// The sweeper and the responses that it watches. Cheap to clone.
#[derive(Clone)]
pub(super) struct StallSweeper(Arc<[List; SHARDS]>);

type List = Mutex<Slab<Arc<Mutex<ResponseState>>>>;

impl Default for StallSweeper {
    fn default() -> Self {
        Self(Arc::new(array::from_fn(|_| List::default())))
    }
}

impl StallSweeper {
    /// Starts the sweeper. It stops when the last handle is dropped.
    pub(super) fn start(&self) {
        let lists = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut rounds = interval(SWEEP_INTERVAL);
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
                    answers.into_iter().for_each(|held| lock(&held).sweep());
                    // There may be thousands of responses, and other tasks must not wait for a whole sweep.
                    yield_now().await;
                }
            }
        });
    }

    /// Adds a response to those that are swept.
    pub(super) fn watch(&self, held: ResponseState) -> SweptResponse {
        let held = Arc::new(Mutex::new(held));
        // The address in memory spreads responses evenly, like a random number would.
        let list = Arc::as_ptr(&held).addr() / size_of::<Mutex<ResponseState>>() % SHARDS;
        let place = lock(&self.0[list]).insert(held.clone());
        SweptResponse { held, rounds: self.clone(), list, place }
    }
}

/// A response that is swept until this is dropped.
pub(super) struct SweptResponse {
    held: Arc<Mutex<ResponseState>>,
    rounds: StallSweeper,
    list: usize,
    place: usize,
}

impl SweptResponse {
    pub(super) fn lock(&self) -> MutexGuard<'_, ResponseState> {
        lock(&self.held)
    }
}

impl Drop for SweptResponse {
    fn drop(&mut self) {
        lock(&self.rounds.0[self.list]).remove(self.place);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
