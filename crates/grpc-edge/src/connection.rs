//! One connection: its socket options, its HTTP version, and its end.
//!
//! A connection ends when its client closes it, when it is idle for too long, or when the server shuts down.

use std::{
    convert::Infallible,
    error::Error,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::Either, stream::FuturesUnordered};
use h2::Reason;
use http::{
    HeaderValue, Request, Response, Version,
    header::{CONNECTION, CONTENT_TYPE},
};
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use super::{
    Limits, Port,
    backlog::{Backlog, BacklogGuard},
    call_lifetime::Draining,
    calls::NotBegun,
    content_type::{CallType, Framing},
    drain_on_drop::{DrainingBodies, drain_on_drop},
    half_close::HalfClose,
    header_size::{EXTRA_HEADER_BYTES, HeaderSize},
    hyper_errors::{ErrorBodies, ErrorMessages},
    lingering_close::LingeringClose,
    metrics::ConnectionMetrics,
    peer::Peer,
    protocol_detect::{HttpVersion, detect},
    throttle::{Throttled, charge_refusal},
    tls::{Accepted, Tls},
    token_bucket::TokenBucket,
    transport::Transport,
    wrong_protocol::{warn_of_plain_http, warn_of_tls},
};

/// The time after which the kernel closes a connection whose peer acknowledges or reads no data. Streams send something
/// every 4 s, so a peer that vanished holds a stream for less than 30 s.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(25);
/// The interval between the keepalive probes that the kernel sends on an idle connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The bytes that the kernel buffers for a peer that does not read. Linux doubles this value.
const SEND_BUFFER: usize = 64 * 1024;
/// The bytes that h2 buffers for each stream of a peer that does not read.
const STREAM_SEND_BUFFER: usize = 64 * 1024;
/// The unsent bytes in the kernel below which a socket is writable (`TCP_NOTSENT_LOWAT`). The rest stays in the server,
/// where a newer message replaces an older one.
#[cfg(target_os = "linux")]
const NOT_SENT_LOW_WATER: u32 = 32 * 1024;

/// The HTTP/2 flow control window of a stream, in bytes.
const STREAM_WINDOW: u32 = 32 * 1024;
/// The HTTP/2 flow control window of a connection, in bytes. It covers 256 streams, the default limit, also where fewer
/// are allowed. h2 closes a connection with too many small unread DATA frames: it charges each for the bytes that it is
/// short of 256, against half of this window. With this size, a dozen streams that are read too slowly may be full of
/// positions.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// The time after shutdown in which a client may still send a request over HTTP/1.1, or its first request over any
/// version.
const LATE_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// The parts that all connections share.
pub(super) struct ConnectionContext {
    pub(super) port: Port,
    pub(super) limits: Limits,
    pub(super) metrics: ConnectionMetrics,
    pub(super) tls: Option<Tls>,
    pub(super) shutdown: CancellationToken,
}

/// An accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The address of the peer, as in [`Peer::address`].
    pub(super) address: IpAddr,
    pub(super) service: Arc<ConnectionContext>,
}

impl Connection {
    /// Serves the connection until it ends.
    pub(super) async fn run(self) -> ConnectionEnd {
        let Self { stream, address, service } = self;
        let _counted = service.metrics.open();
        if let Err(error) = set_socket_options(&stream) {
            tracing::debug!(%error, "a connection closed before it was served");
            return ConnectionEnd::Normal;
        }
        match &service.tls {
            None => service.speak_http(stream, Peer::new(address, None, &service.limits), false).await,
            // Boxed, so that the task of a connection without TLS does not reserve space for TLS.
            Some(tls) => Box::pin(service.speak_https(tls, stream, address)).await,
        }
    }
}

impl ConnectionContext {
    async fn speak_https(&self, tls: &Tls, stream: TcpStream, address: IpAddr) -> ConnectionEnd {
        let accepted = tokio::select! {
            // A client that has completed its handshake is served, also during shutdown.
            biased;
            accepted = tls.accept(stream, self.limits.header_timeout) => accepted,
            () = self.late_request_grace() => None,
        };
        let (stream, certificate) = match accepted {
            Some(Accepted::Tls(stream, certificate)) => (stream, certificate.map(Arc::new)),
            Some(Accepted::PlainHttp(stream)) => {
                warn_of_plain_http(address);
                return self.speak_http(stream, Peer::new(address, None, &self.limits), true).await;
            }
            None => return ConnectionEnd::Normal,
        };
        let speaking = self.speak_http(*stream, Peer::new(address, certificate.clone(), &self.limits), false);
        match certificate {
            None => speaking.await,
            Some(certificate) => tokio::select! {
                end = speaking => end,
                never = tls.watch(certificate) => match never {},
            },
        }
    }

    /// Returns [`LATE_REQUEST_GRACE`] after shutdown, when a client that has sent nothing is no longer waited for.
    async fn late_request_grace(&self) {
        self.shutdown.cancelled().await;
        sleep(LATE_REQUEST_GRACE).await;
    }

