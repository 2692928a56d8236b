//! The whole client stack, from scripted bytes to messages, on the host.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use proptest::prelude::*;
use prost::Message as _;
use rides_proto::v1::{ListRequest, ListResponse, Ride, WatchResponse};
use tonic::{Code, Status};

use super::{
    call::DEADLINE,
    methods::{LIST, WATCH_RIDE},
    status::Metadata,
    tap::{Direction, Tap},
    transport::{Chunks, Fetch, Request, Response, Transport},
};

/// A server that always answers the same.
#[derive(Clone, Default)]
struct Script {
    http_status: u16,
    headers: Vec<(&'static str, &'static str)>,
    chunks: Vec<Bytes>,
    /// The body stays open after the chunks.
    stalls: bool,
    unreachable: bool,
    given_up: Arc<AtomicBool>,
}

impl Fetch for Script {
    type Chunks = ScriptChunks;

    async fn fetch(&self, request: Request) -> Result<Response<ScriptChunks>, String> {
        assert!(request.headers.contains(&("content-type", "application/grpc-web+proto".to_owned())));
        if self.unreachable {
            return Err("nobody there".to_owned());
        }
        let mut headers = Metadata::default();
        for (name, value) in &self.headers {
            headers.append(name, value);
        }
        let chunks = ScriptChunks {
            chunks: self.chunks.clone().into(),
            stalls: self.stalls,
            given_up: Some(self.given_up.clone()),
        };
        Ok(Response { status: self.http_status, headers, chunks })
    }
}

struct ScriptChunks {
    chunks: VecDeque<Bytes>,
    stalls: bool,
    given_up: Option<Arc<AtomicBool>>,
}

impl Stream for ScriptChunks {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.chunks.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Chunks for ScriptChunks {
    fn complete(&mut self) {
        self.given_up = None;
    }
}

impl Drop for ScriptChunks {
    fn drop(&mut self) {
        if let Some(given_up) = &self.given_up {
            given_up.store(true, Ordering::Relaxed);
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

    fn transport(&self) -> Transport<Self> {
        Transport::new(self.clone(), Tap::new(|| 0.0))
    }

    /// A unary call: the answer's only ride, or the status.
    async fn list(&self) -> Result<String, Status> {
        let mut answer = self.transport().unary(LIST, &ListRequest::default(), DEADLINE, None).await?;
        Ok(answer.rides.remove(0).ride_id)
    }

    /// A stream, read to its end: how many messages, and how it ended.
    async fn watch(&self) -> (usize, Result<(), Status>) {
        let mut stream = self.transport().answers(WATCH_RIDE.path(), Vec::new(), None, None);
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

fn ride(id: &str) -> Vec<u8> {
    let ride = Ride { ride_id: id.to_owned(), ..Default::default() };
    frame(0, &ListResponse { rides: vec![ride], ..Default::default() }.encode_to_vec())
}

fn event() -> Vec<u8> {
    let message = rides_proto::v1::watch_response::Message::Heartbeat(Default::default());
    frame(0, &WatchResponse { message: Some(message) }.encode_to_vec())
}

fn trailers(block: &str) -> Vec<u8> {
    frame(0x80, block.as_bytes())
}

const NOT_FOUND: &str = "grpc-status:5\r\ngrpc-message:no%20such%20ride%3A%20%C3%A4\r\n";

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
            (1, Code::NotFound, "no such ride: ä"),
            "cut {cut}"
        );
    }
}

#[tokio::test]
async fn trailers_glued_to_the_last_message_are_read() {
    let script = Script::grpc_web([[ride("r1"), trailers("grpc-status: 0\r\n")].concat()]);
    assert_eq!(script.list().await.expect("OK"), "r1");
    let script = Script::grpc_web([[event(), event(), trailers(NOT_FOUND)].concat()]);
    assert!(matches!(script.watch().await, (2, Err(status)) if status.code() == Code::NotFound));
}

#[tokio::test]
async fn a_status_in_the_headers_ends_the_call() {
    let headers = [("grpc-status", "5"), ("grpc-message", "no%20such%20ride")];
    let script = Script::grpc_web([]).with_headers(&headers);
    let status = script.list().await.expect_err("NOT_FOUND");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such ride"));
    assert!(matches!(script.watch().await, (0, Err(status)) if status.code() == Code::NotFound));

    // As tonic answers a deadline: neither the right framing nor the right content type.
    let script = Script { headers: vec![("content-type", "application/grpc")], ..Script::grpc_web([]) };
    let status = script.with_headers(&[("grpc-status", "4")]).list().await.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);

