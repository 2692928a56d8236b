//! The schema of the file, its migrations, and the settings of SQLite that the journal needs.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};
use uuid::Uuid;

use super::{OpenError, projection};
use crate::rides::journal::JournalError;

/// The application id in the header of the file: "RIDE".
const APPLICATION_ID: i64 = 0x5249_4445;

/// The time that SQLite waits for another connection, in milliseconds. A checkpoint that waits for a reader delays
/// appends.
const BUSY_TIMEOUT_MS: u64 = 200;

/// The page size of a new file, in bytes. An older file keeps its page size. An event has about 1 KiB, and the cost
/// of a commit of many events depends more on its pages than on its bytes: with pages of 4 KiB the journal stores a
/// quarter fewer rides per second.
const PAGE_SIZE: i64 = 16 << 10;

/// The size to which a long log is truncated after a checkpoint, in bytes.
pub(super) const WAL_SIZE_LIMIT: i64 = 8 << 20;

/// A migration from one version of the schema to the next.
type Migration = fn(&Transaction<'_>) -> Result<(), JournalError>;

/// The migrations from version 0 to 1, from 1 to 2, and so on. New ones are only appended. Each `lists` drops earlier
/// lists and makes new ones from the events.
const MIGRATIONS: [Migration; 4] = [events, lists, lists, callers];

/// Creates the table of all events, in the order in which they were stored. A `seq` is never used twice.
fn events(tx: &Transaction<'_>) -> Result<(), JournalError> {
    Ok(tx.execute_batch(
        "CREATE TABLE journal (epoch TEXT NOT NULL, file TEXT NOT NULL) STRICT;
         CREATE TABLE events (
             seq         INTEGER PRIMARY KEY AUTOINCREMENT,
             ride        TEXT NOT NULL,
             version     INTEGER NOT NULL,
             time        TEXT NOT NULL,
             event       TEXT NOT NULL,
             request     TEXT,
             fingerprint BLOB,
             UNIQUE (ride, version)
         ) STRICT;
         CREATE UNIQUE INDEX events_by_request ON events (request) WHERE request IS NOT NULL;",
    )?)
}

/// Adds the caller of a request, which is NULL in older rows. The request id is the first column of the index, so
/// that ids that begin with the time are next to each other.
fn callers(tx: &Transaction<'_>) -> Result<(), JournalError> {
    Ok(tx.execute_batch(
        "ALTER TABLE events ADD COLUMN caller TEXT;
         DROP INDEX events_by_request;
         CREATE UNIQUE INDEX events_by_request ON events (request, caller) WHERE request IS NOT NULL;",
    )?)
}

/// Creates the table for lists of rides, with few indexes: each is one more page of the log in every commit. The
/// place of a ride is the `seq` of its first event, by which it is found.
fn lists(tx: &Transaction<'_>) -> Result<(), JournalError> {
    tx.execute_batch(
        "DROP TABLE IF EXISTS rides;
         CREATE TABLE rides (
             place   INTEGER PRIMARY KEY,
             id      TEXT NOT NULL,
             rider   TEXT NOT NULL,
             state   TEXT NOT NULL,
             version INTEGER NOT NULL
         ) STRICT;
         CREATE INDEX rides_by_rider ON rides (rider, state, place);
         CREATE INDEX rides_by_state ON rides (state, place);",
    )?;
    projection::rebuild(tx)
}

/// Sets the options of a connection.
pub(super) fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // A container may have no directory for temporary files.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // On macOS, `fsync` alone does not empty the cache of the disk.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The writer runs the checkpoints, because SQLite does not report an error of an automatic one.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // The log is overwritten in place. If a long read transaction made it longer than this, it is truncated.
    db.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Returns the version of the file's schema, or 0 for an empty file. Fails if the file is not a journal, or its
/// version is newer.
fn version(db: &Connection) -> Result<i64, OpenError> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application, found, tables) != (0, 0, 0) {
        return Err(OpenError::NotAJournal);
    }
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    Ok(found)
}

