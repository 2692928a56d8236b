//! One connection: its socket, its HTTP, and when it is over.

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
    account::Account,
    backlog::Backlog,
    calls::NotBegun,
    content_type::{CallType, Framing},
    end::Draining,
    header_size::{HeaderSize, READ_BEYOND},
    leftover::{Leftovers, lingering},
    linger::Linger,
    metrics,
    opening::{Http, open},
    pace::{Paced, answered},
    peer::Peer,
    refusals::{Refusals, Words},
    transport::Transport,
    wrong_protocol::{warn_of_plain_http, warn_of_tls},
};
use crate::tls::{Accepted, Tls};

/// A peer that acknowledges nothing, or reads nothing, for so long is gone. Streams say something every 4 s, so that
/// nobody who vanished holds one for 30 s.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(25);
/// Between two questions of the kernel's to a peer to whom nothing is said.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// What a peer that does not read can make us hold: in the kernel, and per HTTP/2 stream. The kernel doubles
/// the first.
const SEND_BUFFER: usize = 64 * 1024;
const STREAM_SEND_BUFFER: usize = 64 * 1024;
/// Below this the kernel asks for more to send: the rest stays with us, where newer replaces older.
#[cfg(target_os = "linux")]
const NOT_SENT_LOW_WATER: u32 = 32 * 1024;

/// What a client may send ahead of what is read, in bytes: of one stream, and of a whole connection: as much as 256 streams, the
/// default, have together, and not less where fewer may be. h2 ends a connection with unread messages that are small and many: each costs what it lacks to 256
/// bytes, of half the second. So a dozen streams that are read more slowly than they are sent may fill theirs with positions.
const STREAM_WINDOW: u32 = 32 * 1024;
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// The time after shutdown in which a client may still send a request on a connection of HTTP/1.1, or the first one on a
/// connection of any kind.
const LATE: Duration = Duration::from_millis(500);

/// What every connection is given.
pub(super) struct Service {
    pub(super) port: Port,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) shutdown: CancellationToken,
}

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Of the peer, as [`Peer::address`] is.
    pub(super) address: IpAddr,
    pub(super) service: Arc<Service>,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run(self) -> Ended {
        let _counted = metrics::Connection::open();
        let Self { stream, address, service } = self;
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "the connection is gone already");
            return Ended::Well;
        }
        match &service.tls {
            None => service.speak_http(stream, Peer { address, certificate: None }, false).await,
            // In a box, so that a connection without TLS has no room for one with it.
            Some(tls) => Box::pin(service.speak_https(tls, stream, address)).await,
        }
    }
}

impl Service {
    async fn speak_https(&self, tls: &Tls, stream: TcpStream, address: IpAddr) -> Ended {
        let accepted = tokio::select! {
            biased;
            accepted = tls.accept(stream, self.limits.header_timeout) => accepted,
            () = self.late() => None,
        };
        let (stream, certificate) = match accepted {
            Some(Accepted::Tls(stream, certificate)) => (stream, certificate.map(Arc::new)),
            Some(Accepted::PlainHttp(stream)) => {
                warn_of_plain_http(address);
                return self.speak_http(stream, Peer { address, certificate: None }, true).await;
            }
            None => return Ended::Well,
        };
        let speaking = self.speak_http(*stream, Peer { address, certificate: certificate.clone() }, false);
        match certificate {
            None => speaking.await,
            Some(certificate) => tokio::select! {
                end = speaking => end,
                never = tls.watch_over(&certificate) => match never {},
            },
        }
    }

    /// Returns when the server shuts down and a client that has said nothing yet is no longer waited for.
    async fn late(&self) {
        self.shutdown.cancelled().await;
        sleep(LATE).await;
    }

