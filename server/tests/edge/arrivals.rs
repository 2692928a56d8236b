//! The rate limit on new connections, over real sockets: case R7.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    num::NonZeroU32,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select, select_all};
use grpc_edge::Limits;
use http::StatusCode;
use rides_server::config::GeneratedCertificate;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::services::NeverResponds;
use crate::harness::{Running, http::Http, port_with, server, soon};

/// Limits with this rate of new connections and without exempt addresses, so that they apply to loopback.
fn letting_in(per_second: u32) -> Limits {
    let connections_per_second = NonZeroU32::new(per_second).unwrap();
    Limits {
        exempt_addresses: Vec::new(),
        max_connections_per_second: connections_per_second,
        ..Limits::default()
    }
}

async fn is_served(http: &mut Http) -> bool {
    http.get("/healthz").await.status == StatusCode::OK
}

/// Opens a connection from another address.
async fn from_elsewhere(to: SocketAddr) -> Http {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    Http::h1_over(to, socket.connect(to).await.unwrap()).await.unwrap()
}

/// R7: the third connection in a second waits, and one from another address does not.
#[tokio::test]
async fn who_connects_too_often_waits_for_their_turn_and_nobody_else_does() {
    const TURN: Duration = Duration::from_secs(1);
    let server = port_with(NeverResponds::default().router(), letting_in(1)).await;
    let begun = Instant::now();
    for _ in 0..2 {
        assert!(is_served(&mut Http::h1(server.addr).await).await);
    }
    let mut third = Http::h1(server.addr).await;
    let mut elsewhere = from_elsewhere(server.addr).await;
    let (ours, theirs) = (pin!(is_served(&mut third)), pin!(is_served(&mut elsewhere)));
    let Either::Left((true, ours)) = soon("a response", select(theirs, ours)).await else {
        panic!("another address waits, too")
    };
    assert!(soon("the response after the wait", ours).await);
    assert!(begun.elapsed() >= TURN, "{:?}", begun.elapsed());
}

/// Opens more connections than may wait, and returns everything that the first closed one has received.
async fn turned_away(server: &Running) -> Vec<u8> {
    let mut streams = Vec::new();
    for _ in 0..40 {
        match TcpStream::connect(server.addr).await {
            Ok(stream) => streams.push(stream),
            // The server closed the connection during the handshake.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }
    let to_the_end = |mut stream: TcpStream| {
        Box::pin(async move {
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await; // It may end with a reset.
            said
        })
    };
    soon("the end of one", select_all(streams.into_iter().map(to_the_end))).await.0
}

/// R7: the server closes such a connection without a TLS handshake and without reading.
#[tokio::test]
async fn when_too_many_wait_the_next_is_closed_unread() {
    let plain = port_with(NeverResponds::default().router(), letting_in(1)).await;
    let dir = tempdir().unwrap();
    let over_tls = server()
        .with_cars(0)
        .keeping_in(dir.path())
        .over_tls(|tls| tls.tls = Some(GeneratedCertificate::SelfSigned))
        .limited(|limits| *limits = letting_in(1));
    for server in [&plain, &over_tls.run().await] {
        assert_eq!(turned_away(server).await, b"");
    }
    let figures = from_elsewhere(plain.addr).await.get("/metrics").await;
    assert!(figures.metric("rides_refused_connections_total") >= 2.0, "{}", figures.text());
}

/// R7: the client of such connections waits longer for the next one.
#[tokio::test]
async fn a_connection_that_is_no_http_counts_for_many() {
    const CONNECTIONS: u32 = 20;
    let no_request = b"GARB\0GE\r\n\r\n".as_slice();
    let no_frame = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xee\xff\xff\xff\xff\xff".as_slice();
    for garbage in [no_request, no_frame] {
        let server = port_with(NeverResponds::default().router(), letting_in(100)).await;
        let begun = Instant::now();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            soon("the end", stream.read_to_end(&mut Vec::new())).await.unwrap();
        }
        // Each connection costs its own turn and 20 more. 200 turns are free. The last connections may not be
        // counted yet.
        let least = Duration::from_millis(10) * (21 * (CONNECTIONS - 4) - 200);
        assert!(begun.elapsed() >= least, "{:?}, and not {least:?}", begun.elapsed());
    }
}
