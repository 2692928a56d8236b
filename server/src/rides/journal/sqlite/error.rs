//! Errors of SQLite as errors of the journal.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, ffi};

use super::Damage;
use crate::{files, rides::journal::JournalError};

/// The reason why a journal cannot be opened. The text is one line for the person that starts the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or one of its files cannot be created or used.
    #[error("cannot use {}: {why}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        why: io::Error,
    },
    /// Another process uses the directory.
    #[error("another rides-server{} uses {}: stop it, or give this one another --data-dir", process_text(*process), dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The id of the other process, if it is known.
        process: Option<u32>,
    },
    /// The journal was written by a newer program.
    #[error(
        "the journal was written by a newer rides-server: its schema version is {found}, and this program knows up to {known}"
    )]
    Newer {
        /// The version of the file.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// The journal was written by an older program, and only the server migrates it.
    #[error(
        "the journal's schema version is {found}, not {known}: start this rides-server on it once to migrate it"
    )]
    Older {
        /// The version of the file.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// Acknowledged commits cannot be read, and only the server continues without them.
    #[error("{0}: start this rides-server on it once to continue without them")]
    DamagedLog(Damage),
    /// The file is a database, but no journal.
    #[error("{FILE} is not a journal of rides: choose another --data-dir", FILE = super::FILE)]
    NotAJournal,
    /// SQLite does not apply a setting that the journal needs.
    #[error("SQLite did not apply a setting that the journal needs: {0}")]
    Setting(String),
    /// The content cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl OpenError {
    /// Returns this error. If it says that the journal is damaged because a read of `db` failed, returns the error of
    /// that read.
    pub(super) fn or_unreadable(self, db: &Connection) -> Self {
        match self {
            Self::Journal(why) => Self::Journal(why.or_unreadable(db)),
            other => other,
        }
    }

    /// Returns the missing permission for the journal at `path`, if that is the cause, or else this error.
    pub(super) fn or_denied(self, path: &Path) -> Self {
        files::denied_of_database(path).map_or(self, |(path, why)| Self::Io { path, why })
    }
}

fn process_text(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl JournalError {
    /// Returns this error. If it is [`Self::Damaged`] because a read of `db` failed, returns the error of that read:
    /// SQLite reports both as damage.
    pub(super) fn or_unreadable(self, db: &Connection) -> Self {
        match self {
            Self::Damaged(_) => {
                sqlite_errno::last_error(db).map_or(self, |why| Self::Unavailable(why.to_string()))
            }
            other => other,
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Journal(error.into())
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
                (ErrorCode::DiskFull, _) => Self::Full,
                // After a failed sync the content of the disk is unknown, and a second sync would succeed without
                // effect: see "PostgreSQL's fsync() surprise", LWN 752063.
                (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Self::Failed(text),
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Damaged(text),
                _ => Self::Unavailable(text),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Damaged(text),
            _ => Self::Unavailable(text),
        }
    }
}
