//! The write-ahead log that an earlier process left.

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::OpenError;
use crate::files::{self, Access};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// Writes the log beside `file` over itself, if there is one, and syncs it. No other process may write to it.
///
/// After a failed sync, Linux keeps the data that it could not write in its cache and marks it as written. The next
/// process reads it there and appends acknowledged rides behind it. A loss of power then removes the first part, and
/// SQLite reads its log only up to there. After a rewrite the log is on the disk, or this function fails and the
/// server does not start. See "PostgreSQL's fsync() surprise", LWN 752063.
pub(super) fn rewrite(file: &Path) -> Result<(), OpenError> {
    let path = wal_path(file);
    rewrite_in_place(&path).map_err(|why| {
        let why = files::explained(&path, Access::Write, why);
        OpenError::Io { path, why }
    })
}

/// Returns the path of the log beside a database.
pub(super) fn wal_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

fn rewrite_in_place(path: &Path) -> io::Result<()> {
    let mut log = match fs::File::options().read(true).write(true).open(path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut chunk, mut at) = (vec![0; CHUNK], 0);
    loop {
        log.seek(SeekFrom::Start(at))?;
        let read = log.read(&mut chunk)?;
        if read == 0 {
            return log.sync_all();
        }
        log.seek(SeekFrom::Start(at))?;
        log.write_all(&chunk[..read])?;
        at += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_what_it_was_and_none_is_made() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, log) = (dir.path().join("rides.db"), dir.path().join("rides.db-wal"));
        rewrite(&file).expect("nothing to do");
        assert!(!log.exists());
        let bytes: Vec<u8> = (0..3 * CHUNK + 7).map(|n| (n % 251) as u8).collect();
        fs::write(&log, &bytes).expect("can be written");
        rewrite(&file).expect("can be written again");
        assert!(fs::read(&log).expect("can be read") == bytes);
    }
}
