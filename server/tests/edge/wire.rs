//! The bytes of a call: cases W, in each protocol.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use grpc_edge::Limits;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use prost::Message as _;
use rides_proto::v1::{GetRequest, SignInRequest, SignInResponse};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt as _;

use super::services;
use crate::harness::{Running, http::Http, port_with, protocol::Framing, raw_h2, server, soon, web};

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";
const WATCH: &str = "/rides.v1.Fleet/Watch";

/// A frame with any flag and any length, also wrong ones.
fn frame(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

/// Returns a port and the number of calls that its handlers have executed.
async fn untouched() -> (Running, Arc<AtomicUsize>) {
    let executed = Arc::new(AtomicUsize::new(0));
    (port_with(services::counting(executed.clone()), Limits::default()).await, executed)
}

/// Asserts that a request with these frames is refused with this code in each protocol, for a unary and a
/// server-streaming method, and that no handler runs.
async fn assert_refused(frames: &[u8], code: Code) {
    let (server, executed) = untouched().await;
    for mut dialect in server.dialects().await {
        for path in [SIGN_IN, WATCH] {
            let said = dialect.say(path, frames).await;
            assert_eq!(said.status.code(), code, "{dialect:?} {path}: {:?}", said.status);
            assert!(said.messages.is_empty());
        }
    }
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// A TCP stream that writes one byte at a time.
struct ByteByByte(TcpStream);

impl AsyncRead for ByteByByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..1])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// W1: over both HTTP versions.
#[tokio::test]
async fn a_call_may_come_byte_by_byte() {
    let server = server().run().await;
    let byte_by_byte = || async {
        let stream = TcpStream::connect(server.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        ByteByByte(stream)
    };
    let h1 = Http::h1_over(server.addr, byte_by_byte().await).await.unwrap();
    let h2 = Http::h2_over(server.addr, byte_by_byte().await).await;
    let request = SignInRequest { name: "Slow".into(), ..Default::default() };
    for mut http in [h1, h2] {
        let reply = web::ask(&mut http, web::call(SIGN_IN, &request)).await;
        assert_eq!(reply.message::<SignInResponse>().session.unwrap().name, "Slow");
    }
}

/// W2: a unary and a server-streaming method.
#[tokio::test]
async fn no_message_where_one_is_due_is_unimplemented() {
    assert_refused(b"", Code::Unimplemented).await;
}

/// W3: a unary and a server-streaming method.
#[tokio::test]
async fn two_messages_where_one_is_due_are_unimplemented() {
    assert_refused(&[frame(0, 0, b""), frame(0, 0, b"")].concat(), Code::Unimplemented).await;
}

/// W4: the length prefix alone is enough for a refusal.
#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_not_larger() {
    assert_refused(&frame(0, u32::MAX, b""), Code::ResourceExhausted).await;
    assert_refused(&frame(0, u32::MAX, &[0; 1_000]), Code::ResourceExhausted).await;

    let server = server().limited(|limits| limits.max_message_size = 2_048).run().await;
    for mut dialect in server.dialects().await {
        // An unknown field with number 999. Its tag and its length take two bytes each.
        let of = |length: usize| {
            let content = length - 4;
            let varint = [(content % 128) as u8 | 0x80, (content / 128) as u8];
            let message = [&[0xba, 0x3e], &varint[..], &vec![7; content]].concat();
            frame(0, u32::try_from(length).unwrap(), &message)
        };
        assert_eq!(dialect.say(SIGN_IN, &of(2_048)).await.status.code(), Code::Ok, "{dialect:?}");
        let refused = dialect.say(SIGN_IN, &of(2_049)).await.status;
        assert_eq!(refused.code(), Code::ResourceExhausted, "{dialect:?}");
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
        assert!(refused.get_details_retry_info().is_none(), "no retry delay");
    }
}

/// W5: the cut is in the length prefix, after it, or in the message.
#[tokio::test]
async fn a_request_that_ends_within_a_frame_is_an_internal_error() {
    for cut in [1, 4, 5, 7] {
        assert_refused(&frame(0, 3, b"abc")[..cut], Code::Internal).await;
    }
}