    /// Serves HTTP/1.1 or HTTP/2, whichever the client begins with. `is_misplaced` is passed to [`Port::answer`].
    async fn speak_http(
        &self,
        stream: impl Transport + Send + 'static,
        peer: Peer,
        is_misplaced: bool,
    ) -> ConnectionEnd {
        let address = peer.address;
        let is_exempt = self.limits.is_exempt(address);
        let account = (!is_exempt).then(|| TokenBucket::new(self.limits.max_frames_per_second));
        let (backlog, unanswered) = (Backlog::default(), Backlog::default());
        let calls = ActiveRequests::none(account.clone(), backlog.clone(), unanswered.clone());
        let leftovers = Arc::new(DrainingBodies::new(self.limits.max_streams, self.shutdown.clone()));
        let draining = Draining::default();
        let (port, held, told) = (self.port.clone(), calls.clone(), draining.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(told.clone());
            let version = request.version();
            held.track(version, &told, port.handle(drain_on_drop(request, &leftovers), is_misplaced))
        });

        let over = async {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = calls.idle(self.limits.idle_timeout) => {}
            }
        };
        // Boxed, since the set below reserves space for one more future of the same type.
        let over = Box::pin(over);
        let opened = tokio::select! {
            // A client that has sent its first bytes is served, also during shutdown.
            biased;
            opened = detect(stream, self.limits.header_timeout) => opened,
            () = self.late_request_grace() => return ConnectionEnd::Normal,
        };
        let (http, io, is_tls) = match opened {
            Ok((http, stream)) => {
                let is_tls = stream.is_tls();
                let words = ErrorMessages {
                    domain: self.port.names.error_domain,
                    header_size: HeaderSize(self.limits.max_header_size),
                    is_tls,
                };
                let words = (http == HttpVersion::One).then_some(words);
                let stream = Throttled::new(stream, http, account, backlog);
                let stream = LingeringClose::new(HalfClose::new(
                    stream,
                    (http == HttpVersion::One).then_some(unanswered),
                ));
                (http, TokioIo::new(ErrorBodies::new(stream, words)), is_tls)
            }
            Err(error) => {
                tracing::debug!(%error, "a client did not begin a request");
                return ConnectionEnd::Normal;
            }
        };
        if is_tls {
            warn_of_tls(address);
        }
        let mut connection = pin!(match http {
            HttpVersion::One => Either::Left(
                http1(&self.limits).keep_alive(!self.shutdown.is_cancelled()).serve_connection(io, answer)
            ),
            HttpVersion::Two => Either::Right(http2(&self.limits, is_exempt).serve_connection(io, answer)),
        });
        // The set gives `over` its own waker, so that it is not polled each time the connection is.
        let mut over = FuturesUnordered::from_iter([over]);
        let ended = 'ended: {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break 'ended ended,
                Some(()) = over.next() => {}
            }
            if http == HttpVersion::One && self.shutdown.is_cancelled() {
                // HTTP/1.1 has no GOAWAY: the response to a request that is on its way tells the client about the
                // close.
                draining.begin();
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => break 'ended ended,
                    () = sleep(LATE_REQUEST_GRACE) => {}
                }
            }
            match connection.as_mut().as_pin_mut() {
                Either::Left(connection) => connection.graceful_shutdown(),
                Either::Right(connection) => connection.graceful_shutdown(),
            }
            tokio::select! {
                // The connection is polled first, so GOAWAY is sent before streams end. A client that then reopens its
                // stream uses another connection.
                biased;
                ended = connection.as_mut() => break 'ended ended,
                () = self.shutdown.cancelled() => draining.begin(),
            }
            connection.await
        };
        match ended {
            Ok(()) => ConnectionEnd::Normal,
            // Browsers try TLS on the plain port by themselves, so this is not misuse.
            Err(_no_http) if is_tls => ConnectionEnd::Normal,
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "a connection ended with an error");
                ConnectionEnd::from_error(&error)
            }
        }
    }
}

/// The end of a connection, as far as it matters for the limits of its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionEnd {
    /// The client closed the connection or vanished, or the server shut it down.
    Normal,
    /// The client did not speak HTTP, or broke the rules of HTTP/2.
    Misuse,
}

impl ConnectionEnd {
    fn from_error(error: &hyper::Error) -> Self {
        let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        // h2 itself ended the connection, and not the client or the network.
        let is_ours = h2.is_some_and(|error| error.is_go_away() && error.is_library());
        if error.is_parse() || is_ours { Self::Misuse } else { Self::Normal }
    }
}

/// The requests of a connection that are in progress. Each counts until the last byte of its response.
#[derive(Clone)]
struct ActiveRequests(Arc<ActiveRequestsInner>);

