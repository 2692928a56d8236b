//! Certificates and keys in PEM files.

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

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum PemError {
    /// It cannot be read.
    #[error("{file}: {why}")]
    Read {
        /// Its path.
        file: String,
        /// What the system says.
        why: io::Error,
    },
    /// It has not in it what it should.
    #[error("{file}: {why}")]
    Content {
        /// Its path.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key are not of one pair, or of no kind that TLS knows.
    #[error("{file} and its key do not work together: {why}")]
    Pair {
        /// The certificate's path.
        file: String,
        /// What is wrong.
        why: rustls::Error,
    },
}

/// What is in the two files, byte by byte: to see whether they change.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    pub(super) fn read(&self) -> Result<Bytes, PemError> {
        Ok(Bytes { cert: read(&self.cert)?, key: read(&self.key)? })
    }

    /// Makes of the bytes what can be served.
    pub(super) fn parse(&self, bytes: &Bytes) -> Result<Arc<CertifiedKey>, PemError> {
        let chain = certificates(&self.cert, &bytes.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes.key).map_err(|why| content(&self.key, why))?;
        CertifiedKey::from_der(chain, key, &provider())
            .map(Arc::new)
            .map_err(|why| PemError::Pair { file: self.cert.display().to_string(), why })
    }
}

/// The authorities in a PEM file.
pub(super) fn authorities(file: &Path) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for authority in certificates(file, &read(file)?)? {
        store.add(authority).map_err(|why| content(file, why))?;
    }
    Ok(store)
}

/// The lists of revoked certificates in the bytes of a PEM file.
pub(super) fn revocations(
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    all(file, pem, "list of revoked certificates")
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    all(file, pem, "certificate")
}

/// At least one.
fn all<T: PemObject>(file: &Path, pem: &[u8], what: &str) -> Result<Vec<T>, PemError> {
    let found: Result<Vec<_>, _> = T::pem_slice_iter(pem).collect();
    let found = found.map_err(|why| content(file, why))?;
    if found.is_empty() { Err(content(file, format!("there is no {what} in it"))) } else { Ok(found) }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, PemError> {
    files::read(file).map_err(|why| PemError::Read { file: file.display().to_string(), why })
}

pub(super) fn content(file: &Path, why: impl fmt::Display) -> PemError {
    PemError::Content { file: file.display().to_string(), why: why.to_string() }
}
