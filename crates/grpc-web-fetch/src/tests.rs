//! The client over a scripted transport, on the host: from bytes to messages and statuses.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{Stream, TryStreamExt as _, future::join};
use proptest::prelude::*;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    client::Client,
    clock::TestClock,
    connection::Link,
    credentials::{Credentials, Decision, FailedAttempt, Token},
    messages::MessageStream,
    metadata::Metadata,
    method::Method,
    resumable::SIGNALS,
    tap::{Direction, Tap},
    transport::{Body, HttpRequest, HttpResponse, Transport},
};

/// A unary RPC. prost's messages for `String` and `u64` are those of `google.protobuf`: StringValue and UInt64Value.
const GET: Method<String, String> = Method::new("/example.v1.Example/Get");
const WATCH: Method<u64, u64> = Method::new("/example.v1.Example/Watch");

/// A server that always sends the same response.
#[derive(Clone, Default)]
struct Script {
    http_status: u16,
    headers: Vec<(&'static str, &'static str)>,
    chunks: Vec<Bytes>,
    /// The body stays open after the chunks.
    stalls: bool,
    unreachable: bool,
    cancelled: Arc<AtomicBool>,
    requests: Rc<RefCell<Vec<HttpRequest>>>,
}

impl Transport for Script {
    type Body = ScriptBody;

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse<ScriptBody>, String> {
        assert_eq!(request.headers.get("content-type"), Some("application/grpc-web+proto"));
        self.requests.borrow_mut().push(request);
        if self.unreachable {
            return Err("unreachable".to_owned());
        }
        let mut headers = Metadata::default();
        for (name, value) in &self.headers {
            headers.append(name, value);
        }
        let body = ScriptBody {
            chunks: self.chunks.clone().into(),
            stalls: self.stalls,
            cancelled: Some(self.cancelled.clone()),
        };
        Ok(HttpResponse { status: self.http_status, headers, body })
    }
}

struct ScriptBody {
    chunks: VecDeque<Bytes>,
    stalls: bool,
    cancelled: Option<Arc<AtomicBool>>,
}

