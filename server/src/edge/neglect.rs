//! Streams whose client takes nothing. Their transport is stuck and polls nobody, so that by themselves they would keep
//! what they hold, past their deadline and the end of their session.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, interval};

use super::{admission::Admitted, ending::Ending};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// An answer, and what its call holds until it is over.
pub(super) struct Held {
    pub(super) body: Ending,
    /// `None`: it is over, though nobody has asked for its end yet.
    pub(super) admitted: Option<Admitted>,
}

pub(super) fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes past the streams that are open.
#[derive(Default)]
pub(super) struct Rounds(Arc<Mutex<Vec<Weak<Mutex<Held>>>>>);

impl Rounds {
    /// Begins to go, for as long as there is anyone who has these rounds.
    pub(super) fn begin(&self) {
        let streams = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut rounds = interval(ROUND);
            loop {
                rounds.tick().await;
                let Some(streams) = streams.upgrade() else { return };
                go(&streams, Instant::now());
            }
        });
    }

    /// Goes past this one too, until it is over.
    pub(super) fn add(&self, stream: &Arc<Mutex<Held>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(stream));
    }
}

fn go(streams: &Mutex<Vec<Weak<Mutex<Held>>>>, now: Instant) {
    streams.lock().unwrap_or_else(PoisonError::into_inner).retain(|stream| {
        let Some(stream) = stream.upgrade() else { return false };
        let mut held = lock(&stream);
        let over = held.body.is_over_unasked(now);
        if over {
            held.admitted = None;
        }
        !over
    });
}
