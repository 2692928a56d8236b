//! Services for tests.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, response::Response, routing::post};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::sync::Notify;

/// A handler that never responds. It notifies when it begins and when it is dropped.
#[derive(Clone, Default)]
pub(super) struct NeverResponds {
    pub(super) begun: Arc<Notify>,
    pub(super) dropped: Arc<Notify>,
}

impl NeverResponds {
    pub(super) fn router(&self) -> Router {
        let never = self.clone();
        Router::new().route("/test.Never/Answer", post(move || never.clone().answer()))
    }

    async fn answer(self) -> Response {
        let _guard = NotifyOnDrop(self.dropped);
        self.begun.notify_one();
        pending().await
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A handler that responds when it is notified.
#[derive(Clone, Default)]
pub(super) struct GatedHandler {
    pub(super) begun: Arc<Notify>,
    pub(super) open: Arc<Notify>,
}

impl GatedHandler {
    pub(super) fn router(&self) -> Router {
        let gate = self.clone();
        Router::new().route("/test.Gate/Pass", post(move || gate.clone().pass()))
    }

    async fn pass(self) -> Response {
        self.begun.notify_one();
        self.open.notified().await;
        tonic::Status::ok("passed").into_http::<Body>()
    }
}

/// An endless stream of messages of 1 kB.
pub(super) fn flood() -> Router {
    let flood = || async {
        let frame = Bytes::from_static(b"\0\0\0\x04\0").iter().copied().chain([7; 1024]).collect::<Bytes>();
        let messages = stream::repeat_with(move || Ok::<_, Infallible>(frame.clone()));
        Response::builder()
            .header(CONTENT_TYPE, "application/grpc")
            .body(Body::from_stream(messages))
            .unwrap()
    };
    Router::new().route("/test.Flood/Watch", post(flood))
}

/// A handler that panics.
pub(super) fn panicking() -> Router {
    let panic = || async {
        if true {
            panic!("on purpose");
        }
        Response::new(Body::empty())
    };
    Router::new().route("/test.Panic/Now", post(panic))
}

/// A handler that fails with INTERNAL and this message.
pub(super) fn failing(why: &'static str) -> Router {
    let fail = move || async move { tonic::Status::internal(why).into_http::<Body>() };
    Router::new().route("/test.Failing/Now", post(fail))
}

/// A handler for every path. It counts its calls.
pub(super) fn counting(executed: Arc<AtomicUsize>) -> Router {
    Router::new().fallback(move || {
        executed.fetch_add(1, Ordering::Relaxed);
        async { tonic::Status::ok("").into_http::<Body>() }
    })
}
