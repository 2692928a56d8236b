//! The number of calls of one connection that wait for something.
//!
//! Over HTTP/2 they wait for their first poll, and the connection is not read meanwhile. tokio moves the tasks that do
//! not fit into the queue of a worker into the global queue, which it polls rarely. Without this limit, a few
//! connections that begin calls without pause are polled more often than their calls. The calls pile up in memory and
//! delay the calls of other clients.
//!
//! Over HTTP/1.1 they wait for their response; see [`HalfClose`](super::half_close::HalfClose).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// A counter of the calls that wait. Cheap to clone; all clones count the same calls.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    reader: AtomicWaker,
}

impl Backlog {
    /// Counts one call until the returned guard is dropped.
    pub(super) fn begin(&self) -> BacklogGuard {
        self.0.waiting.fetch_add(1, Relaxed);
        BacklogGuard(self.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.waiting.load(Relaxed) == 0
    }

    /// Resolves when no call waits. At most one task may poll this, since there is one waker.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        self.0.reader.register(cx.waker());
        // The last call may have been polled before the waker was registered.
        if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The guard of one call that waits.
pub(super) struct BacklogGuard(Backlog);

impl Drop for BacklogGuard {
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
