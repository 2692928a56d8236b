use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use rides_server::edge::Limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::services::Never;
use crate::harness::{SOON, http::Http, line::Line, port_with, web};

#[tokio::test]
async fn who_does_not_begin_is_let_go() {
    let limits = Limits { headers: Duration::from_millis(100), ..Limits::default() };
    let server = port_with(Never::default().router(), limits).await;
    for beginning in ["", "PRI * HTTP", "GET / HT", "GET /healthz HTTP/1.1\r\nhost: somewhere.example\r\n"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(SOON, stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "still open after {beginning:?}");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = port_with(Never::default().router(), limits).await;
    let mut first = Http::h1(server.addr).await;
    assert_eq!(first.get("/healthz").await.status, StatusCode::OK);

    let mut second = Http::h1(server.addr).await;
    let mut answer = std::pin::pin!(second.get("/healthz"));
    assert!(timeout(Duration::from_millis(100), answer.as_mut()).await.is_err());
    drop(first);
    assert_eq!(timeout(SOON, answer).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_dropped() {
    let never = Never::default();
    let server = port_with(never.router(), Limits::default()).await;
    for mut http in server.both().await {
        let call = tokio::spawn(async move {
            web::ask(&mut http, web::call("/test.Never/Answer", &())).await;
        });
        timeout(SOON, never.begun.notified()).await.unwrap();
        call.abort();
        timeout(SOON, never.dropped.notified()).await.expect("the handler runs on");
    }
}

/// L15: packets vanish both ways, and nobody says goodbye.
#[tokio::test]
async fn a_peer_that_vanishes_frees_its_calls() {
    let never = Never::default();
    let (ping, pong) = (Duration::from_millis(200), Duration::from_millis(200));
    let server = port_with(never.router(), Limits { ping, pong, ..Limits::default() }).await;
    let line = Line::to(server.addr).await;
    let cut = line.cut.clone();
    let mut http = Http::h2_over(server.addr, line).await;
    let call = tokio::spawn(async move { web::ask(&mut http, web::call("/test.Never/Answer", &())).await });
    timeout(SOON, never.begun.notified()).await.unwrap();
    assert!(timeout(5 * (ping + pong), never.dropped.notified()).await.is_err(), "it answers pings");

    cut.store(true, Ordering::Relaxed);
    timeout(SOON, never.dropped.notified()).await.expect("the handler runs on");
    assert!(!call.is_finished(), "the peer knows nothing of it");
    call.abort();
}

#[tokio::test]
async fn one_channel_holds_two_hundred_streams() {
    let never = Never::default();
    let server = port_with(never.router(), Limits::default()).await;
    let channel = server.channel().await;
    for _ in 0..200 {
        let mut client = tonic::client::Grpc::new(channel.clone());
        tokio::spawn(async move {
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/test.Never/Answer");
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            client.unary(tonic::Request::new(()), path, codec).await
        });
        timeout(SOON, never.begun.notified()).await.expect("the stream was not taken");
    }
}
