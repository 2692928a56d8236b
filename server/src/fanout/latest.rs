//! The newest board, and the word to viewers that there is one.
//!
//! Viewers are woken in the order in which they began to wait, which is the order of the tick before: each hears of
//! every tick after about the same time. (`watch` by itself wakes in a random order, and who was the first of some
//! thousands and then is the last has waited for a tick and a half.) And they are woken in parts, between which whoever
//! else has something to do does it: calls do not wait until thousands have had their frame.

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

use super::board::Board;

/// Viewers are of so many parts, each of which has a bell.
const PARTS: usize = 512;
/// So many are woken at once: fewer than tokio runs before it looks what else there is, so that they do not pile up.
const AT_ONCE: usize = 32;

/// A first board, for those who publish and those who follow.
pub(super) fn latest(first: Arc<Board>) -> (Publisher, Latest) {
    let (sender, receiver) = watch::channel(Some(first));
    let bells =
        Arc::new(Bells { of_part: std::array::from_fn(|_| Notify::new()), next: AtomicUsize::new(0) });
    (Publisher { board: sender, bells: bells.clone() }, Latest { board: receiver, bells, part: 0 })
}

#[derive(Debug)]
struct Bells {
    of_part: [Notify; PARTS],
    /// Which part the next follower is of.
    next: AtomicUsize,
}

/// Publishes boards. Once it is dropped there are no more.
#[derive(Debug)]
pub(super) struct Publisher {
    board: watch::Sender<Option<Arc<Board>>>,
    bells: Arc<Bells>,
}

/// Follows the newest board.
#[derive(Debug)]
pub(super) struct Latest {
    /// `None`: there are no more.
    board: watch::Receiver<Option<Arc<Board>>>,
    bells: Arc<Bells>,
    part: usize,
}

impl Publisher {
    /// Returns once all have been told.
    pub(super) async fn publish(&self, board: Arc<Board>) {
        self.board.send_replace(Some(board));
        let followers = Arc::strong_count(&self.bells);
        let parts = (PARTS * AT_ONCE / followers).clamp(1, PARTS);
        for bells in self.bells.of_part.chunks(parts) {
            bells.iter().for_each(Notify::notify_waiters);
            yield_now().await;
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.board.send_replace(None);
        for bell in &self.bells.of_part {
            bell.notify_waiters();
        }
    }
}

impl Clone for Latest {
    /// Another follower, of the next part.
    fn clone(&self) -> Self {
        let part = self.bells.next.fetch_add(1, Relaxed) % PARTS;
        Self { board: self.board.clone(), bells: self.bells.clone(), part }
    }
}

impl Latest {
    /// The newest board, once there is one that was not looked at yet. `None`: there are no more. May be dropped and called again without losing anything.
    pub(super) async fn next(&mut self) -> Option<Arc<Board>> {
        loop {
            // Waits from here on, so that no board is missed that comes while we look.
            let rung = pin!(self.bells.of_part[self.part].notified());
            match self.board.has_changed() {
                Ok(false) => rung.await,
                Ok(true) | Err(_) => return self.board.borrow_and_update().clone(),
            }
        }
    }

    /// For how long the fan-out had run at the newest board.
    pub(super) fn uptime(&self) -> Duration {
        self.board.borrow().as_ref().map_or(Duration::ZERO, |board| board.uptime)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn board() -> Arc<Board> {
        Arc::new(Board::new("epoch", Duration::from_millis(250)))
    }

    #[tokio::test]
    async fn viewers_hear_in_the_same_order_each_time() {
        const VIEWERS: usize = 100;
        let (publisher, latest) = latest(board());
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

    /// A call that comes when a tick has just come does not wait until all viewers have looked at it.
    #[tokio::test]
    async fn others_have_their_turn_while_viewers_hear() {
        const VIEWERS: usize = 2 * PARTS;
        let (publisher, latest) = latest(board());
        let heard = Arc::new(AtomicUsize::new(0));
        for _ in 0..VIEWERS {
            let (mut latest, heard) = (latest.clone(), heard.clone());
            tokio::spawn(async move {
                while latest.next().await.is_some() {
                    heard.fetch_add(1, Relaxed);
                }
            });
        }
        // Until all of them wait.
        for _ in 0..VIEWERS {
            yield_now().await;
        }
        let other = tokio::spawn({
            let heard = heard.clone();
            async move { heard.load(Relaxed) }
        });
        publisher.publish(board()).await;
        let had_heard = other.await.unwrap();
        assert!(had_heard <= 2 * AT_ONCE, "{had_heard} of {VIEWERS} came first");
        while heard.load(Relaxed) < VIEWERS {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn whoever_comes_late_hears_that_there_are_no_more() {
        let (publisher, mut latest) = latest(board());
        drop(publisher);
        assert!(latest.next().await.is_none());
        assert!(latest.clone().next().await.is_none());
    }
}