impl Stream for ScriptBody {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.chunks.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Body for ScriptBody {
    fn complete(&mut self) {
        self.cancelled = None;
    }
}

impl Drop for ScriptBody {
    fn drop(&mut self) {
        if let Some(cancelled) = &self.cancelled {
            cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Script {
    fn grpc_web(chunks: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            http_status: 200,
            headers: vec![("content-type", "application/grpc-web+proto")],
            chunks: chunks.into_iter().map(Bytes::from).collect(),
            ..Self::default()
        }
    }

    fn http(status: u16, content_type: &'static str) -> Self {
        Self {
            http_status: status,
            headers: vec![("content-type", content_type)],
            chunks: vec![Bytes::from_static(b"<html>Bad Gateway</html>")],
            ..Self::default()
        }
    }

    fn with_headers(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        self.headers.extend(headers);
        self
    }

    fn client(&self) -> Client<Self, TestClock> {
        Client::with_transport(self.clone(), TestClock::new(), Tap::new(|| 0.0))
    }

    fn open_watch(&self) -> MessageStream {
        self.client().open(&WATCH, &0, None)
    }

    /// Makes a unary call.
    async fn get(&self) -> Result<String, Status> {
        self.client().unary(&GET, &String::new()).await
    }

    /// Reads a stream. Returns the number of its messages, and its end.
    async fn watch(&self) -> (usize, Result<(), Status>) {
        let mut stream = self.open_watch();
        let mut count = 0;
        loop {
            match stream.try_next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, Ok(())),
                Err(status) => {
                    assert!(matches!(stream.try_next().await, Ok(None)), "an error is the end");
                    return (count, Err(status));
                }
            }
        }
    }
}

fn frame(flag: u8, content: &[u8]) -> Vec<u8> {
    [&[flag][..], &(content.len() as u32).to_be_bytes(), content].concat()
}

fn text(text: &str) -> Vec<u8> {
    frame(0, &text.to_owned().encode_to_vec())
}

fn event() -> Vec<u8> {
    frame(0, &7u64.encode_to_vec())
}

fn trailers(block: &str) -> Vec<u8> {
    frame(0x80, block.as_bytes())
}

const NOT_FOUND: &str = "grpc-status:5\r\ngrpc-message:no%20such%20thing%3A%20%C3%A4\r\n";

#[tokio::test]
async fn a_trailer_frame_split_at_every_byte_keeps_its_status() {
    let (message, end) = (event(), trailers(NOT_FOUND));
    for cut in 0..=end.len() {
        let (head, tail) = end.split_at(cut);
        let script = Script::grpc_web([message.clone(), head.to_vec(), Vec::new(), tail.to_vec()]);
        let (count, end) = script.watch().await;
        let status = end.expect_err("NOT_FOUND");
        assert_eq!(
            (count, status.code(), status.message()),
            (1, Code::NotFound, "no such thing: ä"),
            "cut {cut}"
        );
    }
}

#[tokio::test]
async fn trailers_in_one_piece_with_the_last_message_are_read() {
    let script = Script::grpc_web([[text("r1"), trailers("grpc-status: 0\r\n")].concat()]);
    assert_eq!(script.get().await.expect("OK"), "r1");
    let script = Script::grpc_web([[event(), event(), trailers(NOT_FOUND)].concat()]);
    assert!(matches!(script.watch().await, (2, Err(status)) if status.code() == Code::NotFound));
}

#[tokio::test]
async fn a_status_in_the_headers_ends_the_call() {
    let headers = [("grpc-status", "5"), ("grpc-message", "no%20such%20thing")];
    let script = Script::grpc_web([]).with_headers(&headers);
    let status = script.get().await.expect_err("NOT_FOUND");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such thing"));
    assert!(matches!(script.watch().await, (0, Err(status)) if status.code() == Code::NotFound));

    // tonic responds so to an expired deadline: neither the framing nor the content type is that of gRPC-Web.
    let script = Script { headers: vec![("content-type", "application/grpc")], ..Script::grpc_web([]) };
    let status = script.with_headers(&[("grpc-status", "4")]).get().await.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let script = Script::grpc_web([]).with_headers(&[("grpc-status", "0")]);
    assert!(matches!(script.watch().await, (0, Ok(()))));
}

#[tokio::test]
async fn a_status_in_the_body_overrides_one_in_the_headers() {
    let body = [event(), trailers(NOT_FOUND)].concat();
    let script = Script::grpc_web([body]).with_headers(&[("grpc-status", "0")]);
    assert!(matches!(script.watch().await, (1, Err(status)) if status.code() == Code::NotFound));
}

#[tokio::test]
async fn an_empty_trailer_frame_is_ignored() {
    let script = Script::grpc_web([trailers(""), event(), trailers("grpc-status:0\r\n")]);
    assert!(matches!(script.watch().await, (1, Ok(()))));

    let script = Script::grpc_web([trailers("")]).with_headers(&[("grpc-status", "7")]);
    assert!(matches!(script.watch().await, (0, Err(status)) if status.code() == Code::PermissionDenied));

    let (_, end) = Script::grpc_web([trailers("")]).watch().await;
    assert_eq!(end.expect_err("no status").code(), Code::Unavailable);
}

#[tokio::test]
async fn a_body_cut_short_at_any_byte_is_unavailable() {
    let whole = [event(), event(), trailers("grpc-status:0\r\n")].concat();
    assert!(matches!(Script::grpc_web([whole.clone()]).watch().await, (2, Ok(()))));
    for cut in 0..whole.len() {
        let script = Script::grpc_web([whole[..cut].to_vec()]);
        let (_, end) = script.watch().await;
        assert_eq!(end.expect_err("cut short").code(), Code::Unavailable, "cut {cut}");
        assert!(script.cancelled.load(Ordering::Relaxed));
    }
    let whole = [text("r1"), trailers("grpc-status:0\r\n")].concat();
    for cut in 0..whole.len() {
        let status = Script::grpc_web([whole[..cut].to_vec()]).get().await.expect_err("cut short");
        assert_eq!(status.code(), Code::Unavailable, "cut {cut}");
    }
}

#[tokio::test]
async fn http_errors_become_grpc_codes() {
    let table = [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (500, Code::Unknown),
        (418, Code::Unknown),
        (200, Code::Unknown),
    ];
    for (http, code) in table {
        let status = Script::http(http, "text/html").get().await.expect_err("an error");
        assert_eq!(status.code(), code, "HTTP {http}");
    }
    // A gRPC server behind a broken proxy: the content type is right, and the status is missing.
    let script = Script { http_status: 403, ..Script::grpc_web([]) };
    assert_eq!(script.get().await.expect_err("an error").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let script = Script { unreachable: true, ..Script::grpc_web([]) };
    let status = script.get().await.expect_err("unreachable");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "unreachable"));
}

