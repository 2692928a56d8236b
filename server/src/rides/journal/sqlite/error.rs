//! What SQLite says, in the journal's words.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, ffi};

use super::Damage;
use crate::{files, rides::journal::JournalError};

/// Why a journal cannot be opened. One line, for whoever starts the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be made or used.
    #[error("cannot use {}: {why}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Another process has it.
    #[error("another rides-server{} uses {}; give this one a --data-dir of its own", named(*process), dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The other one's process id, where it can be told.
        process: Option<u32>,
    },
    /// A later program made it.
    #[error(
        "the journal was written by a newer rides-server: its schema is version {found}, this one knows up to {known}"
    )]
    Newer {
        /// The file's version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// An earlier program made it, and only a server may bring it up to date.
    #[error("the journal's schema is version {found}, and not {known}: start this rides-server on it once")]
    Older {
        /// The file's version.
        found: i64,
        /// The one it should be.
        known: i64,
    },
    /// Acknowledged commits cannot be read, and only a server may go on without them.
    #[error("{0}: start this rides-server on it once")]
    DamagedLog(Damage),
    /// It is a database of something else.
    #[error("{FILE} is no journal of rides", FILE = super::FILE)]
    NotOurs,
    /// SQLite does not do what a journal needs.
    #[error("SQLite cannot promise what a journal needs: {0}")]
    Promise(String),
    /// What it holds cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl OpenError {
    /// This error, unless `db` took a read that failed for damage, as SQLite does.
    pub(super) fn or_unreadable(self, db: &Connection) -> Self {
        match self {
            Self::Journal(why) => Self::Journal(why.or_unreadable(db)),
            other => other,
        }
    }

    /// The permission that is missing for the journal at `path`, if that is what is wrong, or else this error.
    pub(super) fn or_denied(self, path: &Path) -> Self {
        files::denied_of_database(path).map_or(self, |(path, why)| Self::Io { path, why })
    }
}

fn named(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl JournalError {
    /// This error, unless `db` took a read that failed for damage, as SQLite does.
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
                // What a failed sync left on the disk is not known, and asking again would be told that all is
                // well: see "PostgreSQL's fsync() surprise", LWN 752063.
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
