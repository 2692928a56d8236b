//! Calls through a proxy: native gRPC, and gRPC-Web as a browser sends it.

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

/// Carries the calls of the generated clients.
pub type Caller = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// The address that calls go to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address as a browser's address bar has it: `https://rides.example:20001/`. The host is this machine, whatever its name.
    pub url: Uri,
    /// The authority that signed the proxy's certificate.
    pub ca: Option<PathBuf>,
    /// Is shown with each call.
    pub token: String,
}

impl Target {
    /// A native gRPC client's channel.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn native(&self) -> Result<Caller> {
        let channel =
            Endpoint::from(self.url.clone()).connect_with_connector_lazy(self.connector(Only::Http2)?);
        let token = self.bearer()?;
        let with_token = channel.map_request(move |mut request: Request<_>| {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
            request
        });
        Ok(BoxCloneSyncService::new(with_token.map_err(BoxError::from)))
    }

    /// A gRPC-Web client that speaks the HTTP that a browser would, with the headers that a page of this origin sends.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn web(&self) -> Result<Caller> {
        let (origin, token) = (self.origin()?, self.bearer()?);
        let here = self.url.host() == Some("127.0.0.1");
        let client = Client::builder(TokioExecutor::new()).build(self.connector(Only::Any)?);
        let page = client.map_request(move |mut request: Request<_>| {
            let headers = request.headers_mut();
            headers.insert(header::ORIGIN, origin.clone());
            headers.insert(header::AUTHORIZATION, token.clone());
            headers.insert(HeaderName::from_static("x-grpc-web"), HeaderValue::from_static("1"));
            // Browsers send it to this machine, and today over TLS. Without it the server compares origin and host.
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

    /// Returns the response to a GET of `path` without a token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<StatusCode> {
        let mut url = self.url.clone().into_parts();
        url.path_and_query = Some(path.parse()?);
        let request = Request::get(Uri::from_parts(url)?).body(Body::empty())?;
        let client = Client::builder(TokioExecutor::new()).build(self.connector(Only::Any)?);
        Ok(client.request(request).await?.status())
    }

    fn origin(&self) -> Result<HeaderValue> {
        let (scheme, authority) = (self.url.scheme_str(), self.url.authority());
        let (scheme, authority) = scheme.zip(authority).context("not an address")?;
        Ok(HeaderValue::from_str(&format!("{scheme}://{authority}"))?)
    }

    fn bearer(&self) -> Result<HeaderValue> {
        Ok(HeaderValue::from_str(&format!("Bearer {}", self.token))?)
    }

    fn connector(&self, only: Only) -> Result<HttpsConnector<HttpConnector<Here>>> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            let ca =
                CertificateDer::from_pem_file(ca).with_context(|| format!("cannot read {}", ca.display()))?;
            roots.add(ca).context("not an authority")?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Here);
        http.enforce_http(false);
        http.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Ok(match only {
            Only::Http2 => builder.enable_http2().wrap_connector(http),
            Only::Any => builder.enable_all_versions().wrap_connector(http),
        })
    }
}

#[derive(Clone, Copy)]
enum Only {
    Http2,
    Any,
}

/// Resolves every name to this machine.
#[derive(Clone)]
struct Here;

impl Service<Name> for Here {
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
