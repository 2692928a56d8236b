//! The dispatch of calls to the gRPC services by name.

use std::convert::Infallible;

use axum::Router;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use tonic::{body::Body, server::NamedService};
use tower::{Service, ServiceExt as _};

/// The future of a service's response. The services that tonic generates return it boxed.
type BoxedResponse = BoxFuture<'static, Result<Response<Body>, Infallible>>;
type Handler = Box<dyn Fn(Request<Body>) -> BoxedResponse + Send + Sync>;

/// The gRPC services of the server. axum's router is not used for them: it would box each request, response and body
/// once more, and copy the segments of each path.
pub struct Services {
    named: Vec<(&'static str, Handler)>,
    rest: Handler,
}

/// No services yet: every call is answered with UNIMPLEMENTED.
impl Default for Services {
    fn default() -> Self {
        Self::new(tonic::service::Routes::default().into_axum_router())
    }
}

impl Services {
    /// Creates it without services. `rest` gets the calls to services that are not added.
    pub fn new(rest: Router) -> Self {
        let rest = move |request| rest.clone().oneshot(request).map(answered).boxed();
        Self { named: Vec::new(), rest: Box::new(rest) }
    }

    /// Adds a service.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = BoxedResponse>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.named.push((S::NAME, Box::new(move |request| service.clone().call(request))));
        self
    }

    /// Passes `request` to the service in its path.
    pub(super) fn call(&self, request: Request<Body>) -> BoxedResponse {
        let name = service_in(request.uri().path());
        let named = self.named.iter().find(|(own, _)| Some(*own) == name);
        named.map_or(&self.rest, |(_, handler)| handler)(request)
    }
}

fn answered(response: Result<Response<axum::body::Body>, Infallible>) -> Result<Response<Body>, Infallible> {
    response.map(|response| response.map(Body::new))
}

/// Returns the name of the service in a path, for example `board.v1.Board` in `/board.v1.Board/Book`.
fn service_in(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _method)| service)
}
