//! The error of the system behind a failed read of SQLite.
//!
//! On Unix, SQLite reports a read that failed with EIO as SQLITE_CORRUPT, the same as a damaged page: `unixRead`
//! returns SQLITE_IOERR_CORRUPTFS, and the end of the statement turns that into SQLITE_CORRUPT. A retry may succeed
//! after a failed read, and never after damage. SQLite keeps the error with the file, and rusqlite has no safe
//! function for it.
#![allow(unsafe_code, reason = "rusqlite has no safe function for SQLITE_FCNTL_LAST_ERRNO")]

use std::{
    ffi::{c_int, c_void},
    io, ptr,
};

use rusqlite::{Connection, ffi};

/// Returns the last error of the system for the files of `db`, which are its database and its log. The error stays
/// until the connection is closed.
pub fn last_error(db: &Connection) -> Option<io::Error> {
    [ffi::SQLITE_FCNTL_FILE_POINTER, ffi::SQLITE_FCNTL_JOURNAL_POINTER]
        .into_iter()
        .find_map(|which| last_errno(db, which))
        .map(io::Error::from_raw_os_error)
}

fn last_errno(db: &Connection, which: c_int) -> Option<c_int> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let mut errno: c_int = 0;
    // SAFETY: the connection is open, and only this thread uses it during the call, because it is not `Sync`. SQLite
    // writes a pointer to a file that is open as long as the connection, or that has no methods. The methods of an
    // open file are a table that is never freed. LAST_ERRNO takes a pointer to an int.
    unsafe {
        let found = ffi::sqlite3_file_control(db.handle(), c"main".as_ptr(), which, argument(&mut file));
        if found != ffi::SQLITE_OK {
            return None;
        }
        let control = file.as_ref()?.pMethods.as_ref()?.xFileControl?;
        let told = control(file, ffi::SQLITE_FCNTL_LAST_ERRNO, argument(&mut errno));
        (told == ffi::SQLITE_OK && errno != 0).then_some(errno)
    }
}

fn argument<T>(value: &mut T) -> *mut c_void {
    ptr::from_mut(value).cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_failures_has_no_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let db = Connection::open(dir.path().join("test.db")).expect("a new database");
        assert!(last_error(&db).is_none(), "without a log");
        let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("a pragma");
        assert_eq!(mode, "wal");
        db.execute_batch("CREATE TABLE test (n INTEGER)").expect("can be written");
        assert!(last_error(&db).is_none(), "with a log");
    }
}
