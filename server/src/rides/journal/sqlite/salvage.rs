//! The start on a journal whose write-ahead log is damaged.
//!
//! A checkpoint copies pages from the log into the database. Both have them until the log is written from its
//! beginning again. SQLite reads the sound part of the log before the database, and so it may combine older pages
//! with newer ones. In that case the database alone has more events. Both files are copied first. Then the start uses
//! the version with more events.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::{Damage, DatabaseFile, FILE, OpenError, damage, database, wal::wal_path};
use crate::files;

/// Returns `true` if the log of the journal in `file` was damaged. Then both are copied, and the log is deleted if
/// the database alone has more events.
///
/// # Errors
/// When the log cannot be read, or the copy cannot be written.
pub(super) fn prepare(file: &Path) -> Result<bool, OpenError> {
    let Some(damage) = damage::find(file)? else { return Ok(false) };
    let (copy, [alone, with_log]) = copy_journal(file)?;
    log_damage(damage, &copy, alone, with_log);
    if alone > with_log {
        let failed = |why| OpenError::Io { path: wal_path(file), why };
        fs::remove_file(wal_path(file))
            .and_then(|()| file.parent().map_or(Ok(()), files::sync_dir))
            .map_err(failed)?;
    }
    Ok(true)
}

fn log_damage(damage: Damage, copy: &Path, alone: Option<i64>, with_log: Option<i64>) {
    let copy = copy.display();
    tracing::error!(
        %damage, %copy, ?alone, ?with_log,
        "acknowledged rides may be lost: the journal was copied, and the server continues with the database alone or with \
         the readable part of its log, whichever has more events; restore a backup if it has more"
    );
}

/// Copies the journal to a directory beside it. Returns the path of the copy, and the number of readable events: of
/// the database alone, and of the database with its log. `None` if the database is not sound.
fn copy_journal(file: &Path) -> Result<(PathBuf, [Option<i64>; 2]), OpenError> {
    let log = wal_path(file);
    // The name depends on the damaged log only, so that a supervisor that restarts the server without end makes one
    // copy.
    let name = fs::read(&log)
        .map(|log| format!("{:x}", Sha256::digest(log)))
        .map_err(|why| OpenError::Io { path: log.clone(), why })?;
    let copy = file.with_file_name(format!("{FILE}.damaged-{}", &name[..12]));
    let unfinished = copy.with_extension("unfinished");
    let events =
        copy_into(file, &unfinished, &copy).map_err(|why| OpenError::Io { path: copy.clone(), why })?;
    Ok((copy, events))
}

fn copy_into(file: &Path, unfinished: &Path, copy: &Path) -> io::Result<[Option<i64>; 2]> {
    delete(unfinished)?;
    fs::create_dir(unfinished)?;
    let [database, log, shared_memory] = database(unfinished);
    fs::copy(file, &database)?;
    let alone = events(&database);
    fs::copy(wal_path(file), &log)?;
    fs::remove_file(shared_memory).or_else(forgive_missing)?;
    let with_log = events(&database);
    for path in [&database, &log] {
        fs::File::open(path)?.sync_all()?;
    }
    files::sync_dir(unfinished)?;
    delete(copy)?;
    fs::rename(unfinished, copy)?;
    file.parent().map_or(Ok(()), files::sync_dir)?;
    Ok([alone, with_log])
}

/// Returns the number of events if the database is sound.
fn events(database: &Path) -> Option<i64> {
    let db = DatabaseFile { path: database.to_owned(), vfs: None }.connect(OpenFlags::empty()).ok()?;
    let ask = |db: &Connection| -> rusqlite::Result<Option<i64>> {
        let is_sound: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let events = db.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
        Ok((is_sound == "ok").then_some(events))
    };
    ask(&db).ok().flatten()
}

fn delete(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir).or_else(forgive_missing)
}

fn forgive_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