    /// `is_misplaced`: as in [`Port::answer`].
    async fn speak_http(
        &self,
        stream: impl Transport + Send + 'static,
        peer: Peer,
        is_misplaced: bool,
    ) -> Ended {
        let address = peer.address;
        let is_exempt = self.limits.is_exempt(address);
        let account = (!is_exempt).then(|| Account::new(self.limits.frames_per_second));
        let backlog = Backlog::default();
        let calls = Calls::none(account.clone(), backlog.clone());
        let leftovers = Arc::new(Leftovers::new(self.limits.streams, self.shutdown.clone()));
        let draining = Draining::default();
        let (port, held, told) = (self.port.clone(), calls.clone(), draining.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(told.clone());
            let version = request.version();
            held.hold(version, &told, port.answer(lingering(request, &leftovers), is_misplaced))
        });

        let over = async {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = calls.idle(self.limits.idle_timeout) => {}
            }
        };
        // In a box, since the set below has room for one more of what is in it.
        let over = Box::pin(over);
        let opened = tokio::select! {
            // Who has spoken is heard, if the server goes or not.
            biased;
            opened = open(stream, self.limits.header_timeout) => opened,
            () = self.late() => return Ended::Well,
        };
        let (http, io, is_tls) = match opened {
            Ok((http, stream)) => {
                let is_tls = stream.is_tls();
                let words = Words { header_size: HeaderSize(self.limits.headers), is_tls };
                let words = (http == Http::One).then_some(words);
                let stream = Linger::new(Paced::new(stream, http, account, backlog));
                (http, TokioIo::new(Refusals::new(stream, words)), is_tls)
            }
            Err(error) => {
                tracing::debug!(%error, "a connection did not begin");
                return Ended::Well;
            }
        };
        if is_tls {
            warn_of_tls(address);
        }
        let mut connection = pin!(match http {
            Http::One => Either::Left(
                http1(&self.limits).keep_alive(!self.shutdown.is_cancelled()).serve_connection(io, answer)
            ),
            Http::Two => Either::Right(http2(&self.limits, is_exempt).serve_connection(io, answer)),
        });
        // It has a waker of its own, so that it is not looked at whenever the connection is.
        let mut over = FuturesUnordered::from_iter([over]);
        let ended = 'ended: {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break 'ended ended,
                Some(()) = over.next() => {}
            }
            if http == Http::One && self.shutdown.is_cancelled() {
                // HTTP/1.1 has no GOAWAY: a client whose request is on its way hears of the end by the response.
                draining.begin();
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => break 'ended ended,
                    () = sleep(LATE) => {}
                }
            }
            match connection.as_mut().as_pin_mut() {
                Either::Left(connection) => connection.graceful_shutdown(),
                Either::Right(connection) => connection.graceful_shutdown(),
            }
            tokio::select! {
                // It sends GOAWAY first. A client that opens a stream anew, because its last one has ended, does so on another
                // connection then.
                biased;
                ended = connection.as_mut() => break 'ended ended,
                () = self.shutdown.cancelled() => draining.begin(),
            }
            connection.await
        };
        match ended {
            Ok(()) => Ended::Well,
            // Browsers try it by themselves: it is no misuse.
            Err(_no_http) if is_tls => Ended::Well,
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "a connection ended badly");
                Ended::by(&error)
            }
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// Its client left, or vanished, or the server let it go.
    Well,
    /// Its client spoke no HTTP, or nothing that is reasonable.
    InMisuse,
}

impl Ended {
    fn by(error: &hyper::Error) -> Self {
        let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        // It was ended by us, and not by the client or the network.
        let is_ours = h2.is_some_and(|error| error.is_go_away() && error.is_library());
        if error.is_parse() || is_ours { Self::InMisuse } else { Self::Well }
    }
}

/// The requests of a connection that are in progress, to the last byte of their answers.
#[derive(Clone)]
struct Calls(Arc<Open>);

struct Open {
    count: AtomicUsize,
    /// What the connection has cost. `None`: that is all the same.
    account: Option<Account>,
    backlog: Backlog,
    began: Instant,
    /// When the last of them ended, in milliseconds from the beginning.
    idle_since: AtomicU64,
}

