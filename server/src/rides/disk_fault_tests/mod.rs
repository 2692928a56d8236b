//! Tests of rides on a faulty disk: power cuts, torn writes, a full disk, failed calls. No acknowledged event is
//! lost, no event is stored twice, and no watcher sees a gap or a repeat.

mod one_fault;
mod random;

use std::sync::Arc;

use faulty_disk::Disk;
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use super::{
    Rides,
    journal::{
        Journal, JournalError, SqliteJournal,
        sqlite::{OpenError, SqliteOptions, maintenance},
    },
};

/// A faulty disk, and the directory under whose path the journal on it is opened.
struct TestDisk {
    disk: Disk,
    dir: TempDir,
}

impl TestDisk {
    fn new(seed: u64) -> Self {
        Self { disk: Disk::new(seed), dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn open(&self) -> Result<Arc<SqliteJournal>, OpenError> {
        // The journal does this itself on the platform's disk. Without it,
        // `what_is_acknowledged_after_a_failed_sync_and_a_restart_is_kept` fails.
        self.disk.rewrite("-wal");
        let vfs = Some(self.disk.vfs().to_owned());
        let options = SqliteOptions { vfs, checkpoint_every: 320 << 10 };
        SqliteJournal::open(self.dir.path(), options).map(Arc::new)
    }

    /// Checks that `rides-server journal check` finds no problem.
    fn assert_sound(&self) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        self.disk.copy_to(dir.path()).expect("the files can be copied");
        let report = maintenance::check(dir.path()).expect("the journal can be checked");
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

/// The rides task on a journal, without dispatch.
struct Server {
    rides: Rides,
    journal: Arc<SqliteJournal>,
    owner: JoinHandle<()>,
    hearing: JoinSet<()>,
}

impl Server {
    async fn start(journal: Arc<SqliteJournal>) -> Result<Self, JournalError> {
        let (opened, mut hears) = mpsc::channel(64);
        let mut hearing = JoinSet::new();
        hearing.spawn(async move { while hears.recv().await.is_some() {} });
        let (rides, owner) = Rides::spawn(Arc::clone(&journal) as Arc<dyn Journal>, opened).await?;
        Ok(Self { rides, journal, owner, hearing })
    }

    /// Shuts the server down, and waits until another one can start.
    async fn end(self) {
        drop(self.rides);
        self.owner.await.expect("no panic");
        self.hearing.join_all().await;
        self.journal.close().await;
    }
}
