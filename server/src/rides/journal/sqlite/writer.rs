//! The one thread that writes: group commit, checkpoints, and what becomes of a disk that fails.

use std::time::Instant;

use metrics::{Gauge, Histogram, describe_gauge, describe_histogram, gauge, histogram};
use rusqlite::{Connection, Row, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{QUEUE, row};
use crate::{
    data_dir::KeptFiles,
    rides::journal::{Entry, JournalError},
};

/// A log that cannot be moved and is so many times as long as it should be is worth a warning.
const LONG: i64 = 16;

pub(super) enum Input {
    Append(Append),
    /// Answered when nothing is open any more.
    Close(oneshot::Sender<()>),
}

/// To keep together or not at all.
pub(super) struct Append {
    pub(super) batch: Vec<Entry>,
    pub(super) reply: oneshot::Sender<Result<(), JournalError>>,
}

/// Whether the writer can write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Health {
    Open,
    /// Never again.
    Failed(String),
    /// In good order.
    Closed,
}

/// The log of changes after a checkpoint.
struct Log {
    /// Someone reads it still: the next commit goes behind it.
    kept: bool,
    pages: i64,
}

/// The journal's metrics.
struct Metrics {
    commit_seconds: Histogram,
    commit_events: Histogram,
    log_pages: Gauge,
}

impl Metrics {
    const COMMIT_SECONDS: &str = "rides_journal_commit_seconds";
    const COMMIT_EVENTS: &str = "rides_journal_commit_events";
    const LOG_PAGES: &str = "rides_journal_log_pages";

    fn register() -> Self {
        describe_histogram!(Self::COMMIT_SECONDS, "How long a commit of the journal took.");
        describe_histogram!(Self::COMMIT_EVENTS, "Events that shared a commit of the journal.");
        describe_gauge!(Self::LOG_PAGES, "Length of the journal's write-ahead log, in pages of its file.");
        Self {
            commit_seconds: histogram!(Self::COMMIT_SECONDS),
            commit_events: histogram!(Self::COMMIT_EVENTS),
            log_pages: gauge!(Self::LOG_PAGES),
        }
    }
}

