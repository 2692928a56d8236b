//! One process at a time has a data directory.
//!
//! Two locks are held. One is on the directory itself, which cannot be deleted without the journal in it. The other is on a
//! file in the directory, which names the process that holds the lock. Earlier programs lock the file alone, and so does
//! this one where directories cannot be locked.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use super::OpenError;
use crate::{
    data_dir::KeptFiles,
    files::{self, Access},
};

/// The lock's file. It stays when the lock is gone: what counts is the lock on it, which ends with the process.
const FILE: &str = "rides.lock";

/// Held for as long as these files are open.
pub(super) struct Lock(pub(super) KeptFiles);

impl Lock {
    /// Makes the directory where it is not, and takes it for this process.
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
        // First: the file of a server that has the directory stays as it is.
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
        // Written over, and not anew: on a full disk another program may take the room that is given up meanwhile.
        let owner = format!("{}\n", process::id());
        file.write_all(owner.as_bytes()).and_then(|()| file.set_len(owner.len() as u64)).map_err(io)?;
        let mut files = KeptFiles::default();
        if let Some(locked) = locked_dir {
            files.keep(dir.to_owned(), locked).map_err(|why| failed(dir, why))?;
        }
        files.keep(path.clone(), file).map_err(io)?;
        // What was locked may have been deleted before it was.
        files.check().map_err(|lost| io(io::Error::other(lost)))?;
        Ok(Self(files))
    }

    /// The file that is locked.
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }
}

/// Nobody else needs to read where riders went.
fn make(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}
