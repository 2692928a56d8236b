//! Who may connect, and how the server ends.

use std::{
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Limits, Port,
    connection::{Connection, Service},
    peer::home,
    tally::{Held, Tally},
};
use crate::tls::Tls;

/// How long to leave the listener alone when the system is out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Serves `port` to whoever connects, HTTP/1.1 and HTTP/2 alike, over TLS if given, until `shutdown`; then lets calls in progress
/// end for as long as `limits.drain` allows, and cuts what is left. Who connects meanwhile is still answered, and
/// holds nothing up.
pub async fn serve(
    listener: TcpListener,
    port: Port,
    limits: Limits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let late = TaskTracker::new();
    let cut = CancellationToken::new();
    let drain = limits.drain;

    let accepting = async {
        let mut doors = Doors::new(listener, &limits);
        let service = Arc::new(Service { port, limits, tls, shutdown: shutdown.clone() });
        loop {
            let (stream, address, held) = doors.next().await;
            let tracker = if shutdown.is_cancelled() { &late } else { &connections };
            let connection = Connection { stream, address, service: service.clone() };
            let cut = cut.clone();
            tracker.spawn(async move {
                // Pinned here, so that the task holds it once.
                cut.run_until_cancelled(pin!(connection.run())).await;
                drop(held);
            });
        }
    };
    let draining = async {
        shutdown.cancelled().await;
        connections.close();
        if timeout(drain, connections.wait()).await.is_err() {
            tracing::warn!("cutting {} connections that did not end in {drain:?}", connections.len());
        }
    };
    tokio::select! {
        () = accepting => {}
        () = draining => {}
    }
    cut.cancel();
    late.close();
    tokio::join!(connections.wait(), late.wait());
}

/// Where connections come in, as many as there is room for.
struct Doors {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    per_address: Tally<IpAddr>,
    limits: Limits,
}

/// What a connection holds until it ends: its place, and the one of its address.
type Place = (tokio::sync::OwnedSemaphorePermit, Option<Held<IpAddr>>);

impl Doors {
    fn new(listener: TcpListener, limits: &Limits) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(limits.connections)),
            per_address: Tally::new(limits.connections_per_address),
            limits: limits.clone(),
        }
    }

    /// The next connection there is a place for. One too many of an address is closed without a word: whatever could
    /// be said to it would cost more than it.
    async fn next(&mut self) -> (TcpStream, IpAddr, Place) {
        loop {
            // However many come at once, those who are there are served in between.
            yield_now().await;
            // It is never closed.
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return pending().await };
            let (stream, peer) = accept(&self.listener).await;
            let address = peer.ip().to_canonical();
            if self.limits.is_exempt(address) {
                return (stream, address, (slot, None));
            }
            match self.per_address.take(home(address)) {
                Some(held) => return (stream, address, (slot, Some(held))),
                None => tracing::debug!(%address, "closed a connection: its address has as many as it may"),
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
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
