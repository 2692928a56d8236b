//! Connections: how many, on what terms, and how they end.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{metrics, patience::Patience};

/// How long to leave the listener alone when the system is out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// A peer that acknowledges nothing, or reads nothing, for so long is gone. Streams say something every 4 s, so that
/// nobody who vanished holds one for 30 s.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(25);
/// Between two questions of the kernel's to a peer to whom nothing is said.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// What a peer that does not read can make us hold: in the kernel, and per HTTP/2 stream. The kernel doubles
/// the first.
const SEND_BUFFER: usize = 64 * 1024;
const STREAM_SEND_BUFFER: usize = 64 * 1024;
/// Over HTTP/1.1, what a connection reads ahead, headers included, and what it gathers before it writes. A stream is not
/// asked for more while so much of it waits, so that it has nothing old to send once the peer reads again.
const CONNECTION_BUFFER: usize = 16 * 1024;
/// Below this the kernel asks for more to send: the rest stays with us, where newer replaces older.
#[cfg(target_os = "linux")]
const NOT_SENT_LOW_WATER: u32 = 32 * 1024;

/// On what terms clients are served.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// Calls at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How long a client may take to begin, and to send the headers of a request.
    pub headers: Duration,
    /// How often an HTTP/2 client is asked whether it is there.
    pub ping: Duration,
    /// How long it may take to answer.
    pub pong: Duration,
    /// How long calls may take to end once the server goes.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            streams: 256,
            headers: Duration::from_secs(30),
            ping: Duration::from_secs(10),
            pong: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves `port` to whoever connects, HTTP/1.1 and HTTP/2 alike, until `shutdown`; then lets calls in progress
/// end for as long as `limits.drain` allows, and cuts what is left.
pub async fn serve(listener: TcpListener, port: Router, limits: Limits, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();

    let accepting = async {
        let slots = Arc::new(Semaphore::new(limits.connections));
        // The semaphore is never closed.
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let stream = accept(&listener).await;
            let connection = connection(stream, port.clone(), limits, shutdown.clone());
            let cut = cut.clone();
            connections.spawn(async move {
                cut.run_until_cancelled(connection).await;
                drop(slot);
            });
        }
    };
    shutdown.run_until_cancelled(accepting).await;
    drop(listener);

    connections.close();
    if timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!("cutting {} connections that did not end in {:?}", connections.len(), limits.drain);
        cut.cancel();
        connections.wait().await;
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether it was that connection that failed, and not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, port: Router, limits: Limits, shutdown: CancellationToken) {
    let _counted = metrics::Connection::open();
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "the connection is gone already");
        return;
    }

    let builder = http(limits);
    let io = TokioIo::new(Patience::new(stream, limits.headers));
    let mut connection = std::pin::pin!(builder.serve_connection(io, TowerToHyperService::new(port)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended badly");
    }
}

fn http(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(CONNECTION_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong)
        .max_concurrent_streams(limits.streams)
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
    use super::*;

    /// L15: over HTTP/1.1 nobody answers pings, and the kernel watches over who is there.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_kernel_gives_up_who_vanished_and_keeps_little_for_who_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = accept(&listener).await;
        tune(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED_LIMIT));
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), UNACKNOWLEDGED_LIMIT);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
    }
}
