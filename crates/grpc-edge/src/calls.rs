//! The gRPC stack: every call from its headers to the last byte of its response.
//!
//! All rules of calls are applied in one function and one response body. A `tower` layer per rule would box a future
//! and two bodies each, which costs a unary call more than all the rules.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{AUTHORIZATION, CACHE_CONTROL},
};
use http_body::Frame;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::Service;

use super::{
    Limits, Names, Services,
    admission::{Admission, CallPermits},
    authenticate::AnyAuthenticator,
    call_lifetime::{CallLifetime, CancelSources, Draining},
    contract::{Contract, Method, MethodKind},
    deadline, metadata, metrics,
    request_messages::{self, MessageLimits},
    stalled_responses::{ResponseState, StallSweeper, SweptResponse},
    status,
    terminable_body::TerminableBody,
    trace_id::TraceId,
};

/// The path of health calls. They are served during shutdown too, and report that the server does not serve.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Headers that keep proxies from buffering or changing a stream. Without the first, nginx buffers a response. Without
/// the second, other proxies compress or store it. Unary responses have them too: that costs less than telling them
/// apart.
const NO_BUFFERING_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
];

/// The rules for calls, in the modules that implement them.
pub(super) struct CallRules {
    /// Quotas per caller and limits in all.
    admission: Admission,
    authenticator: Arc<dyn AnyAuthenticator>,
    error_domain: &'static str,
    /// Timeouts and rates of request messages.
    terms: MessageLimits,
    metrics: metrics::CallMetrics,
    /// The sweeper that ends responses which no client reads.
    stall_sweeper: StallSweeper,
}

/// The gRPC services, behind the rules. Cheap to clone.
#[derive(Clone)]
pub(super) struct CallService {
    rules: Arc<CallRules>,
    services: Arc<Services>,
}

impl CallService {
    /// Starts the sweeper of stalled responses, so a tokio runtime must be running.
    pub(super) fn new(rules: CallRules, services: Services) -> Self {
        rules.stall_sweeper.start();
        Self { rules: Arc::new(rules), services: Arc::new(services) }
    }
}

impl Service<Request<tonic::body::Body>> for CallService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let Self { rules, services } = self.clone();
        Box::pin(async move {
            let begun = Instant::now();
            let mut outcome = CallObserver {
                call: rules.metrics.open(request.uri().path(), begun),
                trace: TraceId::of(request.headers(), rules.error_domain),
            };
            let is_late = is_refused_while_draining(&request, outcome.call.method());
            let answer = async {
                if is_late {
                    return Err(status::shutting_down());
                }
                rules.serve(request, begun, &services, &outcome.call).await
            };
            // The panic hook has logged the panic.
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let mut response = match answer.unwrap_or_else(|_panic| Err(status::failed())) {
                Ok(response) => response.map(Some),
                Err(status) => status.into_http::<()>().map(|()| None),
            };
            if is_late {
                response.extensions_mut().insert(NotBegun);
            }
            outcome.record_status(response.headers_mut());
            for (name, value) in NO_BUFFERING_HEADERS {
                response.headers_mut().insert(name, value);
            }
            Ok(response
                .map(|answered| ResponseBody(answered.map(|answered| rules.register(answered, outcome)))))
        })
    }
}

/// Returns `true` if a call is refused because its connection drains. Its client was told to open no more calls there,
/// and its stream would end at once. Unary calls are served: they were sent before the client knew.
fn is_refused_while_draining<B>(request: &Request<B>, method: Option<Method>) -> bool {
    request.extensions().get::<Draining>().is_some_and(Draining::has_begun)
        && method.is_some_and(|method| method.kind != MethodKind::Unary)
        && !request.uri().path().starts_with(HEALTH)
}

