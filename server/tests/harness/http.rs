//! An HTTP client that sends exactly what it is told, over either version.

use std::{error::Error, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Why there was no answer.
pub(crate) type Broken = Box<dyn Error + Send + Sync>;

/// One connection. Dropping it closes it.
pub(crate) struct Http {
    addr: SocketAddr,
    sender: Sender,
}

enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Http {
    pub(crate) async fn h1(addr: SocketAddr) -> Self {
        Self::try_h1(addr).await.unwrap()
    }

    /// For a server that may be down.
    pub(crate) async fn try_h1(addr: SocketAddr) -> Result<Self, Broken> {
        let stream = TcpStream::connect(addr).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { addr, sender: Sender::H1(sender) })
    }

    pub(crate) async fn h2(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let executor = TokioExecutor::new();
        let (sender, connection) = http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { addr, sender: Sender::H2(sender) }
    }

    /// Sends `request`, whose URI is a path, and leaves the body of the answer to be read.
    pub(crate) async fn open(&mut self, request: Request<impl Into<Bytes>>) -> Response<Incoming> {
        self.try_open(request).await.unwrap()
    }

    /// The same, of a server that may go down meanwhile.
    pub(crate) async fn try_open(
        &mut self,
        request: Request<impl Into<Bytes>>,
    ) -> Result<Response<Incoming>, Broken> {
        let mut request = request.map(|body| Full::new(body.into()));
        match &mut self.sender {
            Sender::H1(sender) => {
                request.headers_mut().insert(HOST, self.addr.to_string().parse().unwrap());
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::H2(sender) => {
                let uri = Uri::builder().scheme("http").authority(self.addr.to_string());
                *request.uri_mut() = uri.path_and_query(request.uri().path()).build().unwrap();
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Sends `request`, whose URI is a path, and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<impl Into<Bytes>>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body("").unwrap()).await
    }
}
