//! Where a provider's keys are, and getting them: never more of them, and never for longer, than is good.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    task::spawn_blocking,
    time::timeout,
};
use tower::Service as _;

use crate::{files, tls::client::Connector};

/// Most bytes of a key set.
const LARGEST: usize = 64 * 1024;
/// How long getting one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file, or a URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Read again like a URL.
    File(PathBuf),
    /// Over TLS, or of this very machine.
    Url(Uri),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty: name a file or a URL".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => Ok(Self::Url(uri)),
            (Some("http"), Some(host)) if is_here(host) => Ok(Self::Url(uri)),
            _ => Err("must be a file, an https URL, or an http URL of this machine".to_owned()),
        }
    }
}

fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(uri) => uri.fmt(f),
        }
    }
}

/// Why there is nothing to be had.
#[derive(Debug, Error)]
pub(super) enum Unreachable {
    #[error("it took longer than {} s", PATIENCE.as_secs())]
    TooSlow,
    #[error("it is larger than {} KiB", LARGEST / 1024)]
    TooLarge,
    #[error("HTTP {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

impl Source {
    /// All of it.
    pub(super) async fn read(&self, tls: &Connector) -> Result<Bytes, Unreachable> {
        let read = async {
            match self {
                Self::File(path) => of_file(path).await,
                Self::Url(uri) => get(uri, tls.clone()).await,
            }
        };
        timeout(PATIENCE, read).await.unwrap_or(Err(Unreachable::TooSlow))
    }
}

async fn of_file(path: &Path) -> Result<Bytes, Unreachable> {
    let (mut bytes, path) = (Vec::new(), path.to_owned());
    let file = spawn_blocking(move || files::open(&path)).await.map_err(io::Error::other)??;
    File::from_std(file).take(LARGEST as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > LARGEST { Err(Unreachable::TooLarge) } else { Ok(bytes.into()) }
}

/// Redirections are not followed: whoever moved can be named by the new address.
async fn get(uri: &Uri, mut tls: Connector) -> Result<Bytes, Unreachable> {
    if uri.scheme_str() == Some("https") {
        return ask(uri, tls.call(uri.clone()).await?).await;
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    ask(uri, TokioIo::new(TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?)).await
}

async fn ask<S>(uri: &Uri, stream: TokioIo<S>) -> Result<Bytes, Unreachable>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut requests, connection) = http1::handshake(stream).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Unreachable::Body(error.into()))?;
    let answer = async move {
        let response = requests.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(Unreachable::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(body.map_err(of_body)?.to_bytes())
    };
    // How the connection ends is of no interest once there is an answer.
    let (answer, _end) = join(answer, connection).await;
    answer
}

fn of_body(error: Box<dyn std::error::Error + Send + Sync>) -> Unreachable {
    if error.is::<http_body_util::LengthLimitError>() {
        return Unreachable::TooLarge;
    }
    Unreachable::Body(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let source = |text: &str| text.parse::<Source>().ok();
        assert_eq!(source("keys/jwks.json"), Some(Source::File("keys/jwks.json".into())));
        for url in [
            "https://id.example/jwks",
            "http://127.0.0.1:8/jwks",
            "http://localhost/jwks?x=1",
            "http://[::1]:8/",
        ] {
            assert_eq!(source(url), Some(Source::Url(url.parse().unwrap())), "{url}");
        }
        for bad in [
            "http://id.example/jwks",
            "http://localhost.example/",
            "ftp://id.example/jwks",
            "https://",
            "://",
        ] {
            assert_eq!(source(bad), None, "{bad}");
        }
    }
}