/// W6: the message does not name the HTTP library.
#[tokio::test]
async fn a_request_that_breaks_off_says_nothing_of_what_is_inside() {
    let (server, executed) = untouched().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {SIGN_IN} HTTP/1.1\r\nhost: x\r\ncontent-type: {}\r\ncontent-length: 99\r\n\r\n",
        web::PROTO
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&frame(0, 50, b"begun")).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    soon("the response", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(
        answer.contains("grpc-status: 13") && answer.contains("grpc-message: the%20request%20broke%20off"),
        "{answer}"
    );
    assert!(!answer.contains("hyper"), "{answer}");
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// W6: the error is counted as INTERNAL, not as CANCELLED.
#[tokio::test]
async fn a_request_that_is_shorter_than_it_said_is_no_call_taken_back() {
    let (server, executed) = untouched().await;
    let mut figures = Http::h1(server.addr).await;
    // No other test makes such a call of this method. The metrics are those of the whole process.
    let malformed = "rides_rpcs_total{method=\"rides.v1.City/FindPlaces\",code=\"Internal\"}";
    let (mut up, mut down) = raw_h2::connect(server.addr).await;
    let headers =
        [raw_h2::call("/rides.v1.City/FindPlaces"), raw_h2::header("content-length", "99")].concat();
    up.send(raw_h2::HEADERS, raw_h2::END_HEADERS, 1, &headers).await.unwrap();
    up.send(raw_h2::DATA, raw_h2::END_STREAM, 1, &frame(0, 50, b"begun")).await.unwrap();
    assert!(soon("a reset", down.next_of(raw_h2::RST_STREAM)).await.is_some());
    let counted = async { while figures.get("/metrics").await.metric(malformed) < 1.0 {} };
    soon("an INTERNAL in the metrics", counted).await;
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

/// W7: no `grpc-encoding`, or `identity`.
#[tokio::test]
async fn a_compressed_message_without_a_named_compression_is_an_internal_error() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        for encoding in [None, Some("identity")] {
            let mut headers = HeaderMap::new();
            headers.extend(encoding.map(|encoding| {
                (http::HeaderName::from_static("grpc-encoding"), HeaderValue::from_static(encoding))
            }));
            let said = dialect.say_with(SIGN_IN, &frame(1, 3, b"abc"), &headers).await;
            assert_eq!(said.status.code(), Code::Internal, "{dialect:?} {encoding:?}");
        }
    }
}

/// W8, R9: the server decompresses nothing, so that no message can be a decompression bomb.
#[tokio::test]
async fn a_compression_is_unimplemented_and_told_so() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        for encoding in ["foo", "gzip", "zstd"] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
            let said = dialect.say_with(SIGN_IN, &frame(1, 3, b"abc"), &headers).await;
            assert_eq!(said.status.code(), Code::Unimplemented, "{dialect:?} {encoding}");
            assert_eq!(said.headers.get("grpc-accept-encoding").unwrap(), "identity", "{dialect:?}");
        }
    }
}

/// W9: unknown flags, and the flag of trailers.
#[tokio::test]
async fn a_frame_that_is_no_message_is_an_internal_error() {
    for flag in [2, 0x80, 0x81] {
        assert_refused(&frame(flag, 3, b"abc"), Code::Internal).await;
    }
}

/// W10: the message is not valid Protobuf.
#[tokio::test]
async fn garbage_is_an_internal_error_and_no_panic() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        for garbage in [&b"\xff\xff\xff"[..], b"\x0a\x02\xff\xfe", b"\x0a\x7f"] {
            let said = dialect.say(SIGN_IN, &frame(0, u32::try_from(garbage.len()).unwrap(), garbage)).await;
            assert_eq!(said.status.code(), Code::Internal, "{dialect:?} {garbage:?}");
            assert!(said.status.message().contains("Protobuf"), "the service was reached: {:?}", said.status);
        }
    }
}

/// R5: nested groups beyond the recursion limit, and far beyond it.
#[tokio::test]
async fn deeply_nested_garbage_overflows_nothing() {
    let server = server().run().await;
    for depth in [101, 30_000] {
        let nested = [vec![0x7b; depth], vec![0x7c; depth]].concat();
        let frame = frame(0, u32::try_from(nested.len()).unwrap(), &nested);
        for mut dialect in server.dialects().await {
            assert_eq!(
                dialect.say(SIGN_IN, &frame).await.status.code(),
                Code::Internal,
                "{dialect:?} {depth}"
            );
        }
    }
}

/// R4: a message with two million empty elements is refused because of its length.
#[tokio::test]
async fn a_message_that_would_grow_in_memory_is_too_large() {
    let server = server().run().await;
    let cursors = [0x12, 0].repeat(2_000_000);
    let frame = frame(0, u32::try_from(cursors.len()).unwrap(), &cursors[..60_000]);
    for mut dialect in server.dialects().await {
        assert_eq!(dialect.say(WATCH, &frame).await.status.code(), Code::ResourceExhausted, "{dialect:?}");
    }
}

fn text(body: &str, accept: Option<&str>) -> Request<Vec<u8>> {
    let mut request = Request::post(SIGN_IN).header("content-type", "application/grpc-web-text");
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    request.body(body.as_bytes().to_vec()).unwrap()
}