impl Calls {
    fn none(account: Option<Account>, backlog: Backlog) -> Self {
        let (count, idle_since) = Default::default();
        Self(Arc::new(Open { count, account, backlog, began: Instant::now(), idle_since }))
    }

    /// The answer to a request of this version, counted as in progress until its body is dropped.
    ///
    /// # Errors
    /// The stream is to be reset with the error. REFUSED_STREAM (RFC 9113, section 8.7) is for native gRPC calls that were
    /// not begun: their clients repeat them by themselves, on another server. Browsers would show a failed fetch, so calls
    /// of theirs have a status.
    fn hold<A>(
        &self,
        version: Version,
        draining: &Draining,
        answer: A,
    ) -> impl Future<Output = Result<Response<Counted>, h2::Error>> + use<A>
    where
        A: Future<Output = Result<Response<Body>, Infallible>>,
    {
        self.0.count.fetch_add(1, Relaxed);
        let call = Call(self.clone());
        let draining = draining.clone();
        // Over HTTP/1.1 the connection polls its call itself.
        let waiting = (version == Version::HTTP_2).then(|| self.0.backlog.begin());
        async move {
            drop(waiting);
            let Ok(mut answer) = answer.await;
            if version == Version::HTTP_2 && is_native_and_not_begun(&answer) {
                return Err(Reason::REFUSED_STREAM.into());
            }
            if version < Version::HTTP_2 && draining.has_begun() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if version == Version::HTTP_10 {
                // hyper ends the connection after it then. Else it keeps one that the client asked to keep, even where the
                // answer does not say so, and a client may wait for its end.
                *answer.version_mut() = version;
            }
            if let Some(account) = &call.0.0.account {
                answered(account, answer.headers()).await;
            }
            Ok(answer.map(|body| Counted { body, _call: call }))
        }
    }

    /// Returns once there has been no request for `limit`. It looks from time to time, which costs requests nothing.
    async fn idle(&self, limit: Duration) {
        loop {
            let idle_for = self.idle_for().unwrap_or_default();
            if idle_for >= limit {
                return;
            }
            sleep(limit - idle_for).await;
        }
    }

    /// `None`: not at all.
    fn idle_for(&self) -> Option<Duration> {
        let Open { count, began, idle_since, .. } = self.0.as_ref();
        let since = Duration::from_millis(idle_since.load(Relaxed));
        (count.load(Relaxed) == 0).then(|| began.elapsed().saturating_sub(since))
    }
}

fn is_native_and_not_begun(answer: &Response<Body>) -> bool {
    answer.extensions().get::<NotBegun>().is_some()
        && answer.headers().get(CONTENT_TYPE).and_then(CallType::parse)
            == Some(CallType::Proto(Framing::Native))
}

struct Call(Calls);

impl Drop for Call {
    fn drop(&mut self) {
        let Open { count, began, idle_since, .. } = self.0.0.as_ref();
        idle_since.store(began.elapsed().as_millis() as u64, Relaxed);
        count.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer.
struct Counted {
    body: Body,
    _call: Call,
}

impl http_body::Body for Counted {
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
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(limits.headers);
    builder
}

fn http2(limits: &Limits, is_exempt: bool) -> http2::Builder<TokioExecutor> {
    let resets = if is_exempt { usize::MAX } else { limits.resets };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.headers + READ_BEYOND).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(resets)
        // h2 counts over the whole life of a connection. `Paced` limits their rate.
        .max_local_error_reset_streams(None)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SEND_BUFFER);
    builder
}

fn tune(stream: &TcpStream) -> io::Result<()> {
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

    /// L15: over HTTP/1.1 nobody answers pings, and the kernel watches over who is there.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_gives_up_who_vanished_and_keeps_little_for_who_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        tune(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_LIMIT));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), UNACKNOWLEDGED_LIMIT);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
    }
}
