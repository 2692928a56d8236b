//! The file: its tables, their versions, and what SQLite is to promise about them.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};
use uuid::Uuid;

use super::{OpenError, projection};
use crate::rides::journal::JournalError;

/// Marks the file as ours in its header: "RIDE".
const APPLICATION_ID: i64 = 0x5249_4445;

/// How long SQLite waits for another connection, in milliseconds: a checkpoint that waits for a reader holds up appends.
const PATIENCE_MS: u64 = 200;

/// Bytes of a page in a file that this program makes; an older file keeps its own. An event has about 1 KiB, and a commit
/// that many share costs by its pages more than by its bytes: with pages of 4 KiB it keeps a quarter fewer rides.
const PAGE_SIZE: i64 = 16 << 10;

/// What the log may keep of the disk once it was moved into the file, in bytes.
pub(super) const LOG_LIMIT: i64 = 8 << 20;

/// Brings a file from one version of the schema to the next.
type Migration = fn(&Transaction<'_>) -> Result<(), JournalError>;

/// From version 0 to 1, and so on. Only ever added to. Lists are made anew, whatever they were before.
const MIGRATIONS: [Migration; 4] = [events, lists, lists, callers];

/// The truth: every event of every ride, in the order in which they were kept. `seq` is never given twice.
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

/// The caller whose request it was; NULL in rows of before. The id comes first in the index, so that ids that begin with the
/// time lie side by side.
fn callers(tx: &Transaction<'_>) -> Result<(), JournalError> {
    Ok(tx.execute_batch(
        "ALTER TABLE events ADD COLUMN caller TEXT;
         DROP INDEX events_by_request;
         CREATE UNIQUE INDEX events_by_request ON events (request, caller) WHERE request IS NOT NULL;",
    )?)
}

/// What lists of rides need, and no index more: each is a page of the log in every commit. A ride's place is the
/// `seq` of its first event, by which it is found.
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

/// How every connection behaves.
pub(super) fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::from_millis(PATIENCE_MS))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // A container may have no folder for temporary files.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // A sync that the disk's own cache swallows is none; only macOS makes a difference here.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The writer does it, because nobody hears when a checkpoint that comes by itself fails.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // The log is written over and over in place; what a long reader made it grow beyond that is given back.
    db.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// The version of the file's schema, which this program must know. 0: there is nothing in it yet.
fn version(db: &Connection) -> Result<i64, OpenError> {
    let known = MIGRATIONS.len() as i64;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application, found, tables) != (0, 0, 0) {
        return Err(OpenError::NotOurs);
    }
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    Ok(found)
}

/// Makes sure that the file is as this program makes it.
pub(super) fn is_current(db: &Connection) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    match version(db)? {
        found if found == known => Ok(()),
        found => Err(OpenError::Older { found, known }),
    }
}

/// Brings the file up to date, and makes sure that a commit will be on the disk.
pub(super) fn prepare(db: &mut Connection) -> Result<(), OpenError> {
    let found = version(db)?;
    // A file that has pages keeps theirs.
    db.pragma_update(None, "page_size", PAGE_SIZE)?;
    log_ahead(db)?;
    promise(db, "journal_mode", "wal")?;
    promise(db, "synchronous", "2")?;
    for version in found..MIGRATIONS.len() as i64 {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        MIGRATIONS[version as usize](&tx)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version + 1)?;
        tx.commit()?;
        tracing::info!(version = version + 1, "the journal's schema is up to date");
    }
    Ok(())
}

/// Bytes of a page of the file.
pub(super) fn page_size(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "page_size", |row| row.get(0))
}

/// Turns the write-ahead log on. The pragma answers first and writes the file's header after that: only at its
/// end is a failed sync heard of.
fn log_ahead(db: &Connection) -> rusqlite::Result<()> {
    let mut pragma = db.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = pragma.query([])?;
    while answers.next()?.is_some() {}
    Ok(())
}

/// SQLite does not fail when it cannot set a pragma: it says what holds instead.
fn promise(db: &Connection, pragma: &str, wanted: &str) -> Result<(), OpenError> {
    let held: rusqlite::types::Value = db.pragma_query_value(None, pragma, |row| row.get(0))?;
    let held = match held {
        rusqlite::types::Value::Text(text) => text,
        rusqlite::types::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    if held != wanted {
        return Err(OpenError::Promise(format!("{pragma} is {held} and not {wanted}")));
    }
    Ok(())
}

/// Moves the write-ahead log into the file. Frames that a power failure left behind its end would be taken for damage at a
/// later start.
///
/// # Errors
/// When a sync fails, or the file is damaged. When it cannot be written now, as on a full disk, the log goes on where it is.
pub(super) fn empty_log(db: &Connection) -> Result<(), JournalError> {
    let moved = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(JournalError::from);
    match moved {
        Err(error @ (JournalError::Full | JournalError::Unavailable(_))) => {
            tracing::warn!(%error, "the write-ahead log was not moved into the journal's file");
            Ok(())
        }
        moved => moved,
    }
}

/// The journal's name. A new one when the file is new, is not the file that it was, or has lost events.
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
                tracing::warn!("this journal is not in its file any more: it gets a new epoch");
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

/// Tells a file from its copy, and stays the same when it is moved: inode and time of birth. Empty where the
/// platform has neither.
fn identity(path: &Path) -> String {
    let Ok(metadata) = path.metadata() else { return String::new() };
    let born = metadata.created().ok().map(|born| prost_types::Timestamp::from(born).to_string());
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata).to_string();
    #[cfg(not(unix))]
    let inode = "";
    format!("{inode} {}", born.unwrap_or_default())
}
