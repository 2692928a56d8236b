//! TLS: the server's certificate, client certificates of drivers, and the authorities that this program's clients
//! trust.

pub mod client;
mod client_certs;
pub mod development;
mod driver;
mod follow;
mod pem;
mod served;

use std::{convert::Infallible, future::pending, io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoClientAuth, NoServerSessionStorage, danger::ClientCertVerifier},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::client_certs::ClientVerifier;
pub use self::{
    driver::DriverCertificate,
    pem::{CertificateFiles, PemError},
    served::ServerCertificate,
};

/// The longest timeout of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration of TLS.
pub struct Options {
    /// The server's certificate chain and its key.
    pub files: CertificateFiles,
    /// The authorities that sign drivers' certificates. Clients without a certificate are accepted, too.
    pub client_ca: Option<PathBuf>,
    /// The certificates that these authorities have revoked.
    pub client_crl: Option<PathBuf>,
    /// `true` to send HSTS (RFC 6797), which makes browsers insist on TLS. `false` for a certificate that browsers do
    /// not trust by themselves.
    pub hsts: bool,
}

/// An accepted connection to a port with TLS.
pub(crate) enum Accepted {
    /// A TLS connection, with the client's certificate if it names a car.
    Tls(Box<TlsStream<TcpStream>>, Option<DriverCertificate>),
    /// A connection whose client speaks plain HTTP. Nothing is read from it yet.
    PlainHttp(TcpStream),
}

/// The TLS of the port. Clones are cheap and share the certificates.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    served: ServerCertificate,
    clients: Option<ClientVerifier>,
    strict: bool,
}

impl Tls {
    /// Reads the certificates, and configures TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let served = ServerCertificate::load(options.files)?;
        let clients = options.client_ca.map(|ca| ClientVerifier::load(&ca, options.client_crl)).transpose()?;
        let verifier: Arc<dyn ClientCertVerifier> = match &clients {
            Some(clients) => Arc::new(clients.clone()),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("cannot configure TLS")?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(served.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if clients.is_some() {
            // No session resumption: it would skip the check of the client's certificate.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, served, clients, strict: options.hsts })
    }

    /// Performs a TLS handshake, within `patience` and at most ten seconds. `None` if it fails.
    pub(crate) async fn accept(&self, stream: TcpStream, patience: Duration) -> Option<Accepted> {
        let accepting = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            // HTTP/1.1 begins with the letters of a method, HTTP/2 with those of its preface. A TLS record does not
            // begin with a letter.
            if first[0].is_ascii_alphabetic() {
                return Ok(Accepted::PlainHttp(stream));
            }
            let stream = Box::new(self.acceptor.accept(stream).await?);
            let shown = stream.get_ref().1.peer_certificates().and_then(DriverCertificate::of);
            Ok::<_, io::Error>(Accepted::Tls(stream, shown))
        };
        match timeout(patience.min(HANDSHAKE_TIMEOUT), accepting).await {
            Ok(Ok(accepted)) => Some(accepted),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_elapsed) => {
                tracing::debug!("a TLS handshake timed out");
                None
            }
        }
    }

    /// Cancels a token of `certificate` when it is revoked. Never returns.
    pub(crate) async fn cancel_when_revoked(&self, certificate: &DriverCertificate) -> Infallible {
        match &self.clients {
            Some(clients) => clients.cancel_when_revoked(certificate).await,
            None => pending().await,
        }
    }

    /// Reads the certificate and the revocation list again when their files change. Never returns.
    pub async fn follow(&self) {
        let clients = async {
            match self.clients.clone() {
                Some(clients) => clients.follow().await,
                None => pending().await,
            }
        };
        future::join(self.served.clone().follow(), clients).await;
    }

    /// Returns a handle to the server's current certificate.
    pub fn served(&self) -> &ServerCertificate {
        &self.served
    }

    /// Returns `true` if HSTS is sent to browsers.
    pub fn is_strict(&self) -> bool {
        self.strict
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
