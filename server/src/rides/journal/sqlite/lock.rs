//! One process at a time has a data directory.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    path::Path,
    process,
};

use super::OpenError;
use crate::files::{self, Access};

/// The lock's file. It stays when the lock is gone: what counts is the lock on it, which ends with the process.
const FILE: &str = "rides.lock";

/// Held for as long as this lives.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory where it is not, and takes it for this process.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path, why| OpenError::Io {
            path: path.to_owned(),
            why: files::explained(path, Access::Write, why),
        };
        make(dir).map_err(|why| failed(dir, why))?;
        let path = dir.join(FILE);
        let io = |why| failed(&path, why);
        let mut file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = fs::read_to_string(&path).ok().and_then(|id| id.trim().parse().ok());
                return Err(OpenError::InUse { dir: dir.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", process::id())).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Nobody else needs to read where riders went.
fn make(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}
