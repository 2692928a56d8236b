//! Certificates, keys and revocation lists in PEM files.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;

use super::provider;
use crate::files;

/// The paths of a certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate chain, the own certificate first.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// The reason why a PEM file cannot be used.
#[derive(Debug, Error)]
pub enum PemError {
    /// The file cannot be read.
    #[error("{file}: {why}")]
    Read {
        /// The path of the file.
        file: String,
        /// The error of the system.
        why: io::Error,
    },
    /// The content is not valid.
    #[error("{file}: {why}")]
    Content {
        /// The path of the file.
        file: String,
        /// The reason.
        why: String,
    },
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("{file} cannot be served with its key: {why}")]
    Pair {
        /// The path of the certificate.
        file: String,
        /// The reason.
        why: rustls::Error,
    },
}

/// The contents of the two files, to detect changes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    pub(super) fn read(&self) -> Result<Bytes, PemError> {
        Ok(Bytes { cert: read(&self.cert)?, key: read(&self.key)? })
    }

    /// Parses the certificate chain and the key.
    ///
    /// # Errors
    /// If one of them is not valid, or they do not belong together.
    pub(super) fn parse(&self, bytes: &Bytes) -> Result<Arc<CertifiedKey>, PemError> {
        let chain = certificates(&self.cert, &bytes.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes.key).map_err(|why| content(&self.key, why))?;
        CertifiedKey::from_der(chain, key, &provider())
            .map(Arc::new)
            .map_err(|why| PemError::Pair { file: self.cert.display().to_string(), why })
    }
}

/// Reads the certificate authorities in a PEM file.
pub(super) fn authorities(file: &Path) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for authority in certificates(file, &read(file)?)? {
        store.add(authority).map_err(|why| content(file, why))?;
    }
    Ok(store)
}

/// Parses the revocation lists in the content `pem` of a file.
pub(super) fn revocations(
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    all(file, pem, "certificate revocation list")
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    all(file, pem, "certificate")
}

/// Parses all items of one kind. Fails if there is none.
fn all<T: PemObject>(file: &Path, pem: &[u8], what: &str) -> Result<Vec<T>, PemError> {
    let found: Result<Vec<_>, _> = T::pem_slice_iter(pem).collect();
    let found = found.map_err(|why| content(file, why))?;
    if found.is_empty() { Err(content(file, format!("the file contains no {what}"))) } else { Ok(found) }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, PemError> {
    files::read(file).map_err(|why| PemError::Read { file: file.display().to_string(), why })
}

pub(super) fn content(file: &Path, why: impl fmt::Display) -> PemError {
    PemError::Content { file: file.display().to_string(), why: why.to_string() }
}
