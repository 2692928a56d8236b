//! The journal in a file of SQLite.
//!
//! [`writer`] is the only thread that writes. It commits all queued appends in one transaction, and replies after the
//! commit. Reads use connections of their own and never wait for the writer. The table of events is the source of
//! truth. The [`projection`] holds the data for lists, and can be made again from the events at any time.

mod damage;
mod error;
mod lock;
pub mod maintenance;
mod projection;
mod read;
mod reader;
mod row;
mod salvage;
mod schema;
mod wal;
mod writer;

use std::{
    future,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use rides_proto::ids::RideId;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

pub use damage::Damage;
pub use error::OpenError;

use self::{
    lock::Lock,
    reader::ReaderPool,
    writer::{Append, Health, Input, Writer},
};
use super::{
    Entry, Filter, Journal, JournalError, JournalFuture, KnownRequests, Later, ListedRide, RequestKey,
};
use crate::rides::RideLog;

/// The name of the journal's file in the data directory. While it is open, SQLite keeps its `-wal` and `-shm` files
/// beside it.
pub const FILE: &str = "rides.db";

/// The most appends that wait for the writer. More are refused.
const QUEUE: usize = 1024;

/// The most concurrent reads. More wait.
const READERS: usize = 4;

/// The options of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// The size in bytes that the write-ahead log may reach between two checkpoints.
    pub checkpoint_every: i64,
    /// The SQLite VFS for the file, or `None` for that of the platform. With another VFS, the caller must make sure
    /// before the start that the content of the log is durable.
    pub vfs: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { checkpoint_every: 4 << 20, vfs: None }
    }
}

/// The page cache of the writer's connection, in KiB. Negative as SQLite requires it for KiB. The last pages of all
/// tables and indexes fit in it, so that an insert reads nothing.
const WRITER_CACHE: i64 = -16 * 1024;

/// A journal in a file. No other process can open it at the same time.
pub struct SqliteJournal {
    epoch: String,
    writer: mpsc::Sender<Input>,
    health: watch::Receiver<Health>,
    readers: ReaderPool,
    /// The connection for requests. Each booking asks it first, and must not queue behind lists.
    requests: ReaderPool,
}

impl SqliteJournal {
    /// Opens the journal in a directory. Creates the directory and the journal if they are missing. Blocks.
    ///
    /// A journal of an earlier program is migrated. A journal whose file was replaced, for example with a backup,
    /// gets a new epoch. A journal whose write-ahead log is damaged is copied first, and gets a new epoch.
    ///
    /// # Errors
    /// When another process has the directory, or the journal cannot be read or written.
    pub fn open(dir: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let Lock(mut files) = Lock::take(dir)?;
        let file = DatabaseFile { path: dir.join(FILE), vfs: options.vfs };
        let mut is_damaged = false;
        if file.vfs.is_none() {
            is_damaged = salvage::prepare(&file.path)?;
            wal::rewrite(&file.path)?;
        }
        let (db, epoch) = prepared(&file, is_damaged).map_err(|why| why.or_denied(&file.path))?;
        let (writer, inbox) = mpsc::channel(QUEUE);
        let (report, health) = watch::channel(Health::Open);
        let pages = options.checkpoint_every / schema::page_size(&db)?;
        files.watch(database(dir)).map_err(|why| OpenError::Io { path: dir.to_owned(), why })?;
        let thread = Writer::new(db, files, pages, report);
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || thread.run(inbox))
            .map_err(|why| OpenError::Io { path: dir.to_owned(), why })?;
        let (readers, requests) = (ReaderPool::new(file.clone(), READERS), ReaderPool::new(file, 1));
        Ok(Self { epoch, writer, health, readers, requests })
    }

    /// Returns the files that a journal in `dir` has open: the directory, the lock and SQLite's files.
    pub fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
        [dir.to_owned(), Lock::path(dir)].into_iter().chain(database(dir))
    }
}

/// Returns the files that SQLite has open.
fn database(dir: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| dir.join(format!("{FILE}{suffix}")))
}

/// Returns the connection of the writer, and the epoch.
fn prepared(file: &DatabaseFile, is_damaged: bool) -> Result<(Connection, String), OpenError> {
    let mut db = file.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
    let mut epoch = || {
        schema::prepare(&mut db)?;
        db.pragma_update(None, "cache_size", WRITER_CACHE)?;
        let epoch = schema::epoch(&mut db, &file.path, is_damaged)?;
        schema::truncate_wal(&db)?;
        Ok::<_, OpenError>(epoch)
    };
    match epoch() {
        Ok(epoch) => Ok((db, epoch)),
        Err(why) => Err(why.or_unreadable(&db)),
    }
}

/// The path and the VFS of a journal's file.
#[derive(Clone, Debug)]
struct DatabaseFile {
    path: PathBuf,
    vfs: Option<String>,
}

impl DatabaseFile {
    /// Opens a connection. One thread at a time uses it.
    fn connect(&self, create: OpenFlags) -> Result<Connection, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
        let db = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str()),
            None => Connection::open_with_flags(&self.path, flags),
        }?;
        schema::configure(&db).map_err(|why| JournalError::from(why).or_unreadable(&db))?;
        Ok(db)
    }
}

impl Journal for SqliteJournal {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn append(&self, batch: Vec<Entry>) -> JournalFuture<'static, ()> {
        let (reply, answer) = oneshot::channel();
        let handed_over = self.writer.try_send(Input::Append(Append { batch, reply }));
        Box::pin(async {
            handed_over.map_err(|refused| match refused {
                TrySendError::Full(_) => {
                    JournalError::Unavailable(format!("{QUEUE} appends are queued already"))
                }
                TrySendError::Closed(_) => JournalError::Closed,
            })?;
            answer.await.map_err(|_| JournalError::Closed)?
        })
    }

    fn ride<'a>(&'a self, ride: &'a RideId) -> JournalFuture<'a, Option<Arc<RideLog>>> {
        let ride = ride.clone();
        Box::pin(self.readers.read(move |db| read::log(db, &ride)))
    }

    fn unfinished(&self) -> JournalFuture<'_, Vec<Arc<RideLog>>> {
        Box::pin(self.readers.read(read::unfinished))
    }

    fn by_requests<'a>(&'a self, requests: &'a [RequestKey]) -> JournalFuture<'a, KnownRequests> {
        let requests = requests.to_vec();
        Box::pin(self.requests.read(move |db| read::requests(db, &requests)))
    }

    fn page<'a>(
        &'a self,
        filter: &'a Filter,
        below: Option<u64>,
        limit: usize,
    ) -> JournalFuture<'a, Vec<ListedRide>> {
        let filter = filter.clone();
        Box::pin(self.readers.read(move |db| read::page(db, &filter, below, limit)))
    }

    fn failed(&self) -> Later<'_, JournalError> {
        let mut health = self.health.clone();
        Box::pin(async move {
            let failed = health
                .wait_for(|health| matches!(health, Health::Failed(_)))
                .await
                .map(|found| found.clone());
            match failed {
                Ok(Health::Failed(why)) => JournalError::Failed(why),
                _ if matches!(*health.borrow(), Health::Closed) => future::pending().await,
                _ => JournalError::Failed("its writer thread ended".into()),
            }
        })
    }

    fn close(&self) -> Later<'_, ()> {
        Box::pin(async {
            let (done, closed) = oneshot::channel();
            if self.writer.send(Input::Close(done)).await.is_ok() {
                // An error says that the writer is gone, and then the journal is closed too.
                let _ = closed.await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
