//! The thread that writes the journal: group commits, checkpoints, and errors of the disk.

use std::time::Instant;

use metrics::{Gauge, Histogram, describe_gauge, describe_histogram, gauge, histogram};
use rusqlite::{Connection, Row, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{QUEUE, row};
use crate::{
    data_dir::WatchedFiles,
    rides::journal::{Entry, JournalError},
};

/// The factor by which the log may exceed the size for a checkpoint before a warning is logged.
const LONG_LOG_FACTOR: i64 = 16;

/// The messages to the writer.
pub(super) enum Input {
    Append(Append),
    /// Closes the journal. The reply comes after all files are closed.
    Close(oneshot::Sender<()>),
}

/// Entries that are stored together or not at all.
pub(super) struct Append {
    pub(super) batch: Vec<Entry>,
    pub(super) reply: oneshot::Sender<Result<(), JournalError>>,
}

/// The state of the writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Health {
    Open,
    /// The journal cannot be written until the server is restarted.
    Failed(String),
    /// The journal was closed without an error.
    Closed,
}

/// The write-ahead log after a checkpoint.
struct WalState {
    /// A reader still needs the log, so the next commit is appended to it.
    in_use: bool,
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
        describe_histogram!(Self::COMMIT_SECONDS, "Duration of a commit of the journal, in seconds.");
        describe_histogram!(Self::COMMIT_EVENTS, "Events in one commit of the journal.");
        describe_gauge!(Self::LOG_PAGES, "Length of the journal's write-ahead log, in pages of its file.");
        Self {
            commit_seconds: histogram!(Self::COMMIT_SECONDS),
            commit_events: histogram!(Self::COMMIT_EVENTS),
            log_pages: gauge!(Self::LOG_PAGES),
        }
    }
}

/// The state of the writer thread.
pub(super) struct Writer {
    // Dropped before `files`, so that the database is closed before its lock is released.
    db: Connection,
    /// The lock and the files of the database.
    files: WatchedFiles,
    health: watch::Sender<Health>,
    metrics: Metrics,
    /// `true` if the last append failed because the disk is full. Limits the log to one line for each change.
    is_disk_full: bool,
    /// The pages of the log between two checkpoints.
    checkpoint_every: i64,
    /// The number of pages of the log at which the next checkpoint runs.
    checkpoint_at: i64,
    /// `true` if the log is long. Limits the log output to one line.
    is_long: bool,
}

impl Writer {
    pub(super) fn new(
        db: Connection,
        files: WatchedFiles,
        checkpoint_every: i64,
        health: watch::Sender<Health>,
    ) -> Self {
        let checkpoint_at = checkpoint_every;
        Self {
            db,
            files,
            health,
            metrics: Metrics::register(),
            is_disk_full: false,
            checkpoint_every,
            checkpoint_at,
            is_long: false,
        }
    }

    /// Runs until it receives [`Input::Close`] or all senders are dropped.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let mut queued = Vec::new();
        let mut closing = None;
        while closing.is_none() && inbox.blocking_recv_many(&mut queued, QUEUE) > 0 {
            let mut group = Vec::with_capacity(queued.len());
            for input in queued.drain(..) {
                match input {
                    Input::Append(append) if closing.is_none() => group.push(append),
                    // The sender of this append gets [`JournalError::Closed`], because its reply channel is dropped.
                    Input::Append(_) => {}
                    Input::Close(done) => closing = Some(done),
                }
            }
            self.commit_group(group);
        }
        // Inputs are taken out one by one. tokio drops an input that was sent during the drop of the receiver only
        // with the last sender, and its caller would wait until then.
        inbox.close();
        while inbox.blocking_recv().is_some() {}
        self.close();
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    /// Commits all appends together, and then replies. If one of them does not fit, commits each one alone, so that
    /// only that one is refused.
    fn commit_group(&mut self, group: Vec<Append>) {
        if group.is_empty() {
            return;
        }
        let outcome = self.try_commit(&group).map_err(|error| error.or_unreadable(&self.db));
        let outcome = outcome.and_then(|()| self.check_files());
        if matches!(outcome, Err(JournalError::OutOfSequence { .. })) && group.len() > 1 {
            for append in group {
                self.commit_group(vec![append]);
            }
            return;
        }
        self.log_outcome(&outcome);
        for append in group {
            // A caller that is gone does not undo the commit.
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

    /// Checks that the files of the commit are still at their paths: another process may have deleted or replaced
    /// them.
    fn check_files(&self) -> Result<(), JournalError> {
        self.files.check().map_err(|lost| {
            // If only the log is lost, this checkpoint saves its content in the database.
            self.checkpoint("TRUNCATE");
            JournalError::Failed(lost.to_string())
        })
    }

    fn log_outcome(&mut self, outcome: &Result<(), JournalError>) {
        match outcome {
            Ok(()) if self.is_disk_full => tracing::info!("the disk has room again: rides are stored"),
            Err(JournalError::Full) if !self.is_disk_full => {
                tracing::error!("the disk is full: rides cannot be booked or changed until there is room");
            }
            Err(JournalError::Failed(why)) => self.fail(why),
            Err(error @ (JournalError::Unavailable(_) | JournalError::Damaged(_))) => {
                tracing::error!(%error, "the journal could not store a batch");
            }
            _ => {}
        }
        self.is_disk_full = matches!(outcome, Err(JournalError::Full));
    }

    /// Marks the journal as failed. Appends without a reply may or may not be durable, which the next start shows.
    fn fail(&self, why: &str) {
        self.health.send_if_modified(|health| {
            let first = *health == Health::Open;
            if first {
                tracing::error!(why, "the journal failed: it stores nothing until the server is restarted");
                *health = Health::Failed(why.to_owned());
            }
            first
        });
    }

    fn checkpoint_if_due(&mut self) {
        let Some(WalState { pages, .. }) = self.checkpoint("NOOP") else { return };
        self.metrics.log_pages.set(pages as f64);
        if pages >= self.checkpoint_at {
            // The log grows while a reader needs it or the disk is full. The next attempt waits for more pages, and
            // is not made at each commit.
            let left = match self.checkpoint("RESTART") {
                Some(WalState { in_use: false, .. }) => 0,
                _ => pages,
            };
            self.checkpoint_at = left + self.checkpoint_every;
            self.warn_if_long(left);
        }
    }

    fn warn_if_long(&mut self, pages: i64) {
        let is_long = pages >= LONG_LOG_FACTOR * self.checkpoint_every;
        if is_long && !self.is_long {
            tracing::warn!(
                pages,
                "the journal's write-ahead log has grown: a reader never ends its transaction, or the disk is full"
            );
        }
        self.is_long = is_long;
    }

    /// Runs a checkpoint in SQLite's `mode`. TRUNCATE leaves an empty log. After RESTART the next commit writes the
    /// log from its beginning. NOOP moves nothing. Returns `None` if it fails.
    fn checkpoint(&self, mode: &str) -> Option<WalState> {
        if *self.health.borrow() != Health::Open {
            return None;
        }
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        let log = |row: &Row<'_>| Ok(WalState { in_use: row.get(0)?, pages: row.get(1)? });
        let moved = self.db.query_row(&pragma, [], log).map_err(JournalError::from);
        match moved.map_err(|error| error.or_unreadable(&self.db)) {
            Ok(log) => return Some(log),
            Err(JournalError::Failed(why)) => self.fail(&why),
            Err(error) => tracing::warn!(%error, "a checkpoint of the journal failed"),
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
