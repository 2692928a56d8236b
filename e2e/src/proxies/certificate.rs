//! The TLS certificate of the proxies: signed by a development CA, for `rides.example`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::server::program;

/// The host name in the configurations of `deploy/`.
pub const NAME: &str = "rides.example";

/// The certificate files that the configurations of `deploy/` name. They are removed when this is dropped.
pub struct Certificate {
    dir: TempDir,
}

impl Certificate {
    /// Makes a certificate with `rides-server gen-key`.
    ///
    /// # Errors
    /// When the program fails, or the files cannot be written.
    pub async fn make() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(program()?);
        command.args(["gen-key", "--host", NAME, "--data-dir"]).arg(dir.path());
        let made = command.output().await.context("cannot start gen-key")?;
        ensure!(
            made.status.success(),
            "rides-server gen-key failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let read = |name: &str| {
            fs::read_to_string(dir.path().join("tls").join(name))
                .context("rides-server gen-key wrote no certificate")
        };
        let (certificate, key) = (read("server.pem")?, read("server-key.pem")?);
        fs::write(dir.path().join("haproxy.pem"), format!("{certificate}{key}"))?;
        fs::write(dir.path().join("cert.pem"), certificate)?;
        fs::write(dir.path().join("key.pem"), key)?;
        Ok(Self { dir })
    }

    /// Returns the folder that replaces `/etc/ssl/rides`.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path of the CA certificate to trust.
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.path().join("tls/ca.pem")
    }
}
