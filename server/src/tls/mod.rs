//! TLS: the certificate that is served, the cars that clients' certificates name, and what a client trusts.

mod car;
pub mod client;
pub mod development;
mod pem;
mod served;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub use self::{
    pem::{Files, PemError},
    served::Served,
};
use rides_proto::ids::CarId;

/// The longest that a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How to serve TLS.
pub struct Options {
    /// The chain and its key.
    pub files: Files,
    /// Who signs certificates of cars. Clients without a certificate are served too.
    pub client_ca: Option<PathBuf>,
    /// Whether browsers are to insist on TLS from now on: not for a certificate that a person must accept first.
    pub strict: bool,
}

/// TLS as it is served. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    served: Served,
    strict: bool,
}

impl Tls {
    /// Reads the certificates, TLS 1.2 and up, for HTTP/2 and HTTP/1.1. Fails if one cannot be used.
    pub fn open(options: Options) -> anyhow::Result<Self> {
        let served = Served::load(options.files)?;
        let verifier = match options.client_ca {
            Some(file) => cars_of(&pem::authorities(&file)?)?,
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("no TLS")?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(served.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), served, strict: options.strict })
    }

    /// Agrees on keys with a client, within `patience` and ten seconds at most, and says which car its certificate names.
    /// `None` if nothing comes of it.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Option<(TlsStream<TcpStream>, Option<CarId>)> {
        match timeout(patience.min(HANDSHAKE), self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let car = shown.and_then(car::named);
                Some((stream, car))
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

    /// The certificate that is served, now and later.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Whether browsers are told to insist on TLS.
    pub fn is_strict(&self) -> bool {
        self.strict
    }
}

fn cars_of(authorities: &RootCertStore) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities.clone()), provider())
        .allow_unauthenticated()
        .build()
        .context("the client CA cannot be used")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
