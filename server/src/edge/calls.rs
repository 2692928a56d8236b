//! Every call comes to an end: by itself, at its deadline, or when the server goes.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Contract, deadline, ending::Ending};

/// When clients of a server that went are asked to try again: another may have taken the port by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Of health calls: whoever asks while the server goes is to hear that it does not serve.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// What ends calls, besides themselves and their deadlines.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) shutdown: CancellationToken,
    pub(super) contract: Arc<Contract>,
}

/// Ends the call at the deadline the client gave, handler or stream, and its stream once `shutdown` comes; a call
/// that comes later is refused.
///
/// A handler that has not answered yet may do so after `shutdown`, and the drain timeout is its limit; but not one
/// that waits for a client's upload, which may have no end.
pub(super) async fn bound(State(bounds): State<Bounds>, mut request: Request, next: Next) -> Response {
    let Bounds { shutdown, contract } = bounds;
    let now = Instant::now();
    let deadline = match deadline::take(request.headers_mut(), now) {
        Ok(Some(at)) if at <= now => return deadline::exceeded().into_http(),
        Ok(deadline) => deadline,
        Err(malformed) => return malformed.into_http(),
    };
    let path = request.uri().path();
    if shutdown.is_cancelled() && !path.starts_with(HEALTH) {
        return going().into_http();
    }

    let is_upload = contract.is_upload(path);
    let answer = next.run(request);
    let ended = async {
        match is_upload {
            true => end(deadline, shutdown.clone()).await,
            false => past(deadline).await,
        }
    };
    let response = tokio::select! {
        biased;
        response = answer => response,
        status = ended => return status.into_http(),
    };
    response.map(|body| Body::new(Ending::new(body, end(deadline, shutdown))))
}

async fn end(deadline: Option<Instant>, shutdown: CancellationToken) -> Status {
    tokio::select! {
        status = past(deadline) => status,
        () = shutdown.cancelled() => going(),
    }
}

/// Once the deadline is over, which it may never be.
async fn past(deadline: Option<Instant>) -> Status {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
    deadline::exceeded()
}

fn going() -> Status {
    Status::with_error_details(
        Code::Unavailable,
        "the server is shutting down: call again",
        ErrorDetails::with_retry_info(Some(RETRY_AFTER)),
    )
}
