//! TLS: the certificate that is served, the cars that clients' certificates name, and what a client trusts.

pub mod client;
mod clients;
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

/// A connection to a port that speaks TLS.
pub(crate) enum Accepted {
    /// With the driver's certificate that its client has shown, if it has.
    Tls(Box<TlsStream<TcpStream>>, Option<DriversCertificate>),
    /// Its client begins with HTTP, of which nothing is read yet.
    PlainHttp(TcpStream),
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

    /// Agrees on keys with a client, within `patience` and ten seconds at most. `None` if nothing comes of it.
    pub(crate) async fn accept(&self, stream: TcpStream, patience: Duration) -> Option<Accepted> {
        let accepting = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            // A method of HTTP/1.1, or the preface of HTTP/2. No record of TLS begins with a letter.
            if first[0].is_ascii_alphabetic() {
                return Ok(Accepted::PlainHttp(stream));
            }
            let stream = Box::new(self.acceptor.accept(stream).await?);
            let shown = stream.get_ref().1.peer_certificates().and_then(DriversCertificate::of);
            Ok::<_, io::Error>(Accepted::Tls(stream, shown))
        };
        match timeout(patience.min(HANDSHAKE), accepting).await {
            Ok(Ok(accepted)) => Some(accepted),
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
