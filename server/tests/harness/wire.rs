//! The same call over gRPC and over gRPC-Web.

use std::{error::Error as _, fmt, marker::PhantomData, net::SocketAddr, time::Duration};

use http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use super::{http::Http, soon, web};

/// A transport for calls to the server.
#[derive(Clone)]
pub(crate) enum Wire {
    /// gRPC over HTTP/2.
    Native(Channel),
    /// gRPC-Web over HTTP/1.1, with one connection for each call.
    Web(SocketAddr),
    /// Either of them, with a token.
    WithToken(Box<Wire>, String),
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(_) => f.write_str("gRPC"),
            Self::Web(_) => f.write_str("gRPC-Web"),
            Self::WithToken(wire, _) => write!(f, "{wire:?} with a token"),
        }
    }
}

impl Wire {
    /// Returns the same transport with `token`.
    pub(crate) fn with(&self, token: String) -> Self {
        let (wire, _) = self.parts();
        Self::WithToken(Box::new(wire.clone()), token)
    }

    fn parts(&self) -> (&Self, Option<MetadataValue<Ascii>>) {
        match self {
            Self::WithToken(wire, token) => (wire, Some(format!("Bearer {token}").parse().unwrap())),
            wire => (wire, None),
        }
    }

    /// Makes a unary call.
    pub(crate) async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut answers = self.open(path, question).await?;
        let answer = answers.next().await.expect("the call ended with neither a message nor a status")?;
        // A unary call succeeds only with the status after its message.
        let more = answers.next().await.transpose()?;
        assert!(more.is_none(), "{path} has two responses");
        Ok(answer)
    }

    /// Opens a server-streaming call. Over gRPC-Web an early refusal is the first item of the stream.
    pub(crate) async fn open<Q, A>(&self, path: &'static str, question: Q) -> Result<Messages<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (wire, token) = self.parts();
        match wire {
            Self::Native(channel) => {
                let mut grpc = Grpc::new(channel.clone());
                soon(path, grpc.ready()).await.map_err(web::broken)?;
                let codec = ProstCodec::<Q, A>::default();
                let path = PathAndQuery::from_static(path);
                let mut request = Request::new(question);
                token.map(|token| request.metadata_mut().insert("authorization", token));
                let call = grpc.server_streaming(request, path, codec);
                Ok(Messages::Native(soon("headers", call).await?.into_inner()))
            }
            Self::Web(addr) => {
                let mut http = soon(path, Http::try_h1(*addr)).await.map_err(web::broken)?;
                let mut call = web::call(path, &question);
                let bearer = token.map(|token| token.to_str().unwrap().parse().unwrap());
                bearer.map(|bearer| call.headers_mut().insert("authorization", bearer));
                let stream = soon(path, web::try_open(&mut http, call)).await.map_err(web::broken)?;
                Ok(Messages::Web { stream, _http: http, answer: PhantomData })
            }
            Self::WithToken(..) => unreachable!("one token is enough"),
        }
    }
}

/// The responses of a call.
pub(crate) enum Messages<A> {
    Native(Streaming<A>),
    Web { stream: web::Stream, _http: Http, answer: PhantomData<A> },
}

impl<A: Message + Default + 'static> Messages<A> {
    /// Returns the next response, or `None` if the call has ended with OK.
    pub(crate) async fn next(&mut self) -> Option<Result<A, Status>> {
        match self {
            Self::Native(stream) => soon("the next message", stream.message()).await.transpose(),
            Self::Web { stream, .. } => match soon("the next message", stream.next()).await {
                Some(message) => Some(Ok(A::decode(message).unwrap())),
                None => Some(stream.status()).filter(|status| status.code() != Code::Ok).map(Err),
            },
        }
    }

    /// Reads the call to its end and returns its error.
    pub(crate) async fn expect_error(mut self) -> Status {
        loop {
            if let Err(status) = self.next().await.expect("the call ended with OK") {
                return status;
            }
        }
    }

    /// Returns the next response of a call that has not ended.
    pub(crate) async fn expect(&mut self) -> A {
        self.next().await.expect("the call has ended").unwrap()
    }
}

/// Returns `true` if the connection broke or the server is shutting down, so that the outcome of the call is
/// unknown.
pub(crate) fn is_broken(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unavailable
}

/// The machine-readable parts of an error: the code, the reason in `ErrorInfo`, and the first field in
/// `BadRequest`.
pub(crate) fn details(status: &Status) -> (Code, String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let field = details.bad_request().map(|bad| bad.field_violations[0].field.clone()).unwrap_or_default();
    (status.code(), reason, field)
}

/// Every field in `BadRequest`, with its reason.
pub(crate) fn bad_fields(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
}

/// The delay in `RetryInfo`.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The delay in the trailer `grpc-retry-pushback-ms`, which gRPC clients read, in milliseconds.
pub(crate) fn pushback(status: &Status) -> Option<i64> {
    Some(status.metadata().get("grpc-retry-pushback-ms")?.to_str().unwrap().parse().unwrap())
}

/// Asserts that a call was refused with this code, reason and field, and that the reason has the domain of the
/// contract.
#[track_caller]
pub(crate) fn assert_refused<A: fmt::Debug>(
    outcome: Result<A, Status>,
    code: Code,
    reason: &str,
    field: &str,
) {
    let status = outcome.expect_err("the call succeeded");
    assert_eq!(details(&status), (code, reason.to_owned(), field.to_owned()), "{}", status.message());
    let domain = status.get_error_details().error_info().map(|info| info.domain.clone());
    assert_eq!(domain.as_deref(), Some("rides.v1"), "the domain of {reason}");
    assert!(!status.message().is_empty());
}
