//! Every call comes to an end: by itself, at its deadline, or when the server goes.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{deadline, ending::Ending};

/// When clients of a server that went are asked to try again: another may have taken the port by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Ends the call at the deadline the client gave, handler or stream, and its stream once `shutdown` comes.
///
/// A handler that has not answered yet may do so after `shutdown`; the drain timeout is its limit.
pub(super) async fn bound(
    State(shutdown): State<CancellationToken>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = Instant::now();
    let deadline = match deadline::take(request.headers_mut(), now) {
        Ok(Some(at)) if at <= now => return deadline::exceeded().into_http(),
        Ok(deadline) => deadline,
        Err(malformed) => return malformed.into_http(),
    };

    let answer = next.run(request);
    let response = match deadline {
        None => answer.await,
        Some(at) => match timeout_at(at, answer).await {
            Ok(response) => response,
            Err(_elapsed) => return deadline::exceeded().into_http(),
        },
    };
    response.map(|body| Body::new(Ending::new(body, end(deadline, shutdown))))
}

async fn end(deadline: Option<Instant>, shutdown: CancellationToken) -> Status {
    let deadline = async {
        match deadline {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = deadline => deadline::exceeded(),
        () = shutdown.cancelled() => going(),
    }
}

fn going() -> Status {
    Status::with_error_details(
        Code::Unavailable,
        "the server is shutting down: call again",
        ErrorDetails::with_retry_info(Some(RETRY_AFTER)),
    )
}
