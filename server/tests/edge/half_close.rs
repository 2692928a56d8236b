//! Clients that close their sending half after a request over HTTP/1.1: BAD-9.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, routing::post};
use futures_util::stream;
use grpc_edge::Limits;
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Notify,
};

use crate::harness::{http::Http, port_with, soon};

/// Sends a request and closes the sending half.
async fn ask(mut stream: TcpStream, method: &str, path: &str) -> TcpStream {
    let content = if method == "POST" {
        "content-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0"
    } else {
        "\r\n"
    };
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{content}");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

async fn all_of(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    soon("the end", stream.read_to_end(&mut all)).await.unwrap();
    all
}

fn assert_ok(response: &[u8]) {
    let text = String::from_utf8_lossy(&response[..response.len().min(300)]);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
}

#[tokio::test]
async fn it_gets_its_response_each_time() {
    let server = port_with(Router::new(), Limits::default()).await;
    for _ in 0..200 {
        for (method, path) in [("GET", "/healthz"), ("POST", "/grpc.health.v1.Health/Check")] {
            let stream = TcpStream::connect(server.addr).await.unwrap();
            assert_ok(&all_of(ask(stream, method, path).await).await);
        }
    }
}

#[tokio::test]
async fn it_gets_a_response_that_takes_its_time() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let answer = {
        let (begun, go) = (begun.clone(), go.clone());
        async move || {
            begun.notify_one();
            go.notified().await;
            ([("content-type", "application/grpc-web+proto")], "")
        }
    };
    let server = port_with(Router::new().route("/test.Slow/Answer", post(answer)), Limits::default()).await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let stream = ask(stream, "POST", "/test.Slow/Answer").await;
    soon("the call", begun.notified()).await;
    // The responses on another connection show that the server has had time to read the end of this one.
    let mut other = Http::h1(server.addr).await;
    for _ in 0..20 {
        assert_eq!(other.get("/healthz").await.status, StatusCode::OK);
    }
    go.notify_one();
    assert_ok(&all_of(stream).await);
}

/// One response has a known length. The other has none, as a gRPC response.
#[tokio::test]
async fn it_gets_all_of_a_response_that_it_reads_slowly() {
    const LENGTH: usize = 4 << 20;
    let as_grpc = [("content-type", "application/grpc-web+proto")];
    let whole = async move || (as_grpc, vec![7; LENGTH]);
    let pieces = async move || {
        let pieces = (0..64).map(|_| Ok::<_, Infallible>(vec![7; LENGTH / 64]));
        (as_grpc, Body::from_stream(stream::iter(pieces)))
    };
    let router =
        Router::new().route("/test.Large/Whole", post(whole)).route("/test.Large/Pieces", post(pieces));
    let server = port_with(router, Limits::default()).await;
    for path in ["/test.Large/Whole", "/test.Large/Pieces"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let stream = ask(socket.connect(server.addr).await.unwrap(), "POST", path).await;
        let mut other = Http::h1(server.addr).await;
        for _ in 0..20 {
            assert_eq!(other.get("/healthz").await.status, StatusCode::OK);
        }
        let all = all_of(stream).await;
        assert_ok(&all);
        assert!(all.len() > LENGTH, "{path}: {} bytes came", all.len());
    }
}
