//! Every call comes to an end: by itself, at its deadline, or when the server goes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Contract, contract::Kind, deadline, ending::Ending, status};
use crate::sessions::Lease;

/// Of health calls: whoever asks while the server goes is to hear that it does not serve.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// What ends calls, besides themselves and their deadlines.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) shutdown: CancellationToken,
    pub(super) contract: Arc<Contract>,
}

/// Ends the call at the deadline the client gave or at the ceiling of its kind, handler or stream; and its stream once
/// `shutdown` comes, after which a call is refused, or when the caller's session is over.
///
/// A handler that has not answered by then may still do so; but not one that waits for a client's upload, which may
/// have no end.
pub(super) async fn bound(State(bounds): State<Bounds>, mut request: Request, next: Next) -> Response {
    let Bounds { shutdown, contract } = bounds;
    let now = Instant::now();
    let asked = match deadline::take(request.headers_mut(), now) {
        Ok(Some(at)) if at <= now => return deadline::exceeded().into_http(),
        Ok(deadline) => deadline,
        Err(malformed) => return malformed.into_http(),
    };
    let path = request.uri().path();
    let kind = contract.method(path).map(|method| method.kind);
    let ceiling = kind.map(|kind| now + kind.ceiling());
    let deadline = asked.into_iter().chain(ceiling).min();
    let lease = request.extensions().get::<Lease>().cloned();
    if shutdown.is_cancelled() && !path.starts_with(HEALTH) {
        return status::going().into_http();
    }

    let answer = next.run(request);
    let ended = async {
        match kind {
            Some(Kind::Upload) => end(deadline, lease.clone(), shutdown.clone()).await,
            _ => past(deadline).await,
        }
    };
    let response = tokio::select! {
        biased;
        response = answer => response,
        status = ended => return status.into_http(),
    };
    response.map(|body| Body::new(Ending::new(body, end(deadline, lease, shutdown))))
}

async fn end(deadline: Option<Instant>, lease: Option<Lease>, shutdown: CancellationToken) -> Status {
    tokio::select! {
        status = past(deadline) => status,
        status = over(lease) => status,
        () = shutdown.cancelled() => status::going(),
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

/// Once the session is over, if there is one.
async fn over(lease: Option<Lease>) -> Status {
    match lease {
        Some(lease) => lease.over().await.into(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use axum::{Router, middleware, response::IntoResponse as _, routing::post};
    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const GET: &str = "/rides.v1.Rides/Get";
    const WATCH: &str = "/rides.v1.Rides/Watch";

    /// Handlers that never come to an end, before their headers or after.
    fn endless() -> Router {
        let contract = Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], 1).unwrap();
        let bounds = Bounds { shutdown: CancellationToken::new(), contract: Arc::new(contract) };
        let quiet =
            || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response() };
        Router::new()
            .route(GET, post(std::future::pending::<Response>))
            .route(WATCH, post(quiet))
            .layer(middleware::from_fn_with_state(bounds, bound))
    }

    /// W28
    #[tokio::test(start_paused = true)]
    async fn no_call_outlives_the_ceiling_of_its_kind() {
        for (path, kind) in [(GET, Kind::Unary), (WATCH, Kind::Watch)] {
            for asked in [None, Some("99999999H")] {
                let mut request = Request::post(path);
                if let Some(asked) = asked {
                    request = request.header("grpc-timeout", asked);
                }
                let begun = Instant::now();
                let response = endless().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
                let (parts, body) = response.into_parts();
                let trailers = body.collect().await.unwrap().trailers().cloned();
                assert_eq!(trailers.unwrap_or(parts.headers)["grpc-status"], "4", "{path} {asked:?}");
                let lasted = begun.elapsed();
                assert!(
                    lasted >= kind.ceiling() && lasted < kind.ceiling() + Duration::from_secs(1),
                    "{lasted:?}"
                );
            }
        }
    }
}