pub(super) struct Writer {
    // Closed before the lock is given up.
    db: Connection,
    /// The lock and the database.
    files: KeptFiles,
    health: watch::Sender<Health>,
    metrics: Metrics,
    /// Whether the last append was refused for want of room: said once, not at each try.
    full: bool,
    /// Pages of the log between two checkpoints.
    checkpoint_every: i64,
    /// Pages of the log at which the next checkpoint is tried.
    checkpoint_at: i64,
    /// Whether the log has grown long: said once, not at each try.
    is_long: bool,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        files: KeptFiles,
        checkpoint_every: i64,
        health: watch::Sender<Health>,
    ) -> Self {
        let checkpoint_at = checkpoint_every;
        Self {
            db,
            files,
            health,
            metrics: Metrics::register(),
            full: false,
            checkpoint_every,
            checkpoint_at,
            is_long: false,
        }
    }

    /// Writes until it is told to close, or nobody is left to tell it anything.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let mut queued = Vec::new();
        let mut closing = None;
        while closing.is_none() && inbox.blocking_recv_many(&mut queued, QUEUE) > 0 {
            let mut group = Vec::with_capacity(queued.len());
            for input in queued.drain(..) {
                match input {
                    Input::Append(append) if closing.is_none() => group.push(append),
                    // Dropped: its caller hears that the journal is closed.
                    Input::Append(_) => {}
                    Input::Close(done) => closing = Some(done),
                }
            }
            self.keep(group);
        }
        // Taken out one by one: what is sent while a receiver is dropped is dropped with the last sender only, and
        // until then its caller waits.
        inbox.close();
        while inbox.blocking_recv().is_some() {}
        self.close();
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// One commit for all, then the answers. Where one append does not fit, it alone is refused.
    fn keep(&mut self, group: Vec<Append>) {
        if group.is_empty() {
            return;
        }
        let outcome = self.try_commit(&group).map_err(|error| error.or_unreadable(&self.db));
        let outcome = outcome.and_then(|()| self.is_in_place());
        if matches!(outcome, Err(JournalError::Misfit { .. })) && group.len() > 1 {
            for append in group {
                self.keep(vec![append]);
            }
            return;
        }
        self.note(&outcome);
        for append in group {
            // Whoever went away does not undo what is kept.
            let _ = append.reply.send(outcome.clone());
        }
        self.checkpoint_if_due();
    }

    fn try_commit(&mut self, group: &[Append]) -> Result<(), JournalError> {
        if let Health::Failed(why) = &*self.health.borrow() {
            return Err(JournalError::Failed(why.clone()));
        }
        let began = Instant::now();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for entry in group.iter().flat_map(|append| &append.batch) {
            row::insert(&tx, entry)?;
        }
        tx.commit()?;
        self.metrics.commit_seconds.record(began.elapsed());
        let events: usize = group.iter().map(|append| append.batch.len()).sum();
        self.metrics.commit_events.record(events as f64);
        Ok(())
    }

    /// Makes sure that what was committed is in files that the next start finds: others may have deleted or replaced them.
    fn is_in_place(&self) -> Result<(), JournalError> {
        self.files.check().map_err(|lost| {
            // If only the log is lost, what it held is in the file now.
            self.checkpoint("TRUNCATE");
            JournalError::Failed(lost.to_string())
        })
    }

    fn note(&mut self, outcome: &Result<(), JournalError>) {
        match outcome {
            Ok(()) if self.full => tracing::info!("there is room again: rides are kept"),
            Err(JournalError::Full) if !self.full => {
                tracing::error!("the disk is full: nothing can be booked until there is room");
            }
            Err(JournalError::Failed(why)) => self.fail(why),
            Err(error @ (JournalError::Unavailable(_) | JournalError::Damaged(_))) => {
                tracing::error!(%error, "the journal did not take a batch");
            }
            _ => {}
        }
        self.full = matches!(outcome, Err(JournalError::Full));
    }

    /// What was not answered yet may be on the disk or not; a new start will see which.
    fn fail(&self, why: &str) {
        self.health.send_if_modified(|health| {
            let first = *health == Health::Open;
            if first {
                tracing::error!(why, "the journal has failed, and takes nothing more");
                *health = Health::Failed(why.to_owned());
            }
            first
        });
    }

    fn checkpoint_if_due(&mut self) {
        let Some(Log { pages, .. }) = self.checkpoint("NOOP") else { return };
        self.metrics.log_pages.set(pages as f64);
        if pages >= self.checkpoint_at {
            // Where someone reads, or there is no room, the log grows: not each commit has to try again.
            let left = match self.checkpoint("RESTART") {
                Some(Log { kept: false, .. }) => 0,
                _ => pages,
            };
            self.checkpoint_at = left + self.checkpoint_every;
            self.note_length(left);
        }
    }

    fn note_length(&mut self, pages: i64) {
        let is_long = pages >= LONG * self.checkpoint_every;
        if is_long && !self.is_long {
            tracing::warn!(
                pages,
                "the journal's log grows: somebody reads the file without end, or it has no room"
            );
        }
        self.is_long = is_long;
    }

    /// Moves the log into the file as `mode` has it: TRUNCATE so that no log is left, RESTART so that the next
    /// commit writes it from its beginning, NOOP not at all. `None` when it fails.
    fn checkpoint(&self, mode: &str) -> Option<Log> {
        if *self.health.borrow() != Health::Open {
            return None;
        }
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        let log = |row: &Row<'_>| Ok(Log { kept: row.get(0)?, pages: row.get(1)? });
        let moved = self.db.query_row(&pragma, [], log).map_err(JournalError::from);
        match moved.map_err(|error| error.or_unreadable(&self.db)) {
            Ok(log) => return Some(log),
            Err(JournalError::Failed(why)) => self.fail(&why),
            Err(error) => tracing::warn!(%error, "the journal's log could not be moved into its file"),
        }
        None
    }

    fn close(self) {
        self.checkpoint("TRUNCATE");
        self.health.send_if_modified(|health| {
            let sound = *health == Health::Open;
            if sound {
                *health = Health::Closed;
            }
            sound
        });
    }
}
