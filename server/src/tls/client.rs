//! The TLS of this program's own clients: the simulator, `rides-server client`, and the fetch of a provider's keys.

use std::{
    io,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, WantsVerifier,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use super::{ServerCertificate, pem, provider};

/// A connector for TLS. It offers HTTP/2 by ALPN, for tonic's channels, unless [`Self::for_http1`] was called.
#[derive(Clone)]
pub struct Connector(TlsConnector);

impl Connector {
    /// Returns a connector that trusts the certificate authorities in the file `ca`, or by default those of this
    /// system.
    ///
    /// # Errors
    /// If the file cannot be read, or contains no certificate.
    pub fn trusting(ca: Option<&Path>) -> anyhow::Result<Self> {
        let roots = match ca {
            Some(file) => pem::authorities(file)?,
            None => system_roots(),
        };
        Ok(Self::over(builder()?.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Returns a connector that trusts only the certificate that this process serves, and does not check its names.
    ///
    /// # Errors
    /// If TLS cannot be configured.
    pub fn to_own_server(served: ServerCertificate) -> anyhow::Result<Self> {
        let verifier = Arc::new(OwnCertificateVerifier(served));
        let config = builder()?.dangerous().with_custom_certificate_verifier(verifier);
        Ok(Self::over(config.with_no_client_auth()))
    }

    /// Offers HTTP/1.1 by ALPN instead of HTTP/2.
    #[must_use]
    pub fn for_http1(self) -> Self {
        let mut config = ClientConfig::clone(self.0.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }

    fn over(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }
}

fn builder() -> anyhow::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .context("cannot configure TLS")
}

fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(TokioIo::new(connector.connect(name, stream).await?))
        }
        .boxed()
    }
}

/// A verifier that accepts only the certificate that this process serves.
#[derive(Debug)]
struct OwnCertificateVerifier(ServerCertificate);

impl ServerCertVerifier for OwnCertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.0.end_entity().is_some_and(|own| own == end_entity.as_ref()) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