impl CallRules {
    pub(super) fn new(
        authenticator: Arc<dyn AnyAuthenticator>,
        contract: &Contract,
        limits: &Limits,
        names: Names,
    ) -> Self {
        Self {
            admission: Admission::new(limits, contract),
            authenticator,
            error_domain: names.error_domain,
            terms: MessageLimits {
                body_timeout: limits.body_timeout,
                upload_timeout: limits.upload_timeout,
                max_messages_per_second: limits.max_messages_per_second,
            },
            metrics: metrics::CallMetrics::of(contract, names.metrics_prefix),
            stall_sweeper: StallSweeper::default(),
        }
    }

    /// Applies the rules, the cheapest first, and calls the service.
    ///
    /// A call ends at the deadline of its client or at the ceiling of its kind, as [`CallLifetime`] describes. A stream
    /// also ends when the connection drains, and when the caller's session or certificate expires or is revoked.
    ///
    /// # Errors
    /// The status of the rule that refused the call, of the service, or of the event that ended the handler.
    async fn serve(
        &self,
        request: Request<tonic::body::Body>,
        begun: Instant,
        services: &Services,
        call: &metrics::CallRecorder,
    ) -> Result<Response<(TerminableBody, CallPermits)>, Status> {
        let method = call.method();
        let (mut parts, body) = request.into_parts();
        let quota_key = self
            .authenticator
            .authenticate(method, &mut parts)
            .map_err(|refused| self.admission.refuse_unauthenticated(parts.extensions.get(), refused))?;
        let admitted = self.admission.admit(parts.extensions.get(), quota_key, method)?;
        let asked = deadline::client_deadline(&parts.headers, begun)?;
        metadata::check(&parts.headers)?;

        let mut end = CallLifetime::of(method.map(|method| method.kind), begun, asked, || CancelSources {
            credentials_end: self.authenticator.credentials_end(&parts.extensions),
            draining: parts.extensions.get().cloned().unwrap_or_default(),
        });
        parts.headers.remove(AUTHORIZATION);
        let answer = async {
            let body = request_messages::check(body, method, begun, &self.terms, call.received()).await?;
            let Ok(response) = services.call(Request::from_parts(parts, body)).await;
            Ok::<_, Status>(response)
        };
        let mut response = tokio::select! {
            // A response that is ready counts, even if the call ends at the same moment.
            biased;
            response = answer => response?,
            status = end.handler_end() => return Err(status),
        };
        let let_go = response.extensions_mut().remove();
        Ok(response.map(|body| (TerminableBody::new(body, let_go, end.response_end()), admitted)))
    }

    /// Registers a response with the sweeper, together with the permits and the record of its call.
    fn register(
        &self,
        (body, admitted): (TerminableBody, CallPermits),
        outcome: CallObserver,
    ) -> SweptResponse {
        self.stall_sweeper.watch(ResponseState { body, outcome, admitted: Some(admitted) })
    }
}

/// An extension of the response to a call that was refused because the server shuts down. No part of the call was
/// executed, so its client may retry it.
#[derive(Clone, Copy)]
pub(super) struct NotBegun;

/// The body of a response. It holds the permits and the record of its call until it is dropped. `None`: the response is
/// trailers-only, so its status is in the headers.
pub(super) struct ResponseBody(Option<SweptResponse>);

/// The record of a call: its metrics and its trace id.
pub(super) struct CallObserver {
    call: metrics::CallRecorder,
    trace: TraceId,
}

impl CallObserver {
    /// Records the status in `headers`, if they have one. Logs an error and adds the id of the call to it.
    fn record_status(&mut self, headers: &mut HeaderMap) {
        let Some(code) = status::code_in(headers) else { return };
        self.call.set_status(code);
        // Parsing the whole status copies the headers, so a call that succeeded skips it.
        if code != Code::Ok
            && let Some(status) = Status::from_header_map(headers)
        {
            self.trace.attach_to(self.call.name(), &status::with_missing_details(status), headers);
        }
    }

    /// Counts the call as ended while its response still exists. `code` replaces the status, if there is one.
    pub(super) fn close(&mut self, code: Option<Code>) {
        if let Some(code) = code {
            self.call.set_status(code);
        }
        self.call.close();
    }

