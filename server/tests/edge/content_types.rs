//! Content types and methods: the requests that are calls, and the refusal of all others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use grpc_edge::Limits;
use http::{Request, StatusCode};
use rides_proto::v1::{SignInRequest, SignInResponse, WhoAmIRequest, sessions_client::SessionsClient};
use tonic::{Code, Status};

use super::services;
use crate::harness::{http::FullResponse, port_with, server, web, wire::details};

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";

fn post(path: &str, content_type: Option<&str>) -> Request<Bytes> {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(web::frame(&SignInRequest::default())).unwrap()
}

#[tokio::test]
async fn calls_work_in_both_protocols() {
    let server = server().run().await;
    for mut http in server.both().await {
        let reply = web::ask(&mut http, web::call(SIGN_IN, &SignInRequest::default())).await;
        assert!(!reply.message::<SignInResponse>().token.is_empty());
    }
    let mut native = SessionsClient::new(server.channel().await);
    assert!(!native.sign_in(SignInRequest::default()).await.unwrap().into_inner().token.is_empty());
}

/// W12: parameters and the case of letters are ignored.
#[tokio::test]
async fn parameters_and_case_of_a_content_type_do_not_matter() {
    let server = server().run().await;
    for mut http in server.both().await {
        for spelling in [
            "application/grpc-web",
            "application/grpc-web; charset=utf-8",
            "application/grpc-web+proto; charset=utf-8",
            "Application/gRPC-Web+PROTO",
        ] {
            let reply = web::ask(&mut http, post(SIGN_IN, Some(spelling))).await;
            assert_eq!(reply.status.code(), Code::Ok, "{spelling}");
        }
    }
}

/// W11, W13, W14: other content types, the codecs of other protocols, and other methods than POST.
#[tokio::test]
async fn what_is_no_call_is_refused_and_not_executed() {
    let executed = Arc::new(AtomicUsize::new(0));
    let server = port_with(services::counting(executed.clone()), Limits::default()).await;
    for mut http in server.both().await {
        for content_type in [Some("image/jpeg"), Some("text/plain"), Some(""), None] {
            let answer = http.send(post(SIGN_IN, content_type)).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
            assert_eq!(answer.header("grpc-status"), "3", "{content_type:?}");
            assert!(answer.header("accept-post").starts_with("application/grpc, "), "{content_type:?}");
        }
        for content_type in ["application/json", "application/proto", "application/connect+proto"] {
            assert_eq!(http.send(post(SIGN_IN, Some(content_type))).await.header("grpc-status"), "12");
        }
        for method in ["GET", "DELETE", "PUT", "OPTIONS"] {
            for content_type in ["text/plain", "application/grpc", "application/grpc-web"] {
                let request = Request::builder().method(method).uri(SIGN_IN);
                let answer = http.send(request.header("content-type", content_type).body("").unwrap()).await;
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {content_type}");
                assert_eq!(answer.header("allow"), "POST");
            }
        }
        for codec in ["application/grpc-web+json", "application/grpc-web-text+foo"] {
            let answer = http.send(post(SIGN_IN, Some(codec))).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header("grpc-status"), "12", "{codec}");
        }
    }
    assert_eq!(executed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn native_grpc_needs_http2() {
    let server = server().run().await;
    let [mut h1, mut h2] = server.both().await;
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc+json"] {
        let answer = h1.send(post(SIGN_IN, Some(content_type))).await;
        assert_eq!(answer.status, StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        assert!(answer.text().contains("gRPC needs HTTP/2") && answer.text().contains("grpc-web+proto"));
        assert_eq!(answer.header("grpc-status"), "3");
    }
    assert_eq!(h2.send(post(SIGN_IN, Some("application/grpc"))).await.status, StatusCode::OK);
    let codec = h2.send(post(SIGN_IN, Some("application/grpc+json"))).await;
    assert_eq!((codec.status, codec.header("grpc-status")), (StatusCode::OK, "12"));
}

/// CLIENT-8: both forms of unary calls, and streams.
#[tokio::test]
async fn a_connect_client_is_refused_in_its_own_form() {
    let server = server().run().await;
    for mut http in server.both().await {
        for content_type in ["application/json", "application/proto", "application/json; charset=utf-8"] {
            let answer = http.send(post(SIGN_IN, Some(content_type))).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
            assert_not_spoken(&answer, &serde_json::from_str(answer.text()).unwrap());
        }
        for content_type in ["application/connect+json", "application/connect+proto"] {
            let answer = http.send(post(SIGN_IN, Some(content_type))).await;
            assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, content_type));
            let (prefix, message) = answer.body.split_at(5);
            assert_eq!((prefix[0], prefix[4] as usize | (prefix[3] as usize) << 8), (2, message.len()));
            let end: serde_json::Value = serde_json::from_slice(message).unwrap();
            assert_not_spoken(&answer, &end["error"]);
        }
        let get = format!("{SIGN_IN}?connect=v1&encoding=json&message=%7B%7D");
        let answer = http.get(&get).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_not_spoken(&answer, &serde_json::from_str(answer.text()).unwrap());
    }
}

