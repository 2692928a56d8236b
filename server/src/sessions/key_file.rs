//! The file of the signing key. It keeps tokens valid over a restart of the server.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use tempfile::{Builder, PersistError};

use super::{TokenKeys, token::new_key};
use crate::files::{self, Access};

impl TokenKeys {
    /// Reads the key in `data_dir`, and creates it if there is none. Blocks.
    ///
    /// # Errors
    /// If the key cannot be created or read, is not an Ed25519 key, or is readable by other users.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = path(data_dir);
        if !path.exists() {
            create(&path).with_context(|| format!("cannot create the signing key {}", path.display()))?;
        }
        load(&path)
    }

    /// Reads the key that a server has created in `data_dir`. Blocks.
    ///
    /// # Errors
    /// If there is none, and as [`open_ride_limits`](Self::open).
    pub fn load(data_dir: &Path) -> anyhow::Result<Self> {
        load(&path(data_dir))
    }

    /// Returns the path of the key in `data_dir`.
    pub fn file(data_dir: &Path) -> PathBuf {
        path(data_dir)
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("tokens.pem")
}

fn load(path: &Path) -> anyhow::Result<TokenKeys> {
    let name = path.display();
    let pem = files::read_to_string(path)
        .with_context(|| format!("cannot read {name}, which the server creates when it first starts"))?;
    ensure!(
        is_secret(path)?,
        "{name} is a private key that other users can read: chmod 600 it, or delete it"
    );
    let key = SigningKey::from_pkcs8_pem(&pem)
        .map_err(|why| anyhow::anyhow!("{name} is not an Ed25519 key in PKCS #8: {why}"))?;
    Ok(TokenKeys::new(&key))
}

/// Creates a key at `path` atomically. If another process creates one at the same time, the first one stays.
fn create(path: &Path) -> anyhow::Result<()> {
    let dir = path.parent().context("the path has no directory")?;
    let pem = new_key().to_pkcs8_pem(LineEnding::LF)?;
    let mut file = Builder::new()
        .prefix(".tokens")
        .tempfile_in(dir)
        .map_err(|why| files::explained(dir, Access::Write, why))?;
    file.write_all(pem.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(PersistError { error, .. }) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(files::sync_dir(dir)?),
    }
}

#[cfg(unix)]
fn is_secret(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

/// Always `true`: other systems have no such mode, and the owner of the directory protects the file.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the version for Unix can fail")]
fn is_secret(_path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::SystemTime};

    use super::*;
    use crate::sessions::Sessions;

    fn says(why: anyhow::Result<TokenKeys>) -> String {
        format!("{:#}", why.err().expect("opening the key fails"))
    }

    #[test]
    fn tokens_outlive_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = || Sessions::new(TokenKeys::open(dir.path()).unwrap());
        let now = SystemTime::now();
        let issued = sessions().sign_in_guest("Aino", None, now);
        assert_eq!(sessions().verify(&issued.token, now), Ok(issued.session));
    }

    #[test]
    fn whoever_comes_at_the_same_time_has_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let at_once: Vec<_> = (0..8)
            .map(|_| {
                let dir = dir.path().to_owned();
                thread::spawn(move || Sessions::new(TokenKeys::open(&dir).unwrap()))
            })
            .collect();
        let sessions: Vec<_> = at_once.into_iter().map(|opening| opening.join().unwrap()).collect();
        let now = SystemTime::now();
        let token = sessions[0].sign_in_guest("Aino", None, now).token;
        assert!(sessions.iter().all(|sessions| sessions.verify(&token, now).is_ok()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        TokenKeys::open(dir.path()).unwrap();
        let path = path(dir.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(says(TokenKeys::open(dir.path())).contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(says(TokenKeys::load(dir.path())).contains("when it first starts"));
        TokenKeys::open(dir.path()).unwrap();
        fs::write(path(dir.path()), "no key").unwrap();
        assert!(says(TokenKeys::open(dir.path())).contains("is not an Ed25519 key"));
        assert_eq!(fs::read_to_string(path(dir.path())).unwrap(), "no key");
    }
}