struct ActiveRequestsInner {
    count: AtomicUsize,
    /// The bucket that throttles the connection. `None`: its address is exempt.
    account: Option<TokenBucket>,
    /// The requests over HTTP/2 that wait for their first poll.
    backlog: Backlog,
    /// The requests over HTTP/1.1 that have no response, or a response of known length that is not written yet.
    unanswered: Backlog,
    began: Instant,
    /// The time at which the last request ended, in milliseconds since `began`.
    idle_since: AtomicU64,
}

impl ActiveRequests {
    fn none(account: Option<TokenBucket>, backlog: Backlog, unanswered: Backlog) -> Self {
        let (count, idle_since) = Default::default();
        Self(Arc::new(ActiveRequestsInner {
            count,
            account,
            backlog,
            unanswered,
            began: Instant::now(),
            idle_since,
        }))
    }

    /// Returns the response to a request of this version. The request counts as in progress until the body is dropped.
    ///
    /// # Errors
    /// REFUSED_STREAM (RFC 9113, section 8.7), with which the stream is reset, for native gRPC calls that were not
    /// begun. Their clients retry them by themselves, on another server. Calls of browsers get a status instead, since
    /// a browser would show a failed fetch.
    fn track<A>(
        &self,
        version: Version,
        draining: &Draining,
        answer: A,
    ) -> impl Future<Output = Result<Response<TrackedBody>, h2::Error>> + use<A>
    where
        A: Future<Output = Result<Response<Body>, Infallible>>,
    {
        self.0.count.fetch_add(1, Relaxed);
        let call = ActiveRequest(self.clone());
        let draining = draining.clone();
        // Over HTTP/1.1 the connection polls its calls itself, so none of them can wait for a first poll.
        let is_http2 = version == Version::HTTP_2;
        let unpolled = is_http2.then(|| self.0.backlog.begin());
        let unanswered = (!is_http2).then(|| self.0.unanswered.begin());
        async move {
            drop(unpolled);
            let Ok(mut answer) = answer.await;
            if version == Version::HTTP_2 && is_native_and_not_begun(&answer) {
                return Err(Reason::REFUSED_STREAM.into());
            }
            if version < Version::HTTP_2 && draining.has_begun() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if version == Version::HTTP_10 {
                // hyper then closes the connection after the response. Otherwise it keeps a connection that the client
                // asked to keep, although the response does not say so, and a client may wait for the close.
                *answer.version_mut() = version;
            }
            if let Some(account) = &call.0.0.account {
                charge_refusal(account, answer.headers()).await;
            }
            Ok(answer.map(|body| {
                let unanswered = unanswered.filter(|_| http_body::Body::size_hint(&body).exact().is_some());
                TrackedBody { body, _call: call, _unanswered: unanswered }
            }))
        }
    }

    /// Returns when no request has been in progress for `limit`. It polls the counter, so that requests need not reset
    /// a timer.
    async fn idle(&self, limit: Duration) {
        loop {
            let idle_for = self.idle_for().unwrap_or_default();
            if idle_for >= limit {
                return;
            }
            sleep(limit - idle_for).await;
        }
    }

    /// Returns the time since the last request ended, or `None` if a request is in progress.
    fn idle_for(&self) -> Option<Duration> {
        let ActiveRequestsInner { count, began, idle_since, .. } = self.0.as_ref();
        let since = Duration::from_millis(idle_since.load(Relaxed));
        (count.load(Relaxed) == 0).then(|| began.elapsed().saturating_sub(since))
    }
}

/// Returns `true` if the response refuses a native gRPC call that was not begun.
fn is_native_and_not_begun(answer: &Response<Body>) -> bool {
    answer.extensions().get::<NotBegun>().is_some()
        && answer.headers().get(CONTENT_TYPE).and_then(CallType::parse)
            == Some(CallType::Proto(Framing::Native))
}

/// The guard of one request in progress.
struct ActiveRequest(ActiveRequests);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let ActiveRequestsInner { count, began, idle_since, .. } = self.0.0.as_ref();
        idle_since.store(began.elapsed().as_millis() as u64, Relaxed);
        count.fetch_sub(1, Relaxed);
    }
}

/// The body of a response. Its request counts as in progress until this is dropped.
struct TrackedBody {
    body: Body,
    _call: ActiveRequest,
    _unanswered: Option<BacklogGuard>,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_size);
    builder
}

fn http2(limits: &Limits, is_exempt: bool) -> http2::Builder<TokioExecutor> {
    let resets = if is_exempt { usize::MAX } else { limits.max_resets };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_size + EXTRA_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(resets)
        // h2 would limit their number over the whole life of a connection. `Throttled` limits their rate instead.
        .max_local_error_reset_streams(None)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SEND_BUFFER);
    builder
}

fn set_socket_options(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(UNACKNOWLEDGED_LIMIT).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))?;
        socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// L15: HTTP/1.1 has no pings, so the kernel detects peers that vanished.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_gives_up_who_vanished_and_keeps_little_for_who_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        set_socket_options(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_LIMIT));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), UNACKNOWLEDGED_LIMIT);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
    }
}
