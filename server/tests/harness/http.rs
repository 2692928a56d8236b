//! An HTTP client that sends requests unchanged, over HTTP/1.1 or HTTP/2.

use std::{error::Error, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic_health::pb::HealthCheckRequest;

use super::web;

/// The reason for a missing response.
pub(crate) type ConnectError = Box<dyn Error + Send + Sync>;

/// One connection. Dropping it closes it.
pub(crate) struct Http {
    addr: SocketAddr,
    sender: Sender,
}

enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct FullResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl FullResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Returns the value of one metric in the text of `/metrics`, or 0 if the metric is missing.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let of_name = |line| str::strip_prefix(line, name)?.strip_prefix(' ');
        self.text().lines().find_map(of_name).map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Http {
    pub(crate) async fn h1(addr: SocketAddr) -> Self {
        Self::try_h1(addr).await.unwrap()
    }

    /// Connects over HTTP/1.1. Fails if the server does not accept the connection.
    pub(crate) async fn try_h1(addr: SocketAddr) -> Result<Self, ConnectError> {
        Self::h1_over(addr, TcpStream::connect(addr).await?).await
    }

    /// HTTP/1.1 over a connection to `addr`.
    pub(crate) async fn h1_over(
        addr: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { addr, sender: Sender::H1(sender) })
    }

    pub(crate) async fn h2(addr: SocketAddr) -> Self {
        Self::h2_over(addr, TcpStream::connect(addr).await.unwrap()).await
    }

    /// HTTP/2 over a connection to `addr`.
    pub(crate) async fn h2_over(
        addr: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        Self::h2_by(&http2::Builder::new(TokioExecutor::new()), addr, stream).await
    }

    /// Connects over HTTP/2 with a receive window of `bytes` for each stream.
    pub(crate) async fn h2_with_window(addr: SocketAddr, bytes: u32) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(bytes);
        Self::h2_by(&builder, addr, TcpStream::connect(addr).await.unwrap()).await
    }

    async fn h2_by(
        builder: &http2::Builder<TokioExecutor>,
        addr: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { addr, sender: Sender::H2(sender) }
    }

    /// Sends `request`, whose URI is a path, and returns the response with its body still to be read. A `host`
    /// header in the request replaces the address of the server.
    pub(crate) async fn open(&mut self, request: Request<impl Into<Bytes>>) -> Response<Incoming> {
        self.try_open(request).await.unwrap()
    }

    /// Sends `request` like [`open`](Self::open). Fails if the connection breaks.
    pub(crate) async fn try_open(
        &mut self,
        request: Request<impl Into<Bytes>>,
    ) -> Result<Response<Incoming>, ConnectError> {
        let mut request = request.map(|body| Full::new(body.into()));
        let host =
            request.headers_mut().remove(HOST).unwrap_or_else(|| self.addr.to_string().parse().unwrap());
        match &mut self.sender {
            Sender::H1(sender) => {
                request.headers_mut().insert(HOST, host);
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::H2(sender) => {
                let uri = Uri::builder().scheme("http").authority(host.as_bytes());
                *request.uri_mut() =
                    uri.path_and_query(request.uri().path_and_query().unwrap().clone()).build().unwrap();
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Sends `request`, whose URI is a path, and returns the complete response.
    pub(crate) async fn send(&mut self, request: Request<impl Into<Bytes>>) -> FullResponse {
        let (parts, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        FullResponse { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&mut self, path: &str) -> FullResponse {
        self.send(Request::get(path).body("").unwrap()).await
    }
}

/// A client that opens a stream with a receive window of 0, so that the server cannot send any byte of it.
pub(crate) struct StuckClient {
    _stream: Incoming,
    _connection: http2::SendRequest<Full<Bytes>>,
}

impl StuckClient {
    pub(crate) async fn on(addr: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) = builder.initial_stream_window_size(0).handshake(io).await.unwrap();
        tokio::spawn(connection);
        let watch = web::call("/grpc.health.v1.Health/Watch", &HealthCheckRequest::default());
        let (mut parts, body) = watch.into_parts();
        parts.uri = format!("http://{addr}{}", parts.uri).parse().unwrap();
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await.unwrap();
        Self { _stream: answer.into_body(), _connection: sender }
    }
}
