//! The certificate that is served, which may change while the server runs.

use std::{fmt, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;

use super::{Files, PemError, follow::follow, pem::Bytes};

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
    pub(super) async fn follow(self) {
        let (files, loaded) = (self.files.clone(), self.loaded.as_ref().clone());
        follow(
            "certificate is served",
            loaded,
            move || files.read(),
            |bytes| {
                self.now.send_replace(self.files.parse(bytes)?);
                Ok(())
            },
        )
        .await;
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
