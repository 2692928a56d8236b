//! The server's certificate, which may change while the server runs.

use std::{fmt, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;

use super::{CertificateFiles, PemError, follow::follow, pem::Bytes};

/// The server's current certificate and its files. Clones are cheap and share the certificate.
#[derive(Clone)]
pub struct ServerCertificate {
    files: CertificateFiles,
    /// The contents of the files at the start.
    loaded: Arc<Bytes>,
    now: watch::Sender<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be read or used.
    pub(super) fn load(files: CertificateFiles) -> Result<Self, PemError> {
        let loaded = files.read()?;
        let now = watch::Sender::new(files.parse(&loaded)?);
        Ok(Self { files, loaded: Arc::new(loaded), now })
    }

    /// Returns the server's own certificate, the first of its chain.
    pub(super) fn end_entity(&self) -> Option<Vec<u8>> {
        self.now.borrow().end_entity_cert().ok().map(|own| own.to_vec())
    }

    /// Reads the certificate again when its files change. A pair that cannot be used does not replace the old one.
    /// Never returns.
    pub(super) async fn follow(self) {
        let (files, loaded) = (self.files.clone(), self.loaded.as_ref().clone());
        follow(
            "server certificate",
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

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.borrow().clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("files", &self.files).finish_non_exhaustive()
    }
}