/// Checks that the schema has the version that this program makes.
pub(super) fn check_is_current(db: &Connection) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    match version(db)? {
        found if found == known => Ok(()),
        found => Err(OpenError::Older { found, known }),
    }
}

/// Migrates the file, and checks that commits will be durable.
pub(super) fn prepare(db: &mut Connection) -> Result<(), OpenError> {
    let found = version(db)?;
    // This has no effect on a file that has pages.
    db.pragma_update(None, "page_size", PAGE_SIZE)?;
    enable_wal(db)?;
    check_pragma(db, "journal_mode", "wal")?;
    check_pragma(db, "synchronous", "2")?;
    for version in found..MIGRATIONS.len() as i64 {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        MIGRATIONS[version as usize](&tx)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version + 1)?;
        tx.commit()?;
        tracing::info!(version = version + 1, "the journal's schema was migrated");
    }
    Ok(())
}

/// Returns the page size of the file in bytes.
pub(super) fn page_size(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "page_size", |row| row.get(0))
}

/// Enables the write-ahead log. The pragma returns its row before it writes the header of the file. A failed sync is
/// reported only at the end of the statement.
fn enable_wal(db: &Connection) -> rusqlite::Result<()> {
    let mut pragma = db.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = pragma.query([])?;
    while answers.next()?.is_some() {}
    Ok(())
}

/// Checks the value of a pragma. SQLite does not fail if it cannot set one, but returns the current value.
fn check_pragma(db: &Connection, pragma: &str, wanted: &str) -> Result<(), OpenError> {
    let held: rusqlite::types::Value = db.pragma_query_value(None, pragma, |row| row.get(0))?;
    let held = match held {
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    if held != wanted {
        return Err(OpenError::Setting(format!("{pragma} is {held}, not {wanted}")));
    }
    Ok(())
}

/// Moves the write-ahead log into the file. A power failure may leave frames behind the end of the log, and a later
/// start would take them for damage.
///
/// # Errors
/// When a sync fails, or the file is damaged. When the file cannot be written now, for example on a full disk, the
/// log is used where it is.
pub(super) fn truncate_wal(db: &Connection) -> Result<(), JournalError> {
    let moved = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(JournalError::from);
    match moved {
        Err(error @ (JournalError::Full | JournalError::Unavailable(_))) => {
            tracing::warn!(%error, "the write-ahead log was not moved into the journal's file");
            Ok(())
        }
        moved => moved,
    }
}

/// Returns the epoch of the journal. Makes a new one if the file is new, is not the same file as before, or has lost
/// events.
pub(super) fn epoch(db: &mut Connection, path: &Path, has_lost_events: bool) -> Result<String, OpenError> {
    let file = identity(path);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known: Vec<(String, String)> = tx
        .prepare("SELECT epoch, file FROM journal")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let epoch = match known.into_iter().next() {
        Some((epoch, known)) if known == file && !has_lost_events => epoch,
        earlier => {
            if earlier.is_some() && !has_lost_events {
                tracing::warn!("the journal's file was replaced: the journal has a new epoch");
            }
            let epoch = Uuid::new_v4().to_string();
            tx.execute("DELETE FROM journal", [])?;
            tx.execute("INSERT INTO journal VALUES (?1, ?2)", (&epoch, &file))?;
            epoch
        }
    };
    tx.commit()?;
    Ok(epoch)
}

/// Returns the inode and the time of birth of a file. They differ for a copy, and stay the same when the file is
/// moved. They are empty where the platform has neither.
fn identity(path: &Path) -> String {
    let Ok(metadata) = path.metadata() else { return String::new() };
    let born = metadata.created().ok().map(|born| prost_types::Timestamp::from(born).to_string());
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata).to_string();
    #[cfg(not(unix))]
    let inode = "";
    format!("{inode} {}", born.unwrap_or_default())
}
