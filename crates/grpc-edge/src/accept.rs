//! The accept loop, its limits per address, and the order of a shutdown.
//!
//! The loop takes a permit before it accepts, so connections beyond the limit wait in the kernel. A connection beyond
//! the limits of its address waits unread, or is reset.

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Limits, Port,
    connection::{Connection, ConnectionContext, ConnectionEnd},
    metrics::ConnectionMetrics,
    peer::network_of,
    per_key_limit::{PerKeyLimit, Permit},
    tls::Tls,
    token_bucket::{KeyedBuckets, TokenBucket},
};
use crate::listeners::Listeners;

/// The pause after an error of a listener, for example when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// The time after shutdown for which the server still accepts. Closing the listeners resets connections that the kernel
/// has accepted already. Open connections are told to shut down only afterwards, so that no client reconnects to this
/// server.
const LAST_ACCEPTS: Duration = Duration::from_millis(20);
/// The cost of a connection that ended in misuse, in new connections. A client that misuses one usually opens the next
/// at once.
const MISUSE_COST: u32 = 20;
/// The longest time for which the accept loop runs without a break. Other tasks run in the break.
const MAX_ACCEPT_RUN: Duration = Duration::from_micros(250);
/// The break of the accept loop after it refused connections. Refusing costs time too, and a flood may have no end.
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);

/// Serves `port` to clients of HTTP/1.1 and HTTP/2, over TLS if given, until `shutdown`.
///
/// After `LAST_ACCEPTS` the kernel refuses new connections, so that clients and load balancers use another server. Then
/// each connection is told to shut down (GOAWAY over HTTP/2). Calls that are on their way to it are served, and calls
/// in progress have `limits.drain` to end. Connections that are still open after that are cut.
pub async fn serve(
    listeners: Listeners,
    port: Port,
    limits: Limits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let drain = limits.drain_timeout;

    let metrics = ConnectionMetrics::new(port.names.metrics_prefix);
    let mut doors = Acceptor::new(listeners, &limits, metrics.clone());
    let closed = CancellationToken::new();
    let service = Arc::new(ConnectionContext { port, limits, metrics, tls, shutdown: closed.clone() });
    let serve = |(stream, address, mut place): (TcpStream, IpAddr, ConnectionPermit)| {
        let connection = Connection { stream, address, service: service.clone() };
        let (cut, closed) = (cut.clone(), closed.clone());
        connections.spawn(async move {
            closed.run_until_cancelled(place.wait_for_turn()).await;
            // Pinned in place: passed by value, the large future would be in the task twice.
            if cut.run_until_cancelled(pin!(connection.run())).await == Some(ConnectionEnd::Misuse) {
                place.charge_misuse();
            }
        });
    };
    while let Some(next) = shutdown.run_until_cancelled(doors.next()).await {
        serve(next);
    }
    let accepting = async {
        loop {
            serve(doors.next().await);
        }
    };
    // `accepting` never ends by itself, so the result is always the timeout.
    let _: Result<Infallible, _> = timeout(LAST_ACCEPTS, accepting).await;
    drop(doors);
    closed.cancel();

    connections.close();
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("cut {} connections still open {drain:?} after shutdown", connections.len());
    }
    cut.cancel();
    connections.wait().await;
}

/// The listeners and the limits of connections, in all and per address.
struct Acceptor {
    metrics: ConnectionMetrics,
    listeners: Listeners,
    /// One permit for each of the `limits.connections` connections.
    slots: Arc<Semaphore>,
    /// The open connections of each address.
    per_address: PerKeyLimit<IpAddr>,
    /// The rate of new connections of each address.
    buckets: KeyedBuckets<IpAddr>,
    /// The connections of each address that wait because of that rate.
    waiting: PerKeyLimit<IpAddr>,
    backoff: Backoff,
    limits: Limits,
}

/// The permits of a connection, held until it ends.
struct ConnectionPermit {
    /// `None`: the address of the connection is exempt from the limits per address.
    address_permit: Option<AddressPermit>,
    _slot: OwnedSemaphorePermit,
}

/// The part of a [`ConnectionPermit`] that counts for the address of the connection.
struct AddressPermit {
    account: TokenBucket,
    /// The time for which the connection waits unread, and its permit among those that wait.
    wait: Option<(Duration, Permit<IpAddr>)>,
    _held: Permit<IpAddr>,
}

