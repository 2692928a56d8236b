//! Files that the operator names. An error about a missing permission names the owner, the user and the remedy.

use std::{
    fs::{self, File, FileType},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The access to a file that the program needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// To read the file.
    Read,
    /// To read and write the file, or to create it.
    Write,
}

/// Reads a regular file.
///
/// # Errors
/// If it cannot be read, or is not a regular file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file of UTF-8 text.
///
/// # Errors
/// If it cannot be read, is not a regular file, or is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens a regular file for reading. Others are refused: a device may never end, and a FIFO may wait for a writer.
///
/// # Errors
/// If it cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    is_regular(path).and_then(|()| File::open(path)).map_err(|why| explained(path, Access::Read, why))
}

fn is_regular(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    match kind.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is {}, and must be a regular file", name_of(kind)),
        )),
    }
}

/// Syncs a directory, so that its files are in it after a loss of power. Does nothing on systems other than Unix.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Returns the file or directory of the SQLite database at `path` that this process may not use, and the error, since
/// SQLite does not report it. `None` if no permission is missing.
pub fn denied_of_database(path: &Path) -> Option<(PathBuf, io::Error)> {
    let beside = ["", "-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    beside.into_iter().chain(path.parent().map(Path::to_owned)).find_map(|path| {
        let tried = match path.is_dir() {
            true => tempfile::tempfile_in(&path).map_err(|why| why.kind().into()),
            false => File::options().read(true).write(true).open(&path),
        };
        let why = tried.err().filter(|why| why.kind() == io::ErrorKind::PermissionDenied)?;
        let why = explained(&path, Access::Write, why);
        Some((path, why))
    })
}

/// Returns `why`, with an explanation if it is about a missing permission.
pub fn explained(path: &Path, access: Access, why: io::Error) -> io::Error {
    let explanation = (why.kind() == io::ErrorKind::PermissionDenied)
        .then(|| permissions::explanation(path, access))
        .flatten();
    match explanation {
        Some(explanation) => io::Error::new(why.kind(), format!("{why}: {explanation}")),
        None => why,
    }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        return "a directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        for (is, name) in [
            (kind.is_fifo(), "a FIFO or a pipe"),
            (kind.is_char_device() || kind.is_block_device(), "a device"),
            (kind.is_socket(), "a socket"),
        ] {
            if is {
                return name;
            }
        }
    }
    "of an unknown kind"
}

#[cfg(unix)]
mod permissions {
    use std::{
        fmt, fs, io,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
        path::{Path, absolute},
    };

    use rustix::process::geteuid;

    use super::Access;

    /// A permission in words, and in the letters of chmod.
    type Wanted = (&'static str, &'static str);

    /// Returns a sentence about the missing permission. `None` if the metadata cannot be read.
    pub(super) fn explanation(path: &Path, access: Access) -> Option<String> {
        let path = absolute(path).ok()?;
        // The deepest path whose metadata can be read is the one that denies access.
        let mut below = None;
        for place in path.ancestors() {
            match fs::metadata(place) {
                Ok(metadata) => {
                    let wanted = match below {
                        None => in_place(access, metadata.is_dir()),
                        Some(io::ErrorKind::NotFound) => ("make files in", "wx"),
                        Some(_) => ("enter", "x"),
                    };
                    let owner = User::of("/etc/passwd", metadata.uid());
                    let group = User::of("/etc/group", metadata.gid());
                    let me = User::of("/etc/passwd", geteuid().as_raw());
                    return Some(sentence(place, &owner, &group, metadata.permissions().mode(), &me, wanted));
                }
                Err(error) => below = Some(error.kind()),
            }
        }
        None
    }

    fn in_place(access: Access, is_dir: bool) -> Wanted {
        match access {
            Access::Read => ("read", "r"),
            Access::Write if is_dir => ("make files in", "rwx"),
            Access::Write => ("read and write", "rw"),
        }
    }

    fn sentence(place: &Path, owner: &User, group: &User, mode: u32, me: &User, wanted: Wanted) -> String {
        let (shown, mode, (words, bits)) = (place.display(), mode & 0o7777, wanted);
        let remedy = match owner.id == me.id {
            true => format!("chmod u+{bits} {shown}"),
            false => format!("chown {} {shown}, or let its group or mode permit that", me.id),
        };
        format!(
            "{shown} belongs to {owner}, group {group}, with mode {mode:04o}, and this program runs as {me}, who must \
             be able to {words} it ({remedy})"
        )
    }

    /// A user or a group.
    struct User {
        id: u32,
        name: Option<String>,
    }

    impl User {
        /// Looks up the name of `id` in `file`, which is /etc/passwd or /etc/group.
        fn of(file: &str, id: u32) -> Self {
            let names = fs::read_to_string(file).unwrap_or_default();
            let named = |line: &str| {
                let mut fields = line.split(':');
                let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
                (number.parse() == Ok(id)).then(|| name.to_owned())
            };
            Self { id, name: names.lines().find_map(named) }
        }
    }

    impl fmt::Display for User {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match &self.name {
                Some(name) => write!(f, "{name} ({})", self.id),
                None => write!(f, "{}", self.id),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn unnamed(id: u32) -> User {
            User { id, name: None }
        }

        #[test]
        fn a_denial_says_whose_it_is_and_who_runs_and_what_to_do() {
            let [group, me] = [113, 1000].map(unnamed);
            let root = User { id: 0, name: Some("root".to_owned()) };
            let key = Path::new("/etc/key.pem");
            assert_eq!(
                sentence(key, &root, &group, 0o100_640, &me, in_place(Access::Read, false)),
                "/etc/key.pem belongs to root (0), group 113, with mode 0640, and this program runs as 1000, who must \
                 be able to read it (chown 1000 /etc/key.pem, or let its group or mode permit that)"
            );
            let dir = Path::new("/srv/rides");
            let own = sentence(dir, &me, &group, 0o040_500, &me, in_place(Access::Write, true));
            assert!(own.ends_with("be able to make files in it (chmod u+rwx /srv/rides)"), "{own}");
        }

        #[test]
        fn users_have_the_names_that_the_system_gives_them() {
            assert_eq!(User::of("/etc/passwd", 0).to_string(), "root (0)");
            assert_eq!(User::of("/etc/passwd", 3_000_000_001).to_string(), "3000000001");
        }
    }
}

#[cfg(not(unix))]
mod permissions {
    use std::path::Path;

    use super::Access;

    /// Returns `None`: other systems have no owner and mode to explain.
    pub(super) fn explanation(_path: &Path, _access: Access) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let why = read(dir.path()).unwrap_err().to_string();
        assert_eq!(why, "it is a directory, and must be a regular file");
        let file = dir.path().join("file");
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(&file, "text").unwrap();
        assert_eq!(read(&file).unwrap(), b"text");
        assert_eq!(read_to_string(&file).unwrap(), "text");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_read_until_memory_is_out() {
        let why = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(why, "it is a device, and must be a regular file");
    }

    #[test]
    fn a_database_that_is_not_there_is_not_denied() {
        let dir = tempfile::tempdir().unwrap();
        assert!(denied_of_database(&dir.path().join("none.db")).is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no file is created");
    }
}
