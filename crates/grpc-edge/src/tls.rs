//! TLS of a connection: the handshake, and the certificate that a client has shown.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::wall_clock;

/// The longest time of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Watches whether a certificate is revoked while its client is connected. See [`Tls::with_revocations`].
pub trait Revocations: Send + Sync + 'static {
    /// Calls [`ClientCertificate::revoke`] once the certificate is revoked. The future is dropped with the connection.
    fn watch(&self, certificate: Arc<ClientCertificate>) -> BoxFuture<'static, ()>;
}

/// TLS of the port. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    revocations: Option<Arc<dyn Revocations>>,
}

/// A connection to a port that speaks TLS.
pub(super) enum Accepted {
    /// A TLS connection, with the certificate of its client if it has shown one.
    Tls(Box<TlsStream<TcpStream>>, Option<ClientCertificate>),
    /// A connection whose client begins with plain HTTP. Nothing of it is read yet.
    PlainHttp(TcpStream),
}

impl Tls {
    /// Serves TLS by `config`. HTTP/2 and HTTP/1.1 are offered if the configuration has no ALPN protocols.
    pub fn new(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), revocations: None }
    }

    /// Watches the certificates of connected clients.
    #[must_use]
    pub fn with_revocations(self, revocations: impl Revocations) -> Self {
        Self { revocations: Some(Arc::new(revocations)), ..self }
    }

    /// Performs the handshake with a client, within `header_timeout` and ten seconds at most. `None` if it fails.
    pub(super) async fn accept(&self, stream: TcpStream, header_timeout: Duration) -> Option<Accepted> {
        let accepting = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            // A method of HTTP/1.1, or the preface of HTTP/2. No TLS record begins with a letter.
            if first[0].is_ascii_alphabetic() {
                return Ok(Accepted::PlainHttp(stream));
            }
            let stream = Box::new(self.acceptor.accept(stream).await?);
            let shown = stream.get_ref().1.peer_certificates().and_then(ClientCertificate::parse);
            Ok::<_, io::Error>(Accepted::Tls(stream, shown))
        };
        match timeout(header_timeout.min(HANDSHAKE_TIMEOUT), accepting).await {
            Ok(Ok(accepted)) => Some(accepted),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_elapsed) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }

    /// Watches whether `certificate` is revoked.
    pub(super) async fn watch(&self, certificate: Arc<ClientCertificate>) -> Infallible {
        if let Some(revocations) = &self.revocations {
            revocations.watch(certificate).await;
        }
        pending().await
    }
}

/// A client's certificate. It was valid at the handshake.
#[derive(Debug)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    uris: Vec<String>,
    not_after: SystemTime,
    revoked: CancellationToken,
}

impl ClientCertificate {
    /// Reads the first certificate of `chain`, which is the client's own. `None` if it cannot be read.
    fn parse(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, own) = X509Certificate::from_der(chain.first()?).ok()?;
        // The last second counts as a whole. No certificate ended before 1970.
        let not_after = own.validity().not_after.timestamp().saturating_add(1).max(0).unsigned_abs();
        let not_after = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after));
        Some(Self {
            uris: uris(&own),
            not_after: not_after.unwrap_or(SystemTime::UNIX_EPOCH),
            chain: chain.iter().map(|link| link.clone().into_owned()).collect(),
            revoked: CancellationToken::new(),
        })
    }

    /// The chain as the client sent it, its own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The URIs among the subject alternative names.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Marks the certificate as revoked, which ends the streams that depend on it.
    pub fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Returns `true` if the certificate has expired at `now`, or is revoked.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.not_after <= now || self.revoked.is_cancelled()
    }

    /// Returns once the certificate has expired or is revoked.
    pub async fn ended(&self) {
        tokio::select! {
            () = wall_clock::sleep_until(self.not_after) => {}
            () = self.revoked.cancelled() => {}
        }
    }
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}
