//! One connection: its socket, its HTTP, and when it is over.

use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Limits, metrics, patience::Patience, peer::Peer};
use crate::tls::Tls;

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

/// What every connection is given.
pub(super) struct Service {
    pub(super) port: Router,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) shutdown: CancellationToken,
}

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// As [`super::peer::address`] has it.
    pub(super) address: IpAddr,
    pub(super) service: Arc<Service>,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run(self) {
        let _counted = metrics::Connection::open();
        let Self { stream, address, service } = self;
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "the connection is gone already");
            return;
        }
        match &service.tls {
            None => service.speak_http(stream, Peer { address, car: None }).await,
            Some(tls) => {
                if let Some((stream, car)) = tls.accept(stream, service.limits.header_timeout).await {
                    service.speak_http(stream, Peer { address, car }).await;
                }
            }
        }
    }
}

impl Service {
    async fn speak_http(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let calls = Calls::default();
        let (port, held) = (self.port.clone(), calls.clone());
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            held.hold(port.clone().oneshot(request))
        });

        let builder = http(&self.limits);
        let io = TokioIo::new(Patience::new(stream, self.limits.header_timeout));
        let mut connection = pin!(builder.serve_connection(io, answer));
        // Who comes while the server goes is to be told so first.
        let going = async {
            match self.shutdown.is_cancelled() {
                true => std::future::pending().await,
                false => self.shutdown.cancelled().await,
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = async { tokio::select! { () = going => {}, () = calls.idle(self.limits.idle_timeout) => {} } } => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended badly");
        }
    }
}

/// The requests of a connection that are in progress, to the last byte of their answers.
#[derive(Clone, Default)]
struct Calls(watch::Sender<usize>);

struct Call(watch::Sender<usize>);

impl Calls {
    /// The answer, counted as in progress until its body is dropped.
    fn hold<A>(&self, answer: A) -> impl Future<Output = A::Output> + use<A>
    where
        A: Future<Output = Result<Response<Body>, Infallible>>,
    {
        self.0.send_modify(|count| *count += 1);
        let call = Call(self.0.clone());
        async move {
            let response = answer.await?;
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _until_the_body_is_dropped = &call;
                    frame
                }))
            }))
        }
    }

    /// Returns once there has been no request for `limit`.
    async fn idle(&self, limit: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender is at hand: neither wait can fail.
            count.wait_for(|&count| count == 0).await.ok();
            if timeout(limit, count.wait_for(|&count| count > 0)).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.resets)
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
