//! The verification of client certificates, by the authorities that sign them and by their revocation lists (CRLs).

use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use tokio::sync::watch;

use super::{PemError, certified_car, follow::follow, pem, provider};
use grpc_edge::{ClientCertificate, Revocations};

type Verifier = Arc<dyn ClientCertVerifier>;

/// A verifier of client certificates, which follows changes of the revocation list. Clones are cheap and share the
/// list.
#[derive(Clone, Debug)]
pub(super) struct ClientVerifier {
    authorities: Arc<RootCertStore>,
    /// The file of the revocation list, if there is one, and its content at the start.
    revoked: Option<(PathBuf, Arc<Vec<u8>>)>,
    /// The verifier at the start, for methods that depend on the authorities alone.
    first: Verifier,
    /// The verifier with the current list.
    now: watch::Sender<Verifier>,
}

impl ClientVerifier {
    /// Reads the authorities and the revocation list.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(super) fn load(authorities: &Path, revoked: Option<PathBuf>) -> anyhow::Result<Self> {
        let authorities = Arc::new(pem::authorities(authorities)?);
        let (revoked, first) = match revoked {
            None => {
                let first = verifier(&authorities, Vec::new()).context("cannot use the client CA")?;
                (None, first)
            }
            Some(file) => {
                let bytes = pem::read(&file)?;
                let first = verifier_with_crl(&authorities, &file, &bytes)?;
                (Some((file, Arc::new(bytes))), first)
            }
        };
        Ok(Self { authorities, revoked, now: watch::Sender::new(Arc::clone(&first)), first })
    }

    /// Reads the revocation list again when it changes. Never returns.
    pub(super) async fn follow(self) {
        let Some((file, loaded)) = self.revoked else { return pending().await };
        let path = file.clone();
        follow(
            "certificate revocation list",
            loaded.as_ref().clone(),
            move || pem::read(&path),
            |bytes| {
                self.now.send_replace(verifier_with_crl(&self.authorities, &file, bytes)?);
                Ok(())
            },
        )
        .await;
    }

    fn is_valid(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((own, intermediates)) = chain.split_first() else { return false };
        self.current().verify_client_cert(own, intermediates, UnixTime::now()).is_ok()
    }

    fn current(&self) -> Verifier {
        Arc::clone(&self.now.borrow())
    }
}

impl Revocations for ClientVerifier {
    fn watch(&self, certificate: Arc<ClientCertificate>) -> BoxFuture<'static, ()> {
        let clients = self.clone();
        Box::pin(async move {
            // Nobody is known by a certificate that names no car.
            if certified_car(&certificate).is_none() {
                return;
            }
            let mut lists = clients.now.subscribe();
            // The list may have changed since the handshake.
            while clients.is_valid(certificate.chain()) {
                if lists.changed().await.is_err() {
                    return;
                }
            }
            certificate.revoke();
        })
    }
}

fn verifier_with_crl(
    authorities: &Arc<RootCertStore>,
    file: &Path,
    bytes: &[u8],
) -> Result<Verifier, PemError> {
    let revoked = pem::revocations(file, bytes)?;
    verifier(authorities, revoked).map_err(|why| pem::content(file, why))
}

/// Returns a verifier with this revocation list. It also accepts clients without a certificate.
fn verifier(
    authorities: &Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Verifier, rustls::server::VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities), provider())
        .with_crls(revoked)
        .allow_unauthenticated()
        .build()
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.first.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(own, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first.supported_verify_schemes()
    }
}