impl ConnectionPermit {
    /// Waits until the connection may be served, and releases its permit to wait.
    async fn wait_for_turn(&mut self) {
        if let Some((wait, _held)) = self.address_permit.as_mut().and_then(|share| share.wait.take()) {
            sleep(wait).await;
        }
    }

    /// Charges the address of the connection for misuse.
    fn charge_misuse(&self) {
        if let Some(share) = &self.address_permit {
            share.account.charge(MISUSE_COST);
        }
    }
}

impl Acceptor {
    fn new(listeners: Listeners, limits: &Limits, metrics: ConnectionMetrics) -> Self {
        Self {
            metrics,
            listeners,
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            per_address: PerKeyLimit::new(limits.max_connections_per_address),
            buckets: KeyedBuckets::new(limits.max_connections_per_second),
            // Under a flood each connection waits for 2.5 s on average: `PAUSE_FACTOR` is 1.25 times the debt on
            // average, and the longest debt is 2 s. So this many wait when they arrive at the permitted rate.
            waiting: PerKeyLimit::new(5 * limits.max_connections_per_second.get() as usize / 2),
            backoff: Backoff::begin(),
            limits: limits.clone(),
        }
    }

    /// Accepts the next connection that is within the limits. Connections of an address that is over its limits are
    /// reset without a response: writing one would cost the server more than the connection costs the client.
    async fn next(&mut self) -> (TcpStream, IpAddr, ConnectionPermit) {
        loop {
            self.backoff.pause_if_due().await;
            // The semaphore is never closed, so this never fails.
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return pending().await };
            let (stream, peer) = accept(&mut self.listeners).await;
            let address = peer.ip().to_canonical();
            if self.limits.is_exempt(address) {
                return (stream, address, ConnectionPermit { address_permit: None, _slot: slot });
            }
            match self.take_address_permit(network_of(address)) {
                Some(share) => {
                    return (stream, address, ConnectionPermit { address_permit: Some(share), _slot: slot });
                }
                None => self.refuse(&stream, address),
            }
        }
    }

    /// Makes the drop of the connection send a reset. After an orderly close the kernel would keep it in TIME_WAIT for
    /// a minute.
    fn refuse(&mut self, stream: &TcpStream, address: IpAddr) {
        self.metrics.refuse();
        tracing::debug!(%address, "refused a connection: its address has too many connections");
        // An error means that the peer has closed the connection already.
        let _ = stream.set_zero_linger();
        self.backoff.refused = true;
    }

    /// Takes the permits of one connection of `address`. Returns `None` if the address has its limit of open
    /// connections, or if the connection would have to wait and the limit of waiting connections is reached.
    fn take_address_permit(&mut self, address: IpAddr) -> Option<AddressPermit> {
        let held = self.per_address.acquire(address)?;
        let account = self.buckets.bucket(address).clone();
        account.charge(1);
        let wait = match account.pause() {
            Some(pause) => Some((pause, self.waiting.acquire(address)?)),
            None => None,
        };
        Some(AddressPermit { account, wait, _held: held })
    }
}

/// The time for which the accept loop has run since its last pause.
struct Backoff {
    began: Instant,
    /// At least one connection was refused since then.
    refused: bool,
}

impl Backoff {
    fn begin() -> Self {
        Self { began: Instant::now(), refused: false }
    }

    /// Takes a break if [`MAX_ACCEPT_RUN`] has passed, so that open connections are served while new ones arrive
    /// without pause.
    async fn pause_if_due(&mut self) {
        if self.began.elapsed() >= MAX_ACCEPT_RUN {
            match self.refused {
                true => sleep(REFUSAL_PAUSE).await,
                false => yield_now().await,
            }
            *self = Self::begin();
        }
    }
}

/// Accepts the next connection. Waits for [`ACCEPT_PAUSE`] after each error of a listener.
async fn accept(listeners: &mut Listeners) -> (TcpStream, SocketAddr) {
    loop {
        match listeners.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns `true` if the error is about one connection, and not about the listener.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn doors_rest_after_a_spell_in_which_some_were_closed() {
        for (lasted, refused, rests) in
            [(MAX_ACCEPT_RUN / 2, true, false), (MAX_ACCEPT_RUN, false, false), (MAX_ACCEPT_RUN, true, true)]
        {
            let mut spell = Backoff::begin();
            spell.refused = refused;
            advance(lasted).await;
            let begun = Instant::now();
            spell.pause_if_due().await;
            // The clock has a resolution of one millisecond.
            assert_eq!(begun.elapsed() >= REFUSAL_PAUSE, rests, "after {lasted:?}, refused: {refused}");
        }
    }
}
