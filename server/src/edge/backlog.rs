//! The calls of one connection that wait for their first poll. The connection is not read meanwhile.
//!
//! tokio moves tasks that overflow the queue of a worker into a queue that it looks at rarely. Without this limit, a few
//! connections that begin calls without pause are polled more often than the calls are, and those pile up: in memory, and
//! in front of the calls of others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// The number of calls that wait for their first poll. Cheap to clone; all clones count the same calls.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    reader: AtomicWaker,
}

impl Backlog {
    /// Counts a call until the returned value is dropped.
    pub(super) fn begin(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Relaxed);
        Waiting(self.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.waiting.load(Relaxed) == 0
    }

    /// Is ready once no call waits. At most one task may wait for that.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        self.0.reader.register(cx.waker());
        // Between the two lines above the last call may have had its poll.
        if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A call that has been begun and not polled. Drop it in the first poll.
pub(super) struct Waiting(Backlog);

impl Drop for Waiting {
    fn drop(&mut self) {
        let Shared { waiting, reader } = self.0.0.as_ref();
        if waiting.fetch_sub(1, Relaxed) == 1 {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_reader_is_woken_by_the_last_call() {
        let backlog = Backlog::default();
        let empty = || poll_fn(|cx| backlog.poll_empty(cx));
        assert_eq!(empty().now_or_never(), Some(()));
        let (one, other) = (backlog.begin(), backlog.begin());
        drop(one);
        assert_eq!(empty().now_or_never(), None);
        let reader = tokio::spawn({
            let backlog = backlog.clone();
            async move { poll_fn(|cx| backlog.poll_empty(cx)).await }
        });
        tokio::task::yield_now().await;
        assert!(!reader.is_finished());
        drop(other);
        reader.await.unwrap();
    }
}