    /// Records a frame of the response before it is sent.
    fn record_frame(&mut self, frame: &mut Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.call.record_sent(data);
        } else if let Some(trailers) = frame.trailers_mut() {
            self.record_status(trailers);
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(watched) = &self.0 else { return Poll::Ready(None) };
        let mut held = watched.lock();
        let mut frame = ready!(Pin::new(&mut held.body).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame {
            held.outcome.record_frame(frame);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|watched| watched.lock().body.is_end_stream())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        time::Duration,
    };

    use axum::{Router, body::Body, response::IntoResponse as _, routing::post};
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tokio::{task::yield_now, time::advance};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        Everyone, StallPolicy,
        testing::{BIDIRECTIONAL, CLIENT_STREAM, SERVER_STREAM, UNARY, contract},
    };

    /// An empty message.
    const MESSAGE: &[u8] = &[0; 5];

    /// Calls to handlers that never end, neither before their headers nor after.
    fn endless() -> CallService {
        let quiet =
            || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response() };
        let never = || post(std::future::pending::<Response<Body>>);
        let services = Router::new()
            .route(UNARY, never())
            .route(CLIENT_STREAM, never())
            .route(SERVER_STREAM, post(quiet))
            .route(BIDIRECTIONAL, post(quiet));
        let rules = CallRules::new(
            Arc::new(Everyone),
            &contract(1),
            &Limits::default(),
            Names { error_domain: "test.v1", metrics_prefix: "test" },
        );
        CallService::new(rules, Services::new(services))
    }

    /// W28
    #[tokio::test(start_paused = true)]
    async fn no_call_outlives_the_ceiling_of_its_kind() {
        for (path, kind) in [
            (UNARY, MethodKind::Unary),
            (SERVER_STREAM, MethodKind::ServerStreaming),
            (CLIENT_STREAM, MethodKind::ClientStreaming),
            (BIDIRECTIONAL, MethodKind::Bidirectional),
        ] {
            for asked in [None, Some("99999999H")] {
                let mut request = Request::post(path);
                if let Some(asked) = asked {
                    request = request.header("grpc-timeout", asked);
                }
                let begun = Instant::now();
                let message = http_body_util::Full::from(MESSAGE);
                let request = request.body(tonic::body::Body::new(message)).unwrap();
                let response = endless().oneshot(request).await.unwrap();
                let (parts, body) = response.into_parts();
                let trailers = body.collect().await.unwrap().trailers().cloned();
                assert_eq!(trailers.unwrap_or(parts.headers)["grpc-status"], "4", "{path} {asked:?}");
                let lasted = begun.elapsed();
                assert!(
                    lasted >= kind.max_duration() && lasted < kind.max_duration() + Duration::from_secs(1),
                    "{lasted:?}"
                );
            }
        }
    }

    /// L17, L18: other calls do not wait until the sweeper has visited thousands of stalled responses.
    #[tokio::test(start_paused = true)]
    async fn others_have_their_turn_in_a_round() {
        const STUCK: usize = 4_000;
        let CallService { rules, .. } = endless();
        let passed = Arc::new(AtomicUsize::new(0));
        let stuck = || {
            let passed = passed.clone();
            let let_go = StallPolicy::new(move || {
                passed.fetch_add(1, Relaxed);
                None
            });
            let body = TerminableBody::new(tonic::body::Body::empty(), Some(let_go), pending());
            let admitted = rules.admission.admit(None, None, None).unwrap();
            let call = rules.metrics.open(SERVER_STREAM, Instant::now());
            rules.register((body, admitted), CallObserver { call, trace: TraceId::of(&HeaderMap::new(), "") })
        };
        let answers: Vec<_> = (0..STUCK).map(|_| stuck()).collect();
        advance(Duration::from_secs(1)).await;
        let mut at_once = Vec::new();
        for _ in 0..200 {
            at_once.push(passed.swap(0, Relaxed));
            yield_now().await;
        }
        let all: usize = at_once.iter().sum();
        assert_eq!(all, STUCK, "responses visited in one sweep");
        assert!(at_once.iter().all(|passed| *passed < STUCK / 2), "{at_once:?}");
        drop(answers);
    }
}
