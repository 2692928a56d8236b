//! The `rides.v1.FleetView` service.
//!
//! It is written by hand, not generated, because the messages of `Watch` are not encoded here: the fan-out makes their
//! bytes once for all viewers.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use rides_proto::v1::fleet_server::SERVICE_NAME;
use tonic::{
    body::Body,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tower::{BoxError, Service};

use super::{drive::DriveHandler, status::no_such_method, watch_fleet::watch_fleet};
use crate::{fanout::Fanout, fleet::Fleet, rides::Rides};

const WATCH: &str = "/rides.v1.Fleet/Watch";
const DRIVE: &str = "/rides.v1.Fleet/Drive";

/// The maximum length of a request of `Watch`, in bytes. It has room for 4,096 cursors of at most 18 bytes.
pub(super) const MAX_WATCH_REQUEST: usize = 96 * 1024;
/// The maximum length of a message of `Drive`, in bytes. Valid messages are much shorter.
const MAX_DRIVE_REQUEST: usize = 8 * 1024;

/// The maximum length of a request message of each method, in bytes.
pub const LARGEST_REQUESTS: [(&str, usize); 2] = [(WATCH, MAX_WATCH_REQUEST), (DRIVE, MAX_DRIVE_REQUEST)];

/// The implementation of `rides.v1.FleetView`, for tonic's router.
#[derive(Clone)]
pub struct FleetService {
    fanout: Fanout,
    drive: DriveHandler,
}

impl FleetService {
    /// Makes the service.
    pub fn new(fleet: Fleet, fanout: Fanout, rides: Rides) -> Self {
        Self { fanout, drive: DriveHandler::new(fleet, rides) }
    }
}

impl NamedService for FleetService {
    const NAME: &'static str = SERVICE_NAME;
}

impl<B> Service<http::Request<B>> for FleetService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Self { fanout, drive } = self.clone();
        async move {
            Ok(match request.uri().path() {
                WATCH => watch_fleet(&fanout, request).await,
                DRIVE => {
                    let codec = ProstCodec::default();
                    let mut grpc = Grpc::new(codec).max_decoding_message_size(MAX_DRIVE_REQUEST);
                    grpc.streaming(drive, request).await
                }
                _ => no_such_method().into_http(),
            })
        }
        .boxed()
    }
}

#[cfg(test)]
pub(super) mod tests;
