//! The gRPC services, by name.

use std::convert::Infallible;

use axum::Router;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use tonic::{body::Body, server::NamedService};
use tower::{Service, ServiceExt as _};

/// What a service's answer comes from. All services of tonic put it in a box themselves.
type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;
type Handler = Box<dyn Fn(Request<Body>) -> Answer + Send + Sync>;

/// All that can be called. A router of paths would box each request, answer and body of theirs once more, and copy the
/// parts of their paths.
pub struct Services {
    named: Vec<(&'static str, Handler)>,
    rest: Handler,
}

impl Services {
    /// None yet: calls go to `rest`, unless they are of a service that is added.
    pub fn before(rest: Router) -> Self {
        let rest = move |request| rest.clone().oneshot(request).map(answered).boxed();
        Self { named: Vec::new(), rest: Box::new(rest) }
    }

    /// And this one.
    #[must_use]
    pub fn and<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.named.push((S::NAME, Box::new(move |request| service.clone().call(request))));
        self
    }

    pub(super) fn call(&self, request: Request<Body>) -> Answer {
        let name = service_in(request.uri().path());
        let named = self.named.iter().find(|(own, _)| Some(*own) == name);
        named.map_or(&self.rest, |(_, handler)| handler)(request)
    }
}

fn answered(response: Result<Response<axum::body::Body>, Infallible>) -> Result<Response<Body>, Infallible> {
    response.map(|response| response.map(Body::new))
}

/// `rides.v1.Rides` in `/rides.v1.Rides/Book`.
fn service_in(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _method)| service)
}
