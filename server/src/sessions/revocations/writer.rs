//! The thread that writes revocations to the disk. It writes all that are queued in one commit, so that a thousand
//! sign-outs at once cost one sync.
//!
//! A revocation is in force before it is on the disk. Until then it is in the list [`PendingRevocations`], whether or
//! not its caller waits for the disk.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::SystemTime,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    RevokeError,
    list::{Revocation, RevocationSet},
    store::RevocationFile,
};

/// The capacity of the queue in jobs. If it is full, callers wait.
const QUEUE: usize = 1_024;
/// The most revocations in one commit.
const COMMIT: usize = 1_024;

/// A handle to the thread, which ends when the handle is dropped.
pub(super) struct RevocationWriter {
    unkept: Arc<PendingRevocations>,
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Keep(oneshot::Sender<Result<(), RevokeError>>),
    News(oneshot::Sender<Result<Vec<Revocation>, RevokeError>>),
}

impl RevocationWriter {
    /// Starts the thread, which owns `store`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn of(store: RevocationFile) -> io::Result<Self> {
        let unkept = Arc::<PendingRevocations>::default();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let list = unkept.clone();
        thread::Builder::new().name("revocations".to_owned()).spawn(move || work(store, &list, queue))?;
        Ok(Self { unkept, jobs })
    }

    /// Adds a revocation to those that the next [`commit_group`](Self::keep) writes.
    pub(super) fn add(&self, revoked: &Revocation) {
        self.unkept.lock().add(revoked);
    }

    /// Writes the revocations that were added, and returns when they are on the disk.
    ///
    /// # Errors
    /// If the write fails. The revocations stay for the next call.
    pub(super) async fn write_pending(&self) -> Result<(), RevokeError> {
        self.ask(Job::Keep).await
    }

    /// Returns all revocations on the disk, if another process has written since the last call, or else none.
    pub(super) async fn changes_by_others(&self) -> Result<Vec<Revocation>, RevokeError> {
        self.ask(Job::News).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, RevokeError>>) -> Job,
    ) -> Result<T, RevokeError> {
        let gone = || RevokeError::NotWritten("the thread that writes it has died".to_owned());
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_unsent| gone())?;
        answered.await.unwrap_or_else(|_dropped| Err(gone()))
    }
}

fn work(mut store: RevocationFile, unkept: &PendingRevocations, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(QUEUE);
    let mut has_failed = false;
    while queue.blocking_recv_many(&mut jobs, QUEUE) > 0 {
        let mut waiting = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Keep(answer) => waiting.push(answer),
                Job::News(answer) => answered(answer, store.news()),
            }
        }
        if waiting.is_empty() {
            continue;
        }
        let kept = unkept.keep_in(&mut store).map_err(|why| why.to_string());
        if kept.is_ok() && has_failed {
            tracing::info!("wrote the revocations that could not be written before");
        }
        has_failed = kept.is_err();
        for answer in waiting {
            answered(answer, kept.clone().map_err(RevokeError::NotWritten));
        }
    }
}

/// Sends a result to the caller, which may have been dropped.
fn answered<T, E: Into<RevokeError>>(answer: oneshot::Sender<Result<T, RevokeError>>, outcome: Result<T, E>) {
    _ = answer.send(outcome.map_err(Into::into));
}

/// The revocations that are not on the disk yet.
#[derive(Default)]
struct PendingRevocations(Mutex<RevocationSet>);

impl PendingRevocations {
    fn lock(&self) -> MutexGuard<'_, RevocationSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_in(&self, store: &mut RevocationFile) -> rusqlite::Result<()> {
        let all = {
            let mut list = self.lock();
            list.forget_before(SystemTime::now());
            list.all()
        };
        for commit in all.chunks(COMMIT) {
            store.add(commit)?;
            let mut list = self.lock();
            for kept in commit {
                list.remove(kept);
            }
        }
        Ok(())
    }
}