#[tokio::test]
async fn a_length_of_four_gigabytes_is_an_error() {
    for flag in [0, 0x80] {
        let script = Script::grpc_web([vec![flag, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]]);
        assert_eq!(script.get().await.expect_err("too long").code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn the_status_does_not_wait_for_the_body_to_close() {
    let mut script = Script::grpc_web([[event(), trailers("grpc-status:0\r\n")].concat()]);
    script.stalls = true;
    assert!(matches!(script.watch().await, (1, Ok(()))));
    assert!(!script.cancelled.load(Ordering::Relaxed), "a complete call must not cut its connection");
}

#[tokio::test]
async fn a_dropped_stream_cancels_its_request() {
    let mut script = Script::grpc_web([event()]);
    script.stalls = true;
    let mut stream = script.open_watch();
    assert!(stream.try_next().await.expect("a heartbeat").is_some());
    assert!(!script.cancelled.load(Ordering::Relaxed));
    drop(stream);
    assert!(script.cancelled.load(Ordering::Relaxed));
}

#[tokio::test]
async fn repeated_metadata_is_kept() {
    let script = Script::grpc_web([trailers("grpc-status:9\r\nx-tag:a\r\nx-tag:b\r\n")]);
    let client = script.client();
    let status = client.unary(&GET, &String::new()).await.expect_err("a status");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let end = client.tap().calls().remove(0).end.expect("it ended");
    assert_eq!(end.trailers.get_all("x-tag").collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn an_ok_without_a_message_is_an_error() {
    let script = Script::grpc_web([trailers("grpc-status:0\r\n")]);
    assert_eq!(script.get().await.expect_err("no message").code(), Code::Internal);
    let garbled = Script::grpc_web([[frame(0, &[0xff]), trailers("grpc-status:0\r\n")].concat()]);
    assert_eq!(garbled.get().await.expect_err("no message").code(), Code::Internal);
}

#[tokio::test]
async fn the_tap_records_the_messages() {
    let script = Script::grpc_web([[text("r1"), trailers("grpc-status:0\r\n")].concat()]);
    let client = script.client();
    let request = "seven".to_owned();
    client.unary(&GET, &request).await.expect("OK");

    let [call] = &client.tap().calls()[..] else { panic!("one call") };
    assert_eq!(&*call.method, "example.v1.Example/Get");
    let sizes: Vec<_> = call.frames.iter().map(|frame| (frame.direction, frame.bytes as usize)).collect();
    assert_eq!(sizes, [(Direction::Out, request.encoded_len()), (Direction::In, text("r1").len() - 5)]);
    assert_eq!(call.end.as_ref().map(|end| end.code), Some(Code::Ok));
}

/// Credentials with a token that the server refuses once.
struct Renewing(Rc<RefCell<Vec<Option<Token>>>>);

impl Credentials for Renewing {
    fn token(&self) -> Option<Token> {
        Token::parse(&format!("token-{}", self.0.borrow().len()))
    }

    fn failed<'a>(&'a self, attempt: FailedAttempt<'a>) -> Option<Decision<'a>> {
        let is_refused = attempt.status.code() == Code::Unauthenticated && attempt.repeats == 0;
        self.0.borrow_mut().push(attempt.token.cloned());
        is_refused.then(|| Box::pin(async { Ok(true) }) as Decision<'a>)
    }
}

#[tokio::test]
async fn a_refused_call_is_made_again_with_another_token_as_often_as_the_credentials_ask() {
    let script = Script::grpc_web([trailers("grpc-status:16\r\n")]);
    let refused = Rc::<RefCell<Vec<_>>>::default();
    let client = script.client().credentials(Renewing(refused.clone())).metadata("x-tag", "a");
    let status = client.unary(&GET, &String::new()).await.expect_err("refused twice");
    assert_eq!(status.code(), Code::Unauthenticated);
    let tokens = ["token-0", "token-1"].map(Token::parse);
    assert_eq!(*refused.borrow(), tokens);
    let requests = script.requests.borrow();
    let sent: Vec<_> = requests.iter().map(|request| request.token.clone()).collect();
    assert_eq!(sent, tokens);
    assert!(requests.iter().all(|request| request.headers.get("x-tag") == Some("a")));
}

#[tokio::test]
async fn a_message_over_the_limit_of_the_client_is_refused() {
    let script = Script::grpc_web([[text("r1"), trailers("grpc-status:0\r\n")].concat()]);
    assert_eq!(script.client().max_message(4).unary(&GET, &String::new()).await.expect("4 bytes"), "r1");
    let status = script.client().max_message(3).unary(&GET, &String::new()).await.expect_err("too long");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_stream_decodes_its_messages() {
    let script = Script::grpc_web([[event(), event(), trailers("grpc-status:0\r\n")].concat()]);
    let mut stream = script.client().stream(&WATCH, &0);
    while let Some(number) = stream.message().await.expect("OK") {
        assert_eq!(number, 7);
    }
    let garbled = Script::grpc_web([frame(0, &[0xff])]).client().stream(&WATCH, &0).message().await;
    assert_eq!(garbled.expect_err("no message").code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_broke_resumes_from_its_cursor_until_it_is_closed() {
    let script = Script::grpc_web([event()]);
    let (codes, links) = (Rc::<RefCell<Vec<_>>>::default(), Rc::<RefCell<Vec<_>>>::default());
    let (on_error, on_state) = (codes.clone(), links.clone());
    let stream = script
        .client()
        .resume(&WATCH, 0, |last| *last, |last, number| *last += number)
        .on_error(move |status| on_error.borrow_mut().push(status.code()))
        .on_state(move |state| on_state.borrow_mut().push(state.link));
    let (sender, signals) = mpsc::channel(SIGNALS);
    let close = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(sender);
    };
    join(stream.run(true, signals), close).await;
    assert_eq!(*codes.borrow(), [Code::Unavailable; 2]);
    assert_eq!(
        links.borrow()[..4],
        [Link::Connecting, Link::Live, Link::Waiting { retry_at: 125.0 }, Link::Connecting]
    );
    let bodies: Vec<_> = script.requests.borrow().iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies, [frame(0, &[]), frame(0, &7u64.encode_to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_server_ends_with_ok_is_not_opened_again() {
    let script = Script::grpc_web([[event(), trailers("grpc-status:0\r\n")].concat()]);
    let (_sender, signals) = mpsc::channel(SIGNALS);
    script.client().resume(&WATCH, 0, |last| *last, |last, number| *last = number).run(true, signals).await;
    assert_eq!(script.requests.borrow().len(), 1);
}

proptest! {
    #[test]
    fn the_size_of_the_pieces_does_not_matter(
        count in 0usize..5,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let whole = [event().repeat(count), trailers(NOT_FOUND)].concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let script = Script::grpc_web(cuts.windows(2).map(|pair| whole[pair[0]..pair[1]].to_vec()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (got, end) = runtime.block_on(script.watch());
        prop_assert_eq!(got, count);
        prop_assert_eq!(end.expect_err("NOT_FOUND").code(), Code::NotFound);
    }

    #[test]
    fn noise_is_an_error_and_never_a_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (_, end) = runtime.block_on(Script::grpc_web(chunks).watch());
        prop_assert!(end.is_err());
    }
}
