//! TLS: the server's certificate, client certificates of drivers, and the authorities that this program's clients
//! trust.

pub mod client;
mod client_certs;
pub mod development;
mod driver;
mod follow;
mod pem;
mod served;

use std::{future::pending, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use futures_util::future;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoClientAuth, NoServerSessionStorage, danger::ClientCertVerifier},
};

use self::client_certs::ClientVerifier;
pub use self::{
    driver::certified_car,
    pem::{CertificateFiles, PemError},
    served::ServerCertificate,
};
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

/// The TLS of the port. Clones are cheap and share the certificates.
#[derive(Clone)]
pub struct Tls {
    port: grpc_edge::Tls,
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
        let clients =
            options.client_ca.map(|ca| ClientVerifier::load(&ca, options.client_crl)).transpose()?;
        let verifier: Arc<dyn ClientCertVerifier> = match &clients {
            Some(clients) => Arc::new(clients.clone()),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("cannot configure TLS")?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(served.clone()));
        if clients.is_some() {
            // No session resumption: it would skip the check of the client's certificate.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let port = grpc_edge::Tls::new(config);
        let port = match &clients {
            Some(clients) => port.with_revocations(clients.clone()),
            None => port,
        };
        Ok(Self { port, served, clients, strict: options.hsts })
    }

    /// The TLS of the port, for the edge.
    pub fn of_port(&self) -> grpc_edge::Tls {
        self.port.clone()
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