/// W16, W17: padding may also be in the middle.
#[tokio::test]
async fn base64_may_come_in_pieces_with_or_without_padding() {
    let server = server().run().await;
    let request = web::frame(&SignInRequest { name: "Pat".into(), ..Default::default() });
    let whole = BASE64_STANDARD.encode(&request);
    let pieces: String = request.chunks(4).map(|piece| BASE64_STANDARD.encode(piece)).collect();
    assert_ne!(whole, pieces, "padding only at the end");
    for mut dialect in server.dialects().await.into_iter().filter(|d| d.framing == Framing::Text) {
        for good in [&whole, &pieces, whole.trim_end_matches('=')] {
            let said = dialect.send(text(good, Some("application/grpc-web-text"))).await;
            assert_eq!(said.status.code(), Code::Ok, "{good}: {:?}", said.status);
            let answer = SignInResponse::decode(said.messages[0].clone()).unwrap();
            assert_eq!(answer.session.unwrap().name, "Pat");
        }
        for bad in ["****", "AAAAA"] {
            let said = dialect.send(text(bad, None)).await;
            assert_eq!(said.status.code(), Code::Internal, "{bad}");
        }
    }
}

/// W18: `accept` selects binary or text.
#[tokio::test]
async fn a_text_call_is_answered_in_what_it_accepts() {
    let server = server().run().await;
    for mut http in server.both().await {
        for (accept, expected) in [
            (None, "application/grpc-web-text+proto"),
            (Some("*/*"), "application/grpc-web-text+proto"),
            (Some("*/*;q=0.8"), "application/grpc-web-text+proto"),
            (Some("application/grpc-web+proto"), web::PROTO),
            (Some("application/grpc-web"), web::PROTO),
            (Some("application/grpc-web-text"), "application/grpc-web-text+proto"),
            (Some("application/grpc-web-text+proto; charset=utf-8"), "application/grpc-web-text+proto"),
        ] {
            let answer = http.send(text("AAAAAAA=", accept)).await;
            assert_eq!(answer.header("content-type"), expected, "{accept:?}");
        }
    }
}

/// W21: percent signs, line breaks and letters beyond ASCII.
#[tokio::test]
async fn a_status_message_may_be_any_text() {
    const WHY: &str = "100 % naïve\nand %20 more ☃";
    let server = port_with(services::failing(WHY), Limits::default()).await;
    for mut dialect in server.dialects().await {
        let said = dialect.say("/test.Failing/Now", &frame(0, 0, b"")).await;
        assert_eq!((said.status.code(), said.status.message()), (Code::Internal, WHY), "{dialect:?}");
    }
}

/// W29: several values may be in one header.
#[tokio::test]
async fn binary_metadata_is_base64_padded_or_not_and_may_be_a_list() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        for (value, code) in [
            ("AQI=", Code::Ok),
            ("AQI", Code::Ok),
            ("AQI=,AQ, AQID", Code::Ok),
            ("!!!", Code::InvalidArgument),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-foo-bin", HeaderValue::from_static(value));
            let said = dialect.say_with(SIGN_IN, &frame(0, 0, b""), &headers).await;
            assert_eq!(said.status.code(), code, "{dialect:?} {value}");
        }
    }
}

/// W30: over both HTTP versions.
#[tokio::test]
async fn headers_of_any_bytes_are_taken_and_too_many_are_not() {
    let server = server().run().await;
    let odd = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    for mut dialect in server.dialects().await {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-odd"), odd.clone())]);
        let said = dialect.say_with(SIGN_IN, &frame(0, 0, b""), &headers).await;
        assert_eq!(said.status.code(), Code::Ok, "{dialect:?}");
    }
    for mut http in server.both().await {
        let long = Request::get("/healthz").header("x-long", "7".repeat(20_000)).body("").unwrap();
        assert_eq!(http.send(long).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    for (headers, status) in [
        ("x: a\u{1}b\r\n".to_owned(), "400"),
        (format!("x: {}\r\n", "7".repeat(70_000)), "431"),
        (format!("x: {}\r\n", "7".repeat(500_000)), "431"),
        ((0..200).map(|n| format!("x-{n}: 1\r\n")).collect(), "431"),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        // The server may refuse before all of it is sent. Then a reset may discard the response.
        stream.write_all(head.as_bytes()).await.ok();
        let mut answer = Vec::new();
        soon("the response", stream.read_to_end(&mut answer)).await.ok();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() && headers.len() > 100_000 || answer[9..].starts_with(status), "{answer}");
    }
}

/// An unknown method is UNIMPLEMENTED, although the number of messages is wrong, too.
#[tokio::test]
async fn what_a_method_takes_does_not_hide_that_there_is_none() {
    let server = server().run().await;
    for mut dialect in server.dialects().await {
        let said = dialect.say("/rides.v1.Rides/Nonsense", b"").await;
        assert_eq!(said.status.code(), Code::Unimplemented);
        let known = GetRequest { ride_id: "nobody's".into() };
        let said = dialect.say("/rides.v1.Rides/Get", &web::frame(&known)).await;
        assert_eq!(said.status.code(), Code::NotFound, "{dialect:?}");
        let health = web::frame(&HealthCheckRequest::default());
        assert_eq!(dialect.say("/grpc.health.v1.Health/Check", &health).await.messages.len(), 1);
    }
}
