//! Malformed requests and too large headers: each refusal has a reason.

use bytes::Bytes;
use grpc_edge::Limits;
use http::{Request, StatusCode};
use rides_proto::v1::SignInRequest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::services::NeverResponds;
use crate::harness::{FRIEND, Running, http::Http, port_for_a_friend, server, soon, web};

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";

/// A cookie header of about this many bytes, in one line as browsers send it over HTTP/1.1.
fn cookies(bytes: usize) -> String {
    format!("other-program={}", "7".repeat(bytes))
}

/// Returns the response to a request. The server may refuse the request before it has read all of it.
async fn answer(server: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    soon("the end", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// PROXY-7: a browser sends the cookies of other programs on localhost to this server, too.
#[tokio::test]
async fn too_many_cookies_are_refused_in_words_that_name_them() {
    let server = server().run().await;
    for bytes in [17_000, 40_000, 60_000] {
        for (mut http, framing) in server.both().await.into_iter().zip(["one", "crumbs"]) {
            let mut request = Request::get("/").header("accept", "text/html,*/*;q=0.8");
            // Over HTTP/2 browsers may split cookies into several headers (RFC 9113, section 8.2.3).
            request = match framing {
                "one" => request.header("cookie", cookies(bytes)),
                _ => (0..bytes / 1_000).fold(request, |request, _| request.header("cookie", cookies(1_000))),
            };
            let answer = http.send(request.body("").unwrap()).await;
            assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{bytes} {framing}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            for word in ["16384 bytes", "cookies", "private window", "--max-header-size"] {
                assert!(answer.text().contains(word), "{word}: {}", answer.text());
            }
            let status = Status::from_header_map(&answer.headers).expect("no status");
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status.get_details_error_info().unwrap().reason, "HEADERS_TOO_LARGE");
        }
    }
}

/// The limit of the flag applies over both HTTP versions.
#[tokio::test]
async fn headers_may_be_as_large_as_the_flag_says() {
    let server = server().limited(|limits| limits.max_header_size = 32 * 1024).run().await;
    for mut http in server.both().await {
        for (bytes, status) in
            [(31_000, StatusCode::OK), (33_000, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)]
        {
            let request = Request::get("/healthz").header("cookie", cookies(bytes)).body("").unwrap();
            let answer = http.send(request).await;
            assert_eq!(answer.status, status, "{bytes}");
            assert!(status == StatusCode::OK || answer.text().contains("32768 bytes"), "{}", answer.text());
            if status != StatusCode::OK {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_native_call_with_too_large_headers_has_a_status_of_grpc() {
    let server = server().run().await;
    let mut call = web::call(SIGN_IN, &SignInRequest::default());
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    call.headers_mut().insert("x-much", "7".repeat(20_000).parse().unwrap());
    let answer = Http::h2(server.addr).await.send(call).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/grpc");
    assert_eq!(answer.header("grpc-status"), "8");
}

/// B3 for refusals by the server. Over HTTP/1.1 the HTTP library, hyper, refuses such requests, before the
/// origin is known.
#[tokio::test]
async fn a_page_of_an_allowed_origin_can_read_that_its_headers_are_too_large() {
    let server = port_for_a_friend(NeverResponds::default().router(), Limits::default()).await;
    let mut call = web::call("/test.Never/Answer", &());
    call.headers_mut().insert("origin", FRIEND.parse().unwrap());
    call.headers_mut().insert("x-much", "7".repeat(20_000).parse().unwrap());
    let answer = Http::h2(server.addr).await.send(call).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(answer.header("access-control-allow-origin"), FRIEND);
}

#[tokio::test]
async fn what_hyper_refuses_by_itself_has_words() {
    let server = server().run().await;
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    for (request, status, reason) in [
        (
            format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
            "431 Request Header Fields Too Large",
            "cookies",
        ),
        (
            "GET / HTTP/1.1\r\nhost: localhost\r\nx: a\u{1}b\r\n\r\n".to_owned(),
            "400 Bad Request",
            "no HTTP request",
        ),
        ("hello\r\n\r\n".to_owned(), "400 Bad Request", "no HTTP request"),
        ("GET / HTTP/3.7\r\n\r\n".to_owned(), "400 Bad Request", "no HTTP request"),
    ] {
        let answer = answer(&server, request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n") && head.contains("\r\ndate: "), "{head}");
        assert!(head.contains("\r\ngrpc-status: "), "{head}");
        assert!(body.contains(reason), "{reason}: {body}");
    }
}

/// Only the refusal is rewritten, not an earlier response on the same connection.
#[tokio::test]
async fn a_response_before_a_refusal_stays_as_it_is() {
    let server = server().run().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let mut http_answer = vec![0; 4096];
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let length = soon("the response", stream.read(&mut http_answer)).await.unwrap();
    assert!(String::from_utf8_lossy(&http_answer[..length]).ends_with("\r\n\r\nalive\n"));
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut refusal = String::new();
    soon("the end", stream.read_to_string(&mut refusal)).await.unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 ") && refusal.contains("no HTTP request"), "{refusal}");
}

/// The HTTP/2 library, h2, refuses such a request or closes its connection, and does not store the headers.
#[tokio::test]
async fn headers_beyond_all_reason_are_refused_without_words() {
    let server = server().run().await;
    let request = Request::get("/healthz").header("x-much", "7".repeat(100_000)).body(Bytes::new()).unwrap();
    let answer = Http::h2(server.addr).await.send(request).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, 0));
}