    let script = Script::grpc_web([]).with_headers(&[("grpc-status", "0")]);
    assert!(matches!(script.watch().await, (0, Ok(()))));
}

#[tokio::test]
async fn a_status_in_the_body_counts_for_more_than_one_in_the_headers() {
    let body = [event(), trailers(NOT_FOUND)].concat();
    let script = Script::grpc_web([body]).with_headers(&[("grpc-status", "0")]);
    assert!(matches!(script.watch().await, (1, Err(status)) if status.code() == Code::NotFound));
}

#[tokio::test]
async fn an_empty_trailer_frame_says_nothing() {
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
        assert!(script.given_up.load(Ordering::Relaxed));
    }
    let whole = [ride("r1"), trailers("grpc-status:0\r\n")].concat();
    for cut in 0..whole.len() {
        let status = Script::grpc_web([whole[..cut].to_vec()]).list().await.expect_err("cut short");
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
        let status = Script::http(http, "text/html").list().await.expect_err("an error");
        assert_eq!(status.code(), code, "HTTP {http}");
    }
    // A gRPC server behind a broken proxy: the framing is right, and the status is missing.
    let script = Script { http_status: 403, ..Script::grpc_web([]) };
    assert_eq!(script.list().await.expect_err("an error").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let script = Script { unreachable: true, ..Script::grpc_web([]) };
    let status = script.list().await.expect_err("unreachable");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "nobody there"));
}

#[tokio::test]
async fn a_length_of_four_gigabytes_is_an_error() {
    for flag in [0, 0x80] {
        let script = Script::grpc_web([vec![flag, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]]);
        assert_eq!(script.list().await.expect_err("too long").code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn the_status_does_not_wait_for_the_body_to_close() {
    let mut script = Script::grpc_web([[event(), trailers("grpc-status:0\r\n")].concat()]);
    script.stalls = true;
    assert!(matches!(script.watch().await, (1, Ok(()))));
    assert!(!script.given_up.load(Ordering::Relaxed), "a complete call must not cut its connection");
}

#[tokio::test]
async fn a_dropped_stream_gives_its_request_up() {
    let mut script = Script::grpc_web([event()]);
    script.stalls = true;
    let mut stream = script.transport().answers(WATCH_RIDE.path(), Vec::new(), None, None);
    assert!(stream.try_next().await.expect("a heartbeat").is_some());
    assert!(!script.given_up.load(Ordering::Relaxed));
    drop(stream);
    assert!(script.given_up.load(Ordering::Relaxed));
}

#[tokio::test]
async fn repeated_metadata_is_kept() {
    let script = Script::grpc_web([trailers("grpc-status:9\r\nx-tag:a\r\nx-tag:b\r\n")]);
    let transport = script.transport();
    let status = transport.unary(LIST, &ListRequest::default(), DEADLINE, None).await.expect_err("a status");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let end = transport.tap().calls().remove(0).end.expect("it ended");
    assert_eq!(end.trailers.get_all("x-tag").collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn an_ok_without_an_answer_is_an_error() {
    let script = Script::grpc_web([trailers("grpc-status:0\r\n")]);
    assert_eq!(script.list().await.expect_err("no answer").code(), Code::Internal);
    let garbled = Script::grpc_web([[frame(0, &[0xff]), trailers("grpc-status:0\r\n")].concat()]);
    assert_eq!(garbled.list().await.expect_err("no message").code(), Code::Internal);
}

#[tokio::test]
async fn the_tap_sees_what_passed() {
    let script = Script::grpc_web([[ride("r1"), trailers("grpc-status:0\r\n")].concat()]);
    let transport = script.transport();
    let request = ListRequest { page_size: 7, ..Default::default() };
    transport.unary(LIST, &request, DEADLINE, None).await.expect("OK");

    let [call] = &transport.tap().calls()[..] else { panic!("one call") };
    assert_eq!(&*call.method, "rides.v1.Rides/List");
    let sizes: Vec<_> = call.frames.iter().map(|frame| (frame.direction, frame.bytes as usize)).collect();
    assert_eq!(sizes, [(Direction::Out, request.encoded_len()), (Direction::In, ride("r1").len() - 5)]);
    assert_eq!(call.end.as_ref().map(|end| end.code), Some(Code::Ok));
}

proptest! {
    #[test]
    fn the_cuts_of_the_network_do_not_matter(
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
