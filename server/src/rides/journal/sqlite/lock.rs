//! The lock of the data directory, for one process at a time.
//!
//! There are two locks. One is on the directory itself, which cannot be deleted without the journal in it. The other
//! is on a file in the directory, which contains the id of the process. Earlier programs lock the file alone. So does
//! this one where directories cannot be locked.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use super::OpenError;
use crate::{
    data_dir::WatchedFiles,
    files::{self, Access},
};

/// The file of the lock. It is never deleted: only the lock on it counts, which ends with the process.
const FILE: &str = "rides.lock";

/// The lock. It is held as long as these files are open.
pub(super) struct Lock(pub(super) WatchedFiles);

impl Lock {
    /// Creates the directory if it is missing, and locks it for this process.
    ///
    /// # Errors
    /// When another process has the lock, or the files cannot be made.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path, why| OpenError::Io {
            path: path.to_owned(),
            why: files::explained(path, Access::Write, why),
        };
        make(dir).map_err(|why| failed(dir, why))?;
        let path = Self::path(dir);
        let io = |why| failed(&path, why);
        let in_use = || {
            let process = fs::read_to_string(&path).ok().and_then(|id| id.trim().parse().ok());
            OpenError::InUse { dir: dir.to_owned(), process }
        };
        // The directory comes first, so that the file of a running server does not change.
        let locked_dir = match File::open(dir).map(|dir| dir.try_lock().map(|()| dir)) {
            Ok(Ok(dir)) => Some(dir),
            Ok(Err(TryLockError::WouldBlock)) => return Err(in_use()),
            Ok(Err(TryLockError::Error(_))) | Err(_) => None,
        };
        let mut file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        // The file is overwritten, and not truncated first: on a full disk another program could take the room in
        // between.
        let owner = format!("{}\n", process::id());
        file.write_all(owner.as_bytes()).and_then(|()| file.set_len(owner.len() as u64)).map_err(io)?;
        let mut files = WatchedFiles::default();
        if let Some(locked) = locked_dir {
            files.watch_open(dir.to_owned(), locked).map_err(|why| failed(dir, why))?;
        }
        files.watch_open(path.clone(), file).map_err(io)?;
        // Another process may have deleted a file between its opening and its lock.
        files.check().map_err(|lost| io(io::Error::other(lost)))?;
        Ok(Self(files))
    }

    /// Returns the path of the lock's file.
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }
}

/// Creates the directory for this user only, because its files show the trips of riders.
fn make(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}
