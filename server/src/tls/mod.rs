//! TLS: the certificate that is served, the cars that clients' certificates name, and what a client trusts.

pub mod client;
mod clients;
pub mod development;
mod driver;
mod follow;
mod pem;
mod served;

use std::{convert::Infallible, future::pending, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoClientAuth, NoServerSessionStorage, danger::ClientCertVerifier},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::clients::Clients;
pub use self::{
    driver::DriversCertificate,
    pem::{Files, PemError},
    served::Served,
};

/// The longest that a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How to serve TLS.
pub struct Options {
    /// The chain and its key.
    pub files: Files,
    /// Who signs certificates of cars. Clients without a certificate are served too.
    pub client_ca: Option<PathBuf>,
    /// Which of these it has revoked.
    pub client_crl: Option<PathBuf>,
    /// Whether browsers are to insist on TLS from now on: not for a certificate that a person must accept first.
    pub strict: bool,
}

/// TLS as it is served. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    served: Served,
    clients: Option<Clients>,
    strict: bool,
}

impl Tls {
    /// Reads the certificates, TLS 1.2 and up, for HTTP/2 and HTTP/1.1. Fails if one cannot be used.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let served = Served::load(options.files)?;
        let clients = options.client_ca.map(|ca| Clients::load(&ca, options.client_crl)).transpose()?;
        let verifier: Arc<dyn ClientCertVerifier> = match &clients {
            Some(clients) => Arc::new(clients.clone()),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("no TLS")?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(served.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if clients.is_some() {
            // Nobody would look at a certificate again when what it began is resumed.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, served, clients, strict: options.strict })
    }

    /// Agrees on keys with a client, within `patience` and ten seconds at most, and says whether it has shown a driver's
    /// certificate. `None` if nothing comes of it.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Option<(TlsStream<TcpStream>, Option<DriversCertificate>)> {
        match timeout(patience.min(HANDSHAKE), self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(DriversCertificate::of);
                Some((stream, shown))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_elapsed) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    /// Tells a driver's certificate when it is revoked.
    pub(crate) async fn watch_over(&self, certificate: &DriversCertificate) -> Infallible {
        match &self.clients {
            Some(clients) => clients.watch_over(certificate).await,
            None => pending().await,
        }
    }

    /// Keeps up with the files, for ever.
    pub async fn follow(&self) {
        let clients = async {
            match self.clients.clone() {
                Some(clients) => clients.follow().await,
                None => pending().await,
            }
        };
        future::join(self.served.clone().follow(), clients).await;
    }

    /// The certificate that is served, now and later.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Whether browsers are told to insist on TLS.
    pub fn is_strict(&self) -> bool {
        self.strict
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
