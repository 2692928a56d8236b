//! The certificate that is served, which may change while the server runs.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::{Files, PemError, pem::Bytes};

/// Between two looks at the files. Small ones, and a new certificate has days to be seen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The certificate of the moment, and where it comes from. Cheap to clone; all clones serve the same.
#[derive(Clone)]
pub struct Served {
    files: Files,
    /// What the files held at the start.
    loaded: Arc<Bytes>,
    now: watch::Sender<Arc<CertifiedKey>>,
}

impl Served {
    /// Reads the files. Fails if they cannot be used.
    pub(super) fn load(files: Files) -> Result<Self, PemError> {
        let loaded = files.read()?;
        let now = watch::Sender::new(files.parse(&loaded)?);
        Ok(Self { files, loaded: Arc::new(loaded), now })
    }

    /// The server's own certificate, as clients see it.
    pub(super) fn end_entity(&self) -> Option<Vec<u8>> {
        self.now.borrow().end_entity_cert().ok().map(|own| own.to_vec())
    }

    /// Serves what is in the files, for ever: takes a new pair when there is one, and keeps the old one when the new
    /// one cannot be used.
    pub async fn follow(self) {
        let mut seen = self.loaded.as_ref().clone();
        let mut complaint = String::new();
        loop {
            sleep(LOOK_EVERY).await;
            let read = match self.look().await {
                Ok(bytes) if seen == bytes => continue,
                read => read,
            };
            let parsed = read.and_then(|bytes| Ok((self.files.parse(&bytes)?, bytes)));
            match parsed {
                Ok((new, bytes)) => {
                    self.now.send_replace(new);
                    seen = bytes;
                    complaint.clear();
                    tracing::info!(file = %self.files.cert.display(), "a new certificate is served");
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != complaint {
                        tracing::warn!("{text}: the old certificate is served on");
                        complaint = text;
                    }
                }
            }
        }
    }

    async fn look(&self) -> Result<Bytes, PemError> {
        let files = self.files.clone();
        match spawn_blocking(move || files.read()).await {
            Ok(read) => read,
            Err(error) => Err(PemError::Read {
                file: self.files.cert.display().to_string(),
                why: std::io::Error::other(error),
            }),
        }
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.borrow().clone())
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("files", &self.files).finish_non_exhaustive()
    }
}
