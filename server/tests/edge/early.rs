//! Responses before the end of their request. A client that still sends must receive them.

use std::io;

use futures_util::stream;
use grpc_edge::Limits;
use rides_proto::v1::{self, rides_client::RidesClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};
use tonic::Code;

use super::services::NeverResponds;
use crate::harness::{places::place, port_with, raw_h2, server, soon, web};

/// More bytes than one read takes.
const LARGE: usize = 300_000;

/// The head of a call whose body follows.
fn head(content_type: &str, length: &str) -> String {
    format!(
        "POST /rides.v1.Rides/Book HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n{length}\r\n\r\n"
    )
}

/// Reads one complete response on a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let is_whole = match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
            Some(length) => body.len() == length.parse::<usize>().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        is_whole.then(|| text.into_owned())
    };
    loop {
        if let Some(text) = whole(&answer) {
            return text;
        }
        assert_ne!(
            soon("more of the response", stream.read_buf(&mut answer)).await.unwrap(),
            0,
            "the response breaks off"
        );
    }
}

/// Sends `length` bytes in pieces of 4 kB.
async fn send(up: &mut TcpStream, length: usize) -> io::Result<()> {
    for piece in vec![b'x'; length].chunks(0x1000) {
        up.write_all(piece).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_reaches_who_goes_on_sending() {
    let open = server().run().await;
    let strict = server().requiring_tokens().run().await;
    for (server, content_type, expected) in [
        (&open, "text/plain", "HTTP/1.1 415"),
        (&strict, web::PROTO, "grpc-status: 16"),
        (&open, web::PROTO, "grpc-status: 8"),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(head(content_type, &format!("content-length: {LARGE}")).as_bytes()).await.unwrap();
        // The length prefix of a message that is far too large.
        stream.write_all(&[0, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
        soon("the beginning of the response", stream.readable()).await.unwrap();
        send(&mut stream, LARGE - 5).await.unwrap();
        let refusal = answer(&mut stream).await;
        assert!(refusal.contains(expected), "{expected}: {refusal}");

        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.ends_with("alive\n"), "the connection stays open");
    }
}

/// The client of an endless request receives the refusal. Then the connection is closed.
#[tokio::test]
async fn a_request_without_an_end_is_refused_and_cut() {
    let server = server().requiring_tokens().run().await;
    let (mut down, mut up) = TcpStream::connect(server.addr).await.unwrap().into_split();
    up.write_all(head(web::PROTO, "transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = [b"1000\r\n", &[0; 0x1000][..], b"\r\n"].concat();
    let sending = tokio::spawn(async move { while up.write_all(&chunk).await.is_ok() {} });
    let mut refusal = Vec::new();
    let hearing = async { while !matches!(down.read_buf(&mut refusal).await, Ok(0) | Err(_)) {} };
    soon("the end", hearing).await;
    assert!(String::from_utf8_lossy(&refusal).contains("grpc-status: 16"), "{refusal:?}");
    soon("the cut", sending).await.unwrap();
}

/// W30: the HTTP library, hyper, refuses headers that are too large.
#[tokio::test]
async fn who_sends_too_many_headers_hears_it() {
    let server = port_with(NeverResponds::default().router(), Limits::default()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-much: ").await.unwrap();
    send(&mut stream, LARGE).await.unwrap();
    soon("the beginning of the response", stream.readable()).await.unwrap();
    send(&mut stream, LARGE).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 431"));
}

/// Over HTTP/2 a reset after the end of a response is allowed, but some clients then lose the response.
#[tokio::test]
async fn a_refused_stream_is_not_reset_while_its_client_sends() {
    let server = server().requiring_tokens().run().await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    up.call(1, "/rides.v1.Rides/Book").await.unwrap();
    let refusal = soon("the refusal", down.next_of(raw_h2::HEADERS)).await.unwrap();
    assert_eq!(refusal.stream, 1);
    for _ in 0..20 {
        up.send(raw_h2::DATA, 0, 1, &[7; 1024]).await.unwrap();
    }
    up.send(raw_h2::DATA, raw_h2::END_STREAM, 1, &[]).await.unwrap();
    up.send(raw_h2::PING, 0, 0, &[7; 8]).await.unwrap();
    let answered = async {
        while let Some(frame) = down.next().await {
            assert_ne!(frame.kind, raw_h2::RST_STREAM, "{frame:?}");
            if (frame.kind, &frame.payload[..]) == (raw_h2::PING, &[7; 8]) {
                return;
            }
        }
        panic!("the connection has ended");
    };
    soon("the response to the ping", answered).await;
}

/// CLIENT-4: the client reads its responses and never ends its requests.
#[tokio::test]
async fn requests_that_are_never_ended_leave_streams_for_the_next_calls() {
    const ROUNDS: u32 = 300;
    let server = server().requiring_tokens().run().await;
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    for round in 0..ROUNDS {
        let [unended, ended] = [1, 3].map(|stream| 4 * round + stream);
        up.call(unended, "/rides.v1.Rides/Book").await.unwrap();
        up.call(ended, "/rides.v1.City/Quote").await.unwrap();
        up.send(raw_h2::DATA, raw_h2::END_STREAM, ended, &[0; 5]).await.unwrap();
        let mut unanswered = vec![unended, ended];
        while !unanswered.is_empty() {
            let frame = soon("a response", down.next()).await.expect("the connection has ended");
            match frame.kind {
                raw_h2::HEADERS => unanswered.retain(|stream| *stream != frame.stream),
                raw_h2::RST_STREAM => assert_eq!(frame.error(), raw_h2::NO_ERROR, "round {round}: {frame:?}"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn an_upload_without_an_end_is_refused_and_stopped() {
    let server = server().requiring_tokens().run().await;
    let (held, dropped) = oneshot::channel::<()>();
    let endless = stream::repeat_with(move || {
        let _held = &held;
        v1::TrackRequest { car_id: 1, time: None, location: Some(place(1)) }
    });
    let mut client = RidesClient::new(server.channel().await);
    let status = soon("the refusal", client.track(endless)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(soon("the end of the upload", dropped).await.is_err());
}
