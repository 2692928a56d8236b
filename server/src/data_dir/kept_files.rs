//! Files that the server keeps its data in, and whether they are still where it opened them.

use std::{
    fs::{File, Metadata},
    io,
    path::PathBuf,
};

/// A file or directory that was deleted, moved away or replaced. What is written to it from then on is lost with the process.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{} was deleted or replaced while the server was using it", .0.display())]
pub struct FileLost(pub PathBuf);

/// Files and directories by their paths and identities. Each must stay open for as long as this exists: the system gives the
/// number of a deleted file that is not open to the next file.
#[derive(Debug, Default)]
pub struct KeptFiles {
    files: Vec<(PathBuf, Identity)>,
    open: Vec<File>,
}

impl KeptFiles {
    /// Notes the files at `paths`, which others keep open. A path without a file is left out.
    ///
    /// # Errors
    /// When the system does not tell about one of them.
    pub fn note(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
        for path in paths {
            match path.metadata() {
                Ok(metadata) => self.files.extend(identity(&metadata).map(|identity| (path, identity))),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Notes `file`, which was opened at `path`, and keeps it open.
    ///
    /// # Errors
    /// When the system does not tell about it.
    pub fn keep(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        self.files.extend(identity(&file.metadata()?).map(|identity| (path, identity)));
        self.open.push(file);
        Ok(())
    }

    /// Checks that each file is still at its path. A path that cannot be looked at is no loss: it may be there still. Blocks.
    ///
    /// # Errors
    /// When one of them is not.
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

/// The device and the number of a file.
type Identity = (u64, u64);

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems do not tell")]
fn identity(metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

/// A file that is open can be neither deleted nor replaced there.
#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<Identity> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// BAD-6
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
            let mut kept = KeptFiles::default();
            kept.note([dir.join("none")]).unwrap();
            kept.keep(file.clone(), File::open(&file).unwrap()).unwrap();
            fs::write(&file, "written to").unwrap();
            assert_eq!(kept.check(), Ok(()));
            lose(&dir);
            assert_eq!(kept.check(), Err(FileLost(file)));
        }
    }

    /// BAD-6
    #[test]
    fn a_directory_that_is_replaced_is_lost() {
        let place = tempfile::tempdir().unwrap();
        let [dir, old] = ["dir", "old"].map(|name| place.path().join(name));
        fs::create_dir(&dir).unwrap();
        let mut kept = KeptFiles::default();
        kept.note([dir.clone()]).unwrap();
        fs::rename(&dir, old).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(kept.check(), Err(FileLost(dir)));
    }
}
