//! The names by which the server may be called. They protect against DNS rebinding: a page whose name points to
//! this machine has the origin of the server, but is foreign.

use bytes::Bytes;
use http::{Request, StatusCode};
use rides_proto::v1::SignInRequest;
use rides_server::access::AuthPolicy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{FRIEND, Running, http::Http, server, soon, web};

const SIGN_IN: &str = "/rides.v1.Sessions/SignIn";
const EVIL: &str = "evil.example:8080";

/// A call by a page that was loaded from `host`.
fn call(host: &str) -> Request<Bytes> {
    let mut request = web::call(SIGN_IN, &SignInRequest::default());
    request.headers_mut().insert("host", host.parse().unwrap());
    request.headers_mut().insert("origin", format!("http://{host}").parse().unwrap());
    request
}

/// A call by a native client to `host`.
fn native(host: &str) -> Request<Bytes> {
    let mut request = call(host);
    request.headers_mut().remove("origin");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request
}

fn get(path: &str, host: &str) -> Request<Bytes> {
    Request::get(path).header("host", host).body(Bytes::new()).unwrap()
}

async fn signs_in(server: &Running, host: &str) -> bool {
    let mut served = Vec::new();
    for mut http in server.both().await {
        let answer = http.send(call(host)).await;
        served.push(answer.status == StatusCode::OK && !answer.body.is_empty());
    }
    assert_eq!(served[0], served[1], "{host}");
    served[0]
}

#[tokio::test]
async fn a_page_under_another_name_gets_nothing() {
    let server = server().run().await;
    for mut http in server.both().await {
        for request in [
            call(EVIL),
            get("/", EVIL),
            get("/metrics", EVIL),
            get("/healthz/more", EVIL),
            Request::post("/healthz").header("host", EVIL).body(Bytes::new()).unwrap(),
            Request::options(SIGN_IN).header("host", EVIL).body(Bytes::new()).unwrap(),
        ] {
            let path = request.uri().clone();
            let answer = http.send(request).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
            assert_eq!(
                answer.text(),
                "this server is not known by the name evil.example: call it by localhost, or start it with --allow-host \
                 evil.example\n",
                "{path}"
            );
            let status = Status::from_header_map(&answer.headers).expect("no status");
            assert_eq!(status.code(), Code::PermissionDenied);
            assert_eq!(status.get_details_error_info().unwrap().reason, "UNKNOWN_HOST");
        }
    }
    for own in ["localhost", "localhost:8080", "rides.localhost", "[::1]:8080", "127.0.0.1"] {
        assert!(signs_in(&server, own).await, "{own}");
    }
}

/// PROXY-8: orchestrators and load balancers call by address. The probes contain no secrets, so that they
/// respond under any name.
#[tokio::test]
async fn probes_are_answered_under_any_name_and_figures_are_not() {
    let server = server().run().await;
    for mut http in server.both().await {
        for host in ["10.0.0.5:8080", "rides.default.svc", EVIL] {
            for (path, text) in
                [("/healthz", "alive\n"), ("/readyz", "ready\n"), ("/readyz?verbose", "ready\n")]
            {
                let answer = http.send(get(path, host)).await;
                assert_eq!((answer.status, answer.text()), (StatusCode::OK, text), "{path} of {host}");
            }
            assert_eq!(http.send(get("/metrics", host)).await.status, StatusCode::MISDIRECTED_REQUEST);
        }
    }
}

/// The message may be shown in a terminal or pasted into a shell.
#[tokio::test]
async fn a_name_that_is_none_is_not_repeated() {
    let server = server().run().await;
    for host in ["$(reboot).example", "a'b.example", "a;b", "two words"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("the response", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("--allow-host NAME"), "{answer}");
        assert!(!answer.contains(host), "{answer}");
    }
}

/// A native call may have any host, because no page can make it.
#[tokio::test]
async fn a_program_may_call_it_as_it_likes() {
    let server = server().run().await;
    let mut http = Http::h2(server.addr).await;
    let answer = http.open(native(EVIL)).await;
    assert_eq!((answer.status(), answer.headers().contains_key("grpc-status")), (StatusCode::OK, false));
    for (name, value) in [("origin", "http://evil.example:8080"), ("sec-fetch-site", "same-origin")] {
        let mut request = native(EVIL);
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(http.send(request).await.status, StatusCode::MISDIRECTED_REQUEST, "{name}");
    }
}

#[tokio::test]
async fn a_server_may_have_more_names() {
    let proxied = server().called("rides.example").allowing(FRIEND).run().await;
    for (host, is_known) in
        [("rides.example", true), ("friend.example:8443", true), ("localhost", true), (EVIL, false)]
    {
        assert_eq!(signs_in(&proxied, host).await, is_known, "{host}");
    }
}

/// A server that requires tokens, or is open on all addresses, accepts any name: a foreign page gains nothing
/// there.
#[tokio::test]
async fn elsewhere_a_server_goes_by_any_name() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    for server in [server().requiring_tokens(), server().at(everywhere).under(AuthPolicy::Open)] {
        assert!(signs_in(&server.run().await, EVIL).await);
    }
    let named = server().at(everywhere).under(AuthPolicy::Open).called("rides.example").run().await;
    assert!(signs_in(&named, "rides.example").await && !signs_in(&named, EVIL).await);
}
