//! Clients that call through a proxy: native gRPC, and gRPC-Web as a browser sends it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    iter,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    task::{self, Poll},
};

use anyhow::{Context, Result};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tonic::{body::Body, transport::Endpoint};
use tonic_web::GrpcWebClientLayer;
use tower::{BoxError, Layer as _, Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::server::ANY_PORT;

/// The service that sends the calls of the generated clients.
pub type GrpcService = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// The address of a proxy, and the credentials to use there.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URL as in a browser's address bar, for example `https://rides.example:20001/`. Every host name resolves to
    /// this machine.
    pub url: Uri,
    /// The certificate of the CA that signed the proxy's certificate, if it has one.
    pub ca: Option<PathBuf>,
    /// The bearer token of each call.
    pub token: String,
}

impl Target {
    /// Returns a native gRPC client. It connects at the first call.
    ///
    /// # Errors
    /// When the CA's certificate cannot be read.
    pub fn native(&self) -> Result<GrpcService> {
        let channel = Endpoint::from(self.url.clone())
            .connect_with_connector_lazy(self.connector(HttpVersions::Http2)?);
        let token = self.bearer()?;
        let with_token = channel.map_request(move |mut request: Request<_>| {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
            request
        });
        Ok(BoxCloneSyncService::new(with_token.map_err(BoxError::from)))
    }

    /// Returns a gRPC-Web client that speaks the HTTP version that a browser would, and sends the headers of a page
    /// of the same origin.
    ///
    /// # Errors
    /// When the CA's certificate cannot be read.
    pub fn web(&self) -> Result<GrpcService> {
        let (origin, token) = (self.origin()?, self.bearer()?);
        let here = self.url.host() == Some("127.0.0.1");
        let client = Client::builder(TokioExecutor::new()).build(self.connector(HttpVersions::Any)?);
        let page = client.map_request(move |mut request: Request<_>| {
            let headers = request.headers_mut();
            headers.insert(header::ORIGIN, origin.clone());
            headers.insert(header::AUTHORIZATION, token.clone());
            headers.insert(HeaderName::from_static("x-grpc-web"), HeaderValue::from_static("1"));
            // Browsers send this header to localhost, and over TLS. Without it the server compares origin and host:
            // it is left out over TLS too, so that the comparison is tested.
            if here {
                headers.insert(
                    HeaderName::from_static("sec-fetch-site"),
                    HeaderValue::from_static("same-origin"),
                );
            }
            request
        });
        let web = GrpcWebClientLayer::new().layer(page);
        Ok(BoxCloneSyncService::new(
            web.map_response(|response| response.map(Body::new)).map_err(BoxError::from),
        ))
    }

    /// Sends a GET of `path` without a token, and returns the status of the response.
    ///
    /// # Errors
    /// When there is no response.
    pub async fn get(&self, path: &str) -> Result<StatusCode> {
        let mut url = self.url.clone().into_parts();
        url.path_and_query = Some(path.parse()?);
        let request = Request::get(Uri::from_parts(url)?).body(Body::empty())?;
        let client = Client::builder(TokioExecutor::new()).build(self.connector(HttpVersions::Any)?);
        Ok(client.request(request).await?.status())
    }

    fn origin(&self) -> Result<HeaderValue> {
        let (scheme, authority) = (self.url.scheme_str(), self.url.authority());
        let (scheme, authority) = scheme.zip(authority).context("the URL has no scheme or no host")?;
        Ok(HeaderValue::from_str(&format!("{scheme}://{authority}"))?)
    }

    fn bearer(&self) -> Result<HeaderValue> {
        Ok(HeaderValue::from_str(&format!("Bearer {}", self.token))?)
    }

    fn connector(&self, only: HttpVersions) -> Result<HttpsConnector<HttpConnector<LoopbackResolver>>> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            let ca =
                CertificateDer::from_pem_file(ca).with_context(|| format!("cannot read {}", ca.display()))?;
            roots.add(ca).context("the file of the CA is not a CA certificate")?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(LoopbackResolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Ok(match only {
            HttpVersions::Http2 => builder.enable_http2().wrap_connector(http),
            HttpVersions::Any => builder.enable_all_versions().wrap_connector(http),
        })
    }
}

#[derive(Clone, Copy)]
enum HttpVersions {
    Http2,
    Any,
}

/// A resolver that resolves every name to this machine.
#[derive(Clone)]
struct LoopbackResolver;

impl Service<Name> for LoopbackResolver {
    type Response = iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(iter::once(ANY_PORT)))
    }
}
