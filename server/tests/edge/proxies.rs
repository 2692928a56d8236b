//! The needs of reverse proxies: responses that they forward at once, and HTTP/1.0, which nginx uses by
//! default.

use bytes::Bytes;
use http::{HeaderMap, Request};
use rides_proto::v1::{SignInRequest, SignInResponse, WatchFleetRequest};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    fleet::viewer::helsinki,
    harness::{Running, server, soon, web, web::frame},
};

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";
const WATCH: &str = "/rides.v1.Fleet/Watch";

fn assert_passed_on_at_once(headers: &HeaderMap, what: &str) {
    assert_eq!(headers["x-accel-buffering"], "no", "{what}");
    assert_eq!(headers["cache-control"], "no-store, no-transform", "{what}");
}

#[tokio::test]
async fn every_response_to_a_call_says_that_it_is_passed_on_as_it_is_and_at_once() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        let answered = dialect.say(SIGN_IN, &frame(&SignInRequest::default())).await;
        assert_eq!(answered.status.code(), Code::Ok);
        assert_passed_on_at_once(&answered.headers, &format!("unary, {dialect:?}"));
        let refused = dialect.say("/rides.v1.Rides/Nonsense", b"").await;
        assert_eq!(refused.status.code(), Code::Unimplemented);
        assert_passed_on_at_once(&refused.headers, &format!("an error, {dialect:?}"));
    }
    let view = frame(&WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() });
    for content_type in [web::PROTO, "application/grpc-web-text", "application/grpc"] {
        // Native calls need HTTP/2.
        let connections =
            server.both().await.into_iter().skip(usize::from(content_type == "application/grpc"));
        for mut http in connections {
            let request =
                Request::post(WATCH).header("content-type", content_type).body(view.clone()).unwrap();
            let stream = http.open(request).await;
            assert_passed_on_at_once(stream.headers(), &format!("a stream, {content_type}"));
        }
    }
}

/// Sends a request over HTTP/1.0 with a body.
async fn send(server: &Running, head: &str, body: &Bytes) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!("{head}\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.unwrap();
    stream
}

fn call(path: &str, connection: &str) -> String {
    format!("POST {path} HTTP/1.0\r\ncontent-type: {}\r\nconnection: {connection}", web::PROTO)
}

/// Returns the head of the response, and the part of its body that has arrived.
async fn head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            return (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes.split_off(end + 4));
        }
        assert_ne!(soon("the head", stream.read_buf(&mut bytes)).await.unwrap(), 0, "{bytes:?}");
    }
}

/// Asserts that the response ends with its connection. HTTP/1.0 has no chunked encoding, so that this is the
/// only end that a response of unknown length can have.
fn assert_ends_with_its_connection(head: &str) {
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    for header in ["transfer-encoding", "content-length", "keep-alive"] {
        assert!(!head.contains(header), "{head}");
    }
    assert!(head.contains("x-accel-buffering: no"), "{head}");
}

#[tokio::test]
async fn a_unary_call_over_http_1_0_ends_with_its_connection() {
    let server = server().run().await;
    for connection in ["close", "keep-alive"] {
        let request = frame(&SignInRequest { name: "Old".into(), ..Default::default() });
        let mut stream = send(&server, &call(SIGN_IN, connection), &request).await;
        let (head, mut body) = head(&mut stream).await;
        assert_ends_with_its_connection(&head);
        soon("the end", stream.read_to_end(&mut body)).await.unwrap();
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        let (message, end) = body[5..].split_at(length);
        let said: SignInResponse = prost::Message::decode(message).unwrap();
        assert_eq!(said.session.unwrap().name, "Old");
        assert_eq!(end[0], web::TRAILERS);
        assert_eq!(web::parse_trailers(&end[5..])["grpc-status"], "0");
    }
}

#[tokio::test]
async fn a_stream_over_http_1_0_comes_message_by_message() {
    let server = server().with_cars(3).run().await;
    let view = frame(&WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() });
    for connection in ["close", "keep-alive"] {
        let mut stream = send(&server, &call(WATCH, connection), &view).await;
        let (head, mut body) = head(&mut stream).await;
        assert_ends_with_its_connection(&head);
        for _message in 0..3 {
            let length = loop {
                if let Some((prefix, rest)) = body.split_first_chunk::<5>() {
                    let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
                    assert_eq!(prefix[0], 0, "a message");
                    if rest.len() >= length {
                        break length;
                    }
                }
                assert_ne!(soon("a message", stream.read_buf(&mut body)).await.unwrap(), 0);
            };
            body.drain(..5 + length);
        }
    }
}

/// Responses of known length close the connection, too. A client that waits for the end of the connection then
/// never waits long.
#[tokio::test]
async fn every_response_over_http_1_0_ends_its_connection() {
    let server = server().run().await;
    let unknown = call("/rides.v1.Rides/Nonsense", "keep-alive");
    for (head, starts) in [
        ("GET /healthz HTTP/1.0\r\nconnection: keep-alive", "HTTP/1.0 200 OK\r\n"),
        ("GET /nothing.js HTTP/1.0\r\nconnection: keep-alive", "HTTP/1.0 404 Not Found\r\n"),
        (
            "POST /rides.v1.Rides/Book HTTP/1.0\r\ncontent-type: text/plain\r\nconnection: keep-alive",
            "HTTP/1.0 415 ",
        ),
        (&unknown, "HTTP/1.0 200 OK\r\n"),
    ] {
        let mut stream = send(&server, head, &Bytes::new()).await;
        let mut answer = String::new();
        soon("the end", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(starts), "{answer}");
        assert!(answer.contains("content-length: ") && !answer.contains("transfer-encoding"), "{answer}");
        assert!(!answer.contains("keep-alive"), "{answer}");
    }
}
