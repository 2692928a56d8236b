//! The file or URL of a provider's keys, and the fetch with its limits of size and time.

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

/// The largest key set in bytes.
const MAX_KEY_SET_BYTES: usize = 64 * 1024;
/// The timeout of a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The location of a provider's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A file. It is read again as often as a URL.
    File(PathBuf),
    /// An https URL, or an http URL of localhost.
    Url(Uri),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the value is empty: give a file or a URL".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let uri: Uri = text.parse().map_err(|_| "the value is not a valid URL".to_owned())?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => Ok(Self::Url(uri)),
            (Some("http"), Some(host)) if is_here(host) => Ok(Self::Url(uri)),
            _ => Err("expected a file, an https URL, or an http URL of localhost".to_owned()),
        }
    }
}

fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(uri) => uri.fmt(f),
        }
    }
}

/// The reason why the keys could not be fetched.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("the fetch took longer than {} s", FETCH_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the key set is larger than {} KiB", MAX_KEY_SET_BYTES / 1024)]
    TooLarge,
    #[error("the response has HTTP status {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

impl KeySource {
    /// Reads the key set. It is at most `MAX_KEY_SET_BYTES` bytes.
    ///
    /// # Errors
    /// If it cannot be read within `FETCH_TIMEOUT`, or is too large.
    pub(super) async fn read(&self, tls: &Connector) -> Result<Bytes, FetchError> {
        let read = async {
            match self {
                Self::File(path) => of_file(path).await,
                Self::Url(uri) => get(uri, tls.clone()).await,
            }
        };
        timeout(FETCH_TIMEOUT, read).await.unwrap_or(Err(FetchError::TooSlow))
    }
}

async fn of_file(path: &Path) -> Result<Bytes, FetchError> {
    let (mut bytes, path) = (Vec::new(), path.to_owned());
    let file = spawn_blocking(move || files::open(&path)).await.map_err(io::Error::other)??;
    File::from_std(file).take(MAX_KEY_SET_BYTES as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > MAX_KEY_SET_BYTES { Err(FetchError::TooLarge) } else { Ok(bytes.into()) }
}

/// Fetches a URL. Redirects are not followed: the operator can configure the new address.
async fn get(uri: &Uri, mut tls: Connector) -> Result<Bytes, FetchError> {
    if uri.scheme_str() == Some("https") {
        return ask(uri, tls.call(uri.clone()).await?).await;
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    ask(uri, TokioIo::new(TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?)).await
}

async fn ask<S>(uri: &Uri, stream: TokioIo<S>) -> Result<Bytes, FetchError>
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
        .map_err(|error| FetchError::Body(error.into()))?;
    let answer = async move {
        let response = requests.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Refused(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_KEY_SET_BYTES).collect().await;
        Ok(body.map_err(of_body)?.to_bytes())
    };
    // An error of the connection after the response does not matter.
    let (answer, _end) = join(answer, connection).await;
    answer
}

fn of_body(error: Box<dyn std::error::Error + Send + Sync>) -> FetchError {
    if error.is::<http_body_util::LengthLimitError>() {
        return FetchError::TooLarge;
    }
    FetchError::Body(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let source = |text: &str| text.parse::<KeySource>().ok();
        assert_eq!(source("keys/jwks.json"), Some(KeySource::File("keys/jwks.json".into())));
        for url in [
            "https://id.example/jwks",
            "http://127.0.0.1:8/jwks",
            "http://localhost/jwks?x=1",
            "http://[::1]:8/",
        ] {
            assert_eq!(source(url), Some(KeySource::Url(url.parse().unwrap())), "{url}");
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
