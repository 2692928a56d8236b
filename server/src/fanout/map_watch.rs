//! A watch channel for boards that wakes viewers in a fair order and in batches.
//!
//! Viewers are woken in the order in which they began to wait, which is the order of the previous tick, so each
//! viewer waits about one tick for the next board. `tokio::sync::watch` wakes in a random order: a viewer that was
//! among the first and then is the last waits for up to a tick and a half. Between two batches other tasks run, so a
//! call does not wait until thousands of viewers have their frame.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::yield_now,
};

use super::fleet_map::FleetMap;

/// The number of groups of viewers. Each group has its own [`Notify`].
const GROUPS: usize = 512;
/// The number of viewers that are woken before other tasks get a turn. Less than tokio polls before it checks for
/// other events, so that woken tasks do not pile up.
const WAKE_BATCH: usize = 32;

/// Returns a publisher, and a first subscriber that has not seen `first`.
pub(super) fn channel(first: Arc<FleetMap>) -> (MapSender, MapReceiver) {
    let (sender, receiver) = watch::channel(Some(first));
    let bells =
        Arc::new(Wakers { of_group: std::array::from_fn(|_| Notify::new()), next: AtomicUsize::new(0) });
    (MapSender { board: sender, wakers: bells.clone() }, MapReceiver { board: receiver, bells, group: 0 })
}

#[derive(Debug)]
struct Wakers {
    of_group: [Notify; GROUPS],
    /// The group of the next subscriber.
    next: AtomicUsize,
}

/// Publishes boards. Subscribers get no more boards after it is dropped.
#[derive(Debug)]
pub(super) struct MapSender {
    board: watch::Sender<Option<Arc<FleetMap>>>,
    wakers: Arc<Wakers>,
}

/// A subscriber to the newest board.
#[derive(Debug)]
pub(super) struct MapReceiver {
    /// `None`: the publisher was dropped.
    board: watch::Receiver<Option<Arc<FleetMap>>>,
    bells: Arc<Wakers>,
    group: usize,
}

impl MapSender {
    /// Publishes a board. Returns after all subscribers were woken.
    pub(super) async fn publish(&self, board: Arc<FleetMap>) {
        self.board.send_replace(Some(board));
        let followers = Arc::strong_count(&self.wakers);
        let parts = (GROUPS * WAKE_BATCH / followers).clamp(1, GROUPS);
        for bells in self.wakers.of_group.chunks(parts) {
            bells.iter().for_each(Notify::notify_waiters);
            yield_now().await;
        }
    }
}

impl Drop for MapSender {
    fn drop(&mut self) {
        self.board.send_replace(None);
        for bell in &self.wakers.of_group {
            bell.notify_waiters();
        }
    }
}

impl Clone for MapReceiver {
    /// Returns another subscriber, in the next group.
    fn clone(&self) -> Self {
        let part = self.bells.next.fetch_add(1, Relaxed) % GROUPS;
        Self { board: self.board.clone(), bells: self.bells.clone(), group: part }
    }
}

impl MapReceiver {
    /// Returns the newest board as soon as there is one that this subscriber has not seen, or `None` after the
    /// publisher was dropped. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Arc<FleetMap>> {
        loop {
            // Registers before the check, so that a board that is published after the check wakes this task.
            let rung = pin!(self.bells.of_group[self.group].notified());
            match self.board.has_changed() {
                Ok(false) => rung.await,
                Ok(true) | Err(_) => return self.board.borrow_and_update().clone(),
            }
        }
    }

    /// Returns the uptime of the fan-out at the newest board.
    pub(super) fn uptime(&self) -> Duration {
        self.board.borrow().as_ref().map_or(Duration::ZERO, |board| board.uptime)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn board() -> Arc<FleetMap> {
        Arc::new(FleetMap::new("epoch", Duration::from_millis(250)))
    }

    #[tokio::test]
    async fn viewers_hear_in_the_same_order_each_time() {
        const VIEWERS: usize = 100;
        let (publisher, latest) = channel(board());
        let (hear, mut heard) = mpsc::unbounded_channel();
        for viewer in 0..VIEWERS {
            let (mut latest, hear) = (latest.clone(), hear.clone());
            tokio::spawn(async move {
                while latest.next().await.is_some() {
                    hear.send(viewer).unwrap();
                }
            });
        }
        let mut rounds = Vec::new();
        for _ in 0..3 {
            publisher.publish(board()).await;
            let mut round = Vec::new();
            while round.len() < VIEWERS {
                round.push(heard.recv().await.unwrap());
            }
            rounds.push(round);
        }
        assert_eq!(rounds[1], rounds[2]);
    }

    /// A call that arrives just after a tick does not wait until all viewers have looked at the board.
    #[tokio::test]
    async fn others_have_their_turn_while_viewers_hear() {
        const VIEWERS: usize = 2 * GROUPS;
        let (publisher, latest) = channel(board());
        let heard = Arc::new(AtomicUsize::new(0));
        for _ in 0..VIEWERS {
            let (mut latest, heard) = (latest.clone(), heard.clone());
            tokio::spawn(async move {
                while latest.next().await.is_some() {
                    heard.fetch_add(1, Relaxed);
                }
            });
        }
        // Until all viewers wait.
        for _ in 0..VIEWERS {
            yield_now().await;
        }
        let other = tokio::spawn({
            let heard = heard.clone();
            async move { heard.load(Relaxed) }
        });
        publisher.publish(board()).await;
        let had_heard = other.await.unwrap();
        assert!(had_heard <= 2 * WAKE_BATCH, "{had_heard} of {VIEWERS} viewers ran before another task");
        while heard.load(Relaxed) < VIEWERS {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_comes_late_hears_that_there_are_no_more() {
        let (publisher, mut latest) = channel(board());
        drop(publisher);
        assert!(latest.next().await.is_none());
        assert!(latest.clone().next().await.is_none());
    }
}
