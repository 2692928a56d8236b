//! The files of the data directory, and the check that they are still at their paths.

use std::{
    fs::{File, Metadata},
    io,
    path::PathBuf,
};

/// A file or directory that was deleted, moved or replaced while the server used it. Later writes to it are lost when
/// the process ends.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} was deleted or replaced while the server was using it", .0.display())]
pub struct FileLost(pub PathBuf);

/// Files and directories by their paths and identities. Each must stay open while this value exists: the system may
/// reuse the inode number of a deleted file that is not open.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    files: Vec<(PathBuf, Identity)>,
    open: Vec<File>,
}

impl WatchedFiles {
    /// Adds the files at `paths`, which other code keeps open. A path without a file is left out.
    ///
    /// # Errors
    /// If the metadata of a file cannot be read.
    pub fn watch(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
        for path in paths {
            match path.metadata() {
                Ok(metadata) => self.files.extend(identity(&metadata).map(|identity| (path, identity))),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds `file`, which was opened at `path`, and keeps it open.
    ///
    /// # Errors
    /// If the metadata of the file cannot be read.
    pub fn watch_open(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        self.files.extend(identity(&file.metadata()?).map(|identity| (path, identity)));
        self.open.push(file);
        Ok(())
    }

    /// Checks that each file is still at its path. A path that cannot be read does not count as lost. Blocks.
    ///
    /// # Errors
    /// If a file was deleted, moved or replaced.
    pub fn check(&self) -> Result<(), FileLost> {
        let is_lost = |(path, known): &&(PathBuf, Identity)| match path.metadata() {
            Ok(metadata) => identity(&metadata).is_some_and(|found| found != *known),
            Err(error) => is_missing(&error),
        };
        self.files.iter().find(is_lost).map_or(Ok(()), |(path, _)| Err(FileLost(path.clone())))
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The device and the inode number of a file.
type Identity = (u64, u64);

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no inode numbers")]
fn identity(metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

/// Returns `None`: on other systems an open file cannot be deleted or replaced.
#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<Identity> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// BAD-6 in docs/failures.md.
    #[test]
    fn a_file_that_is_deleted_moved_or_replaced_is_lost() {
        let loses: [fn(&Path); 4] = [
            |dir| fs::remove_file(dir.join("file")).unwrap(),
            |dir| fs::rename(dir.join("file"), dir.join("elsewhere")).unwrap(),
            |dir| {
                fs::remove_file(dir.join("file")).unwrap();
                fs::write(dir.join("file"), "another").unwrap();
            },
            |dir| fs::remove_dir_all(dir).unwrap(),
        ];
        for lose in loses {
            let place = tempfile::tempdir().unwrap();
            let dir = place.path().join("dir");
            fs::create_dir(&dir).unwrap();
            let file = dir.join("file");
            fs::write(&file, "kept").unwrap();
            let mut kept = WatchedFiles::default();
            kept.watch([dir.join("none")]).unwrap();
            kept.watch_open(file.clone(), File::open(&file).unwrap()).unwrap();
            fs::write(&file, "written to").unwrap();
            assert_eq!(kept.check(), Ok(()));
            lose(&dir);
            assert_eq!(kept.check(), Err(FileLost(file)));
        }
    }

    /// BAD-6 in docs/failures.md.
    #[test]
    fn a_directory_that_is_replaced_is_lost() {
        let place = tempfile::tempdir().unwrap();
        let [dir, old] = ["dir", "old"].map(|name| place.path().join(name));
        fs::create_dir(&dir).unwrap();
        let mut kept = WatchedFiles::default();
        kept.watch([dir.clone()]).unwrap();
        fs::rename(&dir, old).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(kept.check(), Err(FileLost(dir)));
    }
}