/// Refusals for other reasons are in the form of the Connect protocol, too, so that the client shows the
/// reason.
#[tokio::test]
async fn a_connect_client_hears_every_refusal_of_the_port_in_its_own_form() {
    let server = server().run().await;
    for mut http in server.both().await {
        for (name, value, code, said) in [
            ("host", "evil.example", StatusCode::MISDIRECTED_REQUEST, "evil.example"),
            ("origin", "https://evil.example", StatusCode::FORBIDDEN, "--allow-origin"),
        ] {
            let mut request = post(SIGN_IN, Some("application/json"));
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = http.send(request).await;
            assert_eq!((answer.status, answer.header("content-type")), (code, "application/json"));
            let error: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
            assert_eq!(error["code"], "permission_denied");
            assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        }
    }
}

/// Asserts that the status in the headers and the error in the body are the same.
#[track_caller]
fn assert_not_spoken(answer: &FullResponse, error: &serde_json::Value) {
    let status = Status::from_header_map(&answer.headers).expect("no status");
    assert_eq!((status.code(), details(&status).1.as_str()), (Code::Unimplemented, "NOT_A_CALL"));
    assert_eq!((&error["code"], &error["message"]), (&"unimplemented".into(), &status.message().into()));
    assert!(status.message().contains("does not speak the Connect protocol"), "{status:?}");
    let kinds: Vec<_> = error["details"].as_array().unwrap().iter().map(|detail| &detail["type"]).collect();
    assert_eq!(kinds, ["google.rpc.ErrorInfo", "google.rpc.RequestInfo"]);
    assert!(answer.header("accept-post").contains("application/grpc-web+proto"));
}

/// W15: an unknown method or service.
#[tokio::test]
async fn what_nobody_serves_is_unimplemented_in_the_callers_framing() {
    let server = server().run().await;
    for mut http in server.both().await {
        for path in ["/rides.v1.Nonsense/Go", "/rides.v1.Sessions/Nonsense", "/anything"] {
            let reply = web::ask(&mut http, web::call(path, &())).await;
            assert_eq!(reply.status.code(), Code::Unimplemented, "{path}");
            assert_eq!(reply.status.message(), "this server has no such method", "{path}");
        }
    }
    let [_, mut h2] = server.both().await;
    let answer = h2.send(post("/rides.v1.Nonsense/Go", Some("application/grpc"))).await;
    assert_eq!(answer.header("content-type"), "application/grpc");
    assert_eq!(answer.header("grpc-status"), "12");
}

/// W19: the response has headers only.
#[tokio::test]
async fn an_error_before_any_message_comes_in_the_headers_alone() {
    let server = server().run().await;
    for mut http in server.both().await {
        let answer = http.send(web::call("/rides.v1.Sessions/WhoAmI", &WhoAmIRequest {})).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("grpc-status"), "16");
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_in_the_callers_framing() {
    let server = port_with(services::panicking(), Limits::default()).await;
    for mut http in server.both().await {
        let reply = web::ask(&mut http, web::call("/test.Panic/Now", &())).await;
        assert_eq!(reply.status.code(), Code::Internal);
    }
}

#[tokio::test]
async fn text_calls_are_answered_in_text_when_asked() {
    let server = server().run().await;
    for mut http in server.both().await {
        let request = Request::post(SIGN_IN)
            .header("content-type", "application/grpc-web-text")
            .header("accept", "application/grpc-web-text")
            .body("AAAAAAA=")
            .unwrap();
        let answer = http.send(request).await;
        assert_eq!(answer.header("content-type"), "application/grpc-web-text+proto");
        assert!(answer.text().starts_with("AAAA"));
    }
}
