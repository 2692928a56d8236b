//! The newest board, and the word to viewers that there is one.
//!
//! Viewers are woken in the order in which they began to wait, which is the order of the tick before: each hears of
//! every tick after about the same time. (`watch` by itself wakes in a random order, and who was the first of some
//! thousands and then is the last has waited for a tick and a half.)

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

use super::board::Board;

/// A first board, for those who publish and those who follow.
pub(super) fn latest(first: Arc<Board>) -> (Publisher, Latest) {
    let (sender, receiver) = watch::channel(Some(first));
    let bell = Arc::new(Notify::new());
    (Publisher { board: sender, bell: bell.clone() }, Latest { board: receiver, bell })
}

/// Publishes boards. Once it is dropped there are no more.
#[derive(Debug)]
pub(super) struct Publisher {
    board: watch::Sender<Option<Arc<Board>>>,
    bell: Arc<Notify>,
}

/// Follows the newest board. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    /// `None`: there are no more.
    board: watch::Receiver<Option<Arc<Board>>>,
    bell: Arc<Notify>,
}

impl Publisher {
    pub(super) fn publish(&self, board: Arc<Board>) {
        self.put(Some(board));
    }

    fn put(&self, board: Option<Arc<Board>>) {
        self.board.send_replace(board);
        self.bell.notify_waiters();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.put(None);
    }
}

impl Latest {
    /// The newest board, once there is one that was not looked at yet. `None`: there are no more. May be dropped and called again without losing anything.
    pub(super) async fn next(&mut self) -> Option<Arc<Board>> {
        loop {
            // Waits from here on, so that no board is missed that comes while we look.
            let rung = pin!(self.bell.notified());
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
            publisher.publish(board());
            let mut round = Vec::new();
            while round.len() < VIEWERS {
                round.push(heard.recv().await.unwrap());
            }
            rounds.push(round);
        }
        assert_eq!(rounds[1], rounds[2]);
    }

    #[tokio::test]
    async fn whoever_comes_late_hears_that_there_are_no_more() {
        let (publisher, mut latest) = latest(board());
        drop(publisher);
        assert!(latest.next().await.is_none());
        assert!(latest.clone().next().await.is_none());
    }
}
