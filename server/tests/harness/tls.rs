//! A TLS client.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use hyper_util::rt::TokioIo;
use rides_server::tls::CertificateFiles;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::http::{ConnectError, Http};

/// A TLS client that trusts one authority, and may have a certificate of its own.
#[derive(Clone)]
pub(crate) struct TlsClient {
    addr: SocketAddr,
    config: ClientConfig,
}

impl TlsClient {
    /// A client of the server at `addr` that trusts the certificates in the file `ca`.
    pub(crate) fn of(addr: SocketAddr, ca: &Path) -> Self {
        Self::with(addr, ca, None)
    }

    /// A client that also has the certificate `own`, if there is one.
    pub(crate) fn with(addr: SocketAddr, ca: &Path, own: Option<CertificateFiles>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(CertificateFiles { cert, key }) => {
                let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(&fs::read(key).unwrap()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Self { addr, config }
    }

    /// Opens a connection and negotiates `protocol` by ALPN.
    pub(crate) async fn connect(&self, protocol: &str) -> Result<TlsStream<TcpStream>, ConnectError> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(self.addr).await?;
        let name = ServerName::from(self.addr.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(stream)
    }

    /// Opens one connection of each HTTP version.
    pub(crate) async fn both(&self) -> [Http; 2] {
        let h1 = Http::h1_over(self.addr, self.connect("http/1.1").await.unwrap()).await.unwrap();
        [h1, Http::h2_over(self.addr, self.connect("h2").await.unwrap()).await]
    }

    /// Opens a connection for a native gRPC client.
    pub(crate) async fn channel(&self) -> Result<Channel, ConnectError> {
        let client = self.clone();
        let connector = service_fn(move |_| {
            let client = client.clone();
            async move { client.connect("h2").await.map(TokioIo::new) }
        });
        Ok(Endpoint::from_shared(format!("http://{}", self.addr))?.connect_with_connector(connector).await?)
    }

    /// Returns the certificate that the server presents.
    pub(crate) async fn server_certificate(&self) -> Result<CertificateDer<'static>, ConnectError> {
        let stream = self.connect("h2").await?;
        Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
    }
}
