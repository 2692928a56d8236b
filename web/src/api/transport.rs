//! gRPC-Web over anything that can fetch: unary and server-streaming calls, one message out.
//!
//! Calls are typed by their [`Method`] at the surface; below it there are bytes, so that the page carries this
//! code once and not once for every RPC (tonic's own client would be a third of the page). Streams are [`decode`]d
//! by whoever watches them, for the same reason.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, stream::LocalBoxStream};
use prost::Message;
use tonic::Status;

use super::{
    messages::Messages,
    methods::Method,
    status::{Metadata, NotGrpc},
    tap::{Direction, Tap},
    token::Token,
};
use crate::model::Millis;

const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_PROTO: &str = "application/grpc-web+proto";

/// An HTTP request: a POST.
#[derive(Clone, Debug)]
pub struct Request {
    /// Below the page's base: "/rides.v1.Rides/Book".
    pub path: String,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// For `authorization`.
    pub token: Option<Token>,
    /// All of it: a browser cannot send a body while it reads the response.
    pub body: Vec<u8>,
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct Response<C> {
    /// The HTTP status; 0 for a redirect, of which a browser tells no more.
    pub status: u16,
    /// Those that say what it is and how the call ended.
    pub headers: Metadata,
    /// The body.
    pub chunks: C,
}

/// Something that makes HTTP requests: the browser, or a script in a test.
///
/// Dropping the future or the chunks gives the request up.
pub trait Fetch: Clone + 'static {
    /// The body of a response as it arrives.
    type Chunks: Chunks;

    /// Sends a request. Fails, with a text for people, only when there is no HTTP response.
    fn fetch(&self, request: Request) -> impl Future<Output = Result<Response<Self::Chunks>, String>>;
}

/// The body of a response, in the pieces the network makes of it. An error is a text for people.
pub trait Chunks: Stream<Item = Result<Bytes, String>> + Unpin + 'static {
    /// Nothing more is needed and the server is done: dropping the chunks must not cut the connection.
    fn complete(&mut self);
}

/// What comes back from a call: its messages, still encoded, and an error as the last item unless it ended with OK.
pub type Answers = LocalBoxStream<'static, Result<Bytes, Status>>;

/// Makes calls.
#[derive(Clone)]
pub struct Transport<F> {
    fetch: F,
    tap: Tap,
}

impl<F: Fetch> Transport<F> {
    /// Calls go through `fetch` and leave their figures in `tap`.
    pub fn new(fetch: F, tap: Tap) -> Self {
        Self { fetch, tap }
    }

    /// Where the calls leave their figures.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// The one answer to `request`. The server is told the deadline; keeping to it is for the caller.
    pub async fn unary<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
        deadline: Millis,
        token: Option<Token>,
    ) -> Result<A, Status> {
        let answers = self.answers(method.path(), request.encode_to_vec(), Some(deadline), token);
        decode(only(answers).await?)
    }

    /// The answers to a request, encoded, from before the call is made to its end; an error is the last item.
    pub fn answers(
        &self,
        path: &'static str,
        message: Vec<u8>,
        deadline: Option<Millis>,
        token: Option<Token>,
    ) -> Answers {
        self.clone().call(path, message, deadline, token).try_flatten_stream().boxed_local()
    }

    async fn call(
        self,
        path: &'static str,
        message: Vec<u8>,
        deadline: Option<Millis>,
        token: Option<Token>,
    ) -> Result<Messages<F::Chunks>, Status> {
        let call = self.tap.begin(path.trim_start_matches('/'));
        call.frame(Direction::Out, message.len() as u32);
        let request = self.fetch.fetch(request(path, &message, deadline, token)).map_err(Status::unavailable);
        match request.await.and_then(read_head) {
            Ok((chunks, without_status)) => Ok(Messages::new(chunks, without_status, call)),
            Err(status) => {
                call.end(&status, Metadata::default());
                Err(status)
            }
        }
    }
}

/// The one message of `answers`, which are read to their end.
pub async fn only(mut answers: Answers) -> Result<Bytes, Status> {
    let mut answer = None;
    while let Some(message) = answers.next().await {
        answer = Some(message?);
    }
    answer.ok_or_else(|| Status::internal("the server answered OK and nothing else"))
}

/// An answer, or INTERNAL for what cannot be read as one.
pub fn decode<A: Message + Default>(message: Bytes) -> Result<A, Status> {
    A::decode(message).map_err(|_which_field| Status::internal("the server sent what is no answer to this"))
}

fn request(path: &str, message: &[u8], deadline: Option<Millis>, token: Option<Token>) -> Request {
    let mut headers = vec![
        ("content-type", GRPC_WEB_PROTO.to_owned()),
        ("accept", GRPC_WEB_PROTO.to_owned()),
        ("x-grpc-web", "1".to_owned()),
    ];
    if let Some(deadline) = deadline {
        headers.push(("grpc-timeout", format!("{}m", deadline as u32)));
    }
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    Request { path: path.to_owned(), headers, token, body }
}

/// Decides what a response is before any of its body is read: what there is to read, and how the call ends if
/// that does not say.
///
/// A status in the headers ("trailers-only") counts only if the body does not bring one too.
fn read_head<C: Chunks>(response: Response<C>) -> Result<(Option<C>, Status), Status> {
    let Response { status, headers, mut chunks } = response;
    let framed = headers.get("content-type").is_some_and(is_grpc_web);
    match headers.status() {
        Some(end) if framed => Ok((Some(chunks), end)),
        Some(end) => {
            chunks.complete();
            Ok((None, end))
        }
        None if status == 200 && framed => {
            let cut = Status::unavailable("the connection broke before the answer was complete");
            Ok((Some(chunks), cut))
        }
        None if framed => Ok((Some(chunks), NotGrpc(status).status())),
        None => Err(NotGrpc(status).status()),
    }
}

/// Binary framing, with or without a message format or parameters; not the base64 one.
fn is_grpc_web(content_type: &str) -> bool {
    let text = content_type.to_ascii_lowercase();
    text.strip_prefix(GRPC_WEB).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_the_deadline() {
        let deadline = |given| {
            let request = request("/a/b", b"xy", given, None);
            assert_eq!(request.body, b"\0\0\0\0\x02xy");
            request.headers.into_iter().find(|(name, _)| *name == "grpc-timeout").map(|(_, value)| value)
        };
        assert_eq!(deadline(Some(10_000.0)).as_deref(), Some("10000m"));
        assert_eq!(deadline(None), None);
    }
}
