//! The one thread that writes revocations to the disk. What has queued up is one commit, however many sign out at once.
//! Revocations that the disk did not take are in force all the same, so they are written again until it takes them.

use std::{io, thread, time::SystemTime};

use tokio::sync::{mpsc, oneshot};

use super::{NotRevoked, list::Revoked, store::Store};

/// Most that wait; whoever comes then waits for room. It is what one commit has at most.
const QUEUE: usize = 1_024;

/// The way to it. It ends when this is dropped.
pub(super) struct Keeper(mpsc::Sender<Job>);

enum Job {
    Add(Revoked, oneshot::Sender<Result<(), NotRevoked>>),
    Retry(oneshot::Sender<Result<(), NotRevoked>>),
    News(oneshot::Sender<Result<Vec<Revoked>, NotRevoked>>),
}

impl Keeper {
    /// Has `store` for itself. Fails if there can be no thread.
    pub(super) fn of(store: Store) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        thread::Builder::new().name("revocations".to_owned()).spawn(move || work(store, queue))?;
        Ok(Self(jobs))
    }

    /// Once it is on the disk.
    pub(super) async fn add(&self, revoked: Revoked) -> Result<(), NotRevoked> {
        self.ask(|answer| Job::Add(revoked, answer)).await
    }

    /// Writes the revocations that the disk has not taken so far.
    ///
    /// # Errors
    /// It has not taken them now either.
    pub(super) async fn retry(&self) -> Result<(), NotRevoked> {
        self.ask(Job::Retry).await
    }

    /// Everything, if another process has written since this was asked last.
    pub(super) async fn news(&self) -> Result<Vec<Revoked>, NotRevoked> {
        self.ask(Job::News).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, NotRevoked>>) -> Job,
    ) -> Result<T, NotRevoked> {
        let gone = || NotRevoked::NotKept("its thread has died".to_owned());
        let (answer, answered) = oneshot::channel();
        self.0.send(job(answer)).await.map_err(|_unsent| gone())?;
        answered.await.unwrap_or_else(|_dropped| Err(gone()))
    }
}

fn work(mut store: Store, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(QUEUE);
    let mut unkept = Unkept::default();
    while queue.blocking_recv_many(&mut jobs, QUEUE) > 0 {
        let (mut added, mut waiting) = (Vec::new(), Vec::new());
        for job in jobs.drain(..) {
            match job {
                Job::Add(revoked, answer) => {
                    added.push(revoked);
                    waiting.push(answer);
                }
                Job::Retry(answer) => answered(answer, unkept.retry(&mut store)),
                Job::News(answer) => answered(answer, store.news()),
            }
        }
        if !added.is_empty() {
            let kept = store.add(&added).map_err(|why| why.to_string());
            if kept.is_err() {
                unkept.0.extend(added);
            }
            for answer in waiting {
                answered(answer, kept.clone().map_err(NotRevoked::NotKept));
            }
        }
    }
}

/// Revocations that the disk has not taken.
#[derive(Default)]
struct Unkept(Vec<Revoked>);

impl Unkept {
    fn retry(&mut self, store: &mut Store) -> rusqlite::Result<()> {
        let Self(unkept) = self;
        let now = SystemTime::now();
        unkept.retain(|revoked| revoked.until > now);
        if unkept.is_empty() {
            return Ok(());
        }
        store.add(unkept)?;
        tracing::info!(revocations = unkept.len(), "the disk took revocations that it had not taken before");
        unkept.clear();
        Ok(())
    }
}

/// Whoever asked may have gone.
fn answered<T, E: Into<NotRevoked>>(answer: oneshot::Sender<Result<T, NotRevoked>>, outcome: Result<T, E>) {
    _ = answer.send(outcome.map_err(Into::into));
}
