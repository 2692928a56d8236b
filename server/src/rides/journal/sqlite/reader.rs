//! A pool of connections for reading, on tokio's blocking threads, beside the writer.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::DatabaseFile;
use crate::rides::journal::JournalError;

/// A pool of connections. They are opened on demand and reused.
pub(super) struct ReaderPool {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    file: DatabaseFile,
    idle: Mutex<Vec<Connection>>,
}

impl ReaderPool {
    /// Makes an empty pool. At most `at_once` connections are used at a time.
    pub(super) fn new(file: DatabaseFile, at_once: usize) -> Self {
        let shared = Shared { file, idle: Mutex::default() };
        Self { shared: Arc::new(shared), permits: Arc::new(Semaphore::new(at_once)) }
    }

    /// Runs `question` on a connection. It sees all earlier commits.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let turn = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let asked = spawn_blocking(move || {
            let _turn = turn;
            shared.ask(question)
        });
        asked.await.map_err(|error| JournalError::Unavailable(error.to_string()))?
    }
}

impl Shared {
    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let db = match kept {
            Some(db) => db,
            None => self.connect()?,
        };
        // One transaction, so that all reads see the same snapshot.
        let asked = db.unchecked_transaction().map_err(JournalError::from).and_then(|tx| question(&tx));
        // A connection that failed is closed: `or_unreadable` could return the error of an earlier read from it.
        let answer = asked.map_err(|error| error.or_unreadable(&db))?;
        idle().push(db);
        Ok(answer)
    }

    fn connect(&self) -> Result<Connection, JournalError> {
        let db = self.file.connect(OpenFlags::empty())?;
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    }
}
