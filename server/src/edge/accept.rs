//! Who may connect, and how the server ends.

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
    account::{Account, Accounts},
    connection::{Connection, Ended, Service},
    metrics,
    peer::home,
    tally::{Held, Tally},
};
use crate::{listen::Listeners, tls::Tls};

/// The time for which the listeners rest when the system is out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// The time after shutdown for which connections that the kernel has already accepted are served: closing the listener would
/// reset them. Clients are told only afterwards, so that none connects here once more.
const LAST_ACCEPTS: Duration = Duration::from_millis(20);
/// One that ended in misuse counts for so many: whoever makes such comes at once with another.
const MISUSE: u32 = 20;
/// Connections are let in or closed for so long at a time: then those who are here have their turn.
const SPELL: Duration = Duration::from_micros(250);
/// How long that turn is at least, when some were closed: that is work, too, and may have no end.
const REST: Duration = Duration::from_millis(1);

/// Serves `port` to clients of HTTP/1.1 and HTTP/2, over TLS if given, until `shutdown`.
///
/// After `LAST_ACCEPTS` the kernel refuses new connections, so that clients and balancers call another server. Then each
/// connection is told to end (GOAWAY over HTTP/2), the calls that are on their way to it are served, and calls in progress
/// have `limits.drain` to end. What is left is cut.
pub async fn serve(
    listeners: Listeners,
    port: Port,
    limits: Limits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let drain = limits.drain;

    let mut doors = Doors::new(listeners, &limits);
    let closed = CancellationToken::new();
    let service = Arc::new(Service { port, limits, tls, shutdown: closed.clone() });
    let serve = |(stream, address, mut place): (TcpStream, IpAddr, Place)| {
        let connection = Connection { stream, address, service: service.clone() };
        let (cut, closed) = (cut.clone(), closed.clone());
        connections.spawn(async move {
            closed.run_until_cancelled(place.turn()).await;
            // Pinned here, so that the task holds it once.
            if cut.run_until_cancelled(pin!(connection.run())).await == Some(Ended::InMisuse) {
                place.misused();
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
    // It ends by its timeout alone.
    let _: Result<Infallible, _> = timeout(LAST_ACCEPTS, accepting).await;
    drop(doors);
    closed.cancel();

    connections.close();
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("cutting {} connections that did not end in {drain:?}", connections.len());
    }
    cut.cancel();
    connections.wait().await;
}

/// Where connections come in, as many as there is room for.
struct Doors {
    listeners: Listeners,
    slots: Arc<Semaphore>,
    per_address: Tally<IpAddr>,
    /// Of new connections.
    accounts: Accounts<IpAddr>,
    waiting: Tally<IpAddr>,
    spell: Spell,
    limits: Limits,
}

/// What a connection holds until it ends.
struct Place {
    /// `None`: its address is under no limit.
    share: Option<Share>,
    _slot: OwnedSemaphorePermit,
}

/// What is its part of what its address may have.
struct Share {
    account: Account,
    /// How long it is not looked at, as one of those who wait.
    wait: Option<(Duration, Held<IpAddr>)>,
    _held: Held<IpAddr>,
}

impl Place {
    /// Returns when it is its turn.
    async fn turn(&mut self) {
        if let Some((wait, _held)) = self.share.as_mut().and_then(|share| share.wait.take()) {
            sleep(wait).await;
        }
    }

    fn misused(&self) {
        if let Some(share) = &self.share {
            share.account.charge(MISUSE);
        }
    }
}

impl Doors {
    fn new(listeners: Listeners, limits: &Limits) -> Self {
        Self {
            listeners,
            slots: Arc::new(Semaphore::new(limits.connections)),
            per_address: Tally::new(limits.connections_per_address),
            accounts: Accounts::new(limits.connections_per_second),
            // Each waits for 2.5 s where there are more and more of them: a pause is 1.25 times the longest debt, on the mean.
            waiting: Tally::new(5 * limits.connections_per_second.get() as usize / 2),
            spell: Spell::begin(),
            limits: limits.clone(),
        }
    }

    /// The next connection there is a place for. One too many of an address is closed without a word: whatever could
    /// be said to it would cost more than it.
    async fn next(&mut self) -> (TcpStream, IpAddr, Place) {
        loop {
            self.spell.go_on().await;
            // It is never closed.
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return pending().await };
            let (stream, peer) = accept(&mut self.listeners).await;
            let address = peer.ip().to_canonical();
            if self.limits.is_exempt(address) {
                return (stream, address, Place { share: None, _slot: slot });
            }
            match self.share_of(home(address)) {
                Some(share) => return (stream, address, Place { share: Some(share), _slot: slot }),
                None => self.refuse(&stream, address),
            }
        }
    }

    /// With a reset: a good end is one that the kernel remembers for a minute.
    fn refuse(&mut self, stream: &TcpStream, address: IpAddr) {
        metrics::refused_a_connection();
        tracing::debug!(%address, "closed a connection: too many of its address");
        // That fails where it is gone already.
        let _ = stream.set_zero_linger();
        self.spell.refused = true;
    }

    /// `None`: as many of `address` are here already as may be, or as may wait.
    fn share_of(&mut self, address: IpAddr) -> Option<Share> {
        let held = self.per_address.take(address)?;
        let account = self.accounts.of(address).clone();
        account.charge(1);
        let wait = match account.pause() {
            Some(pause) => Some((pause, self.waiting.take(address)?)),
            None => None,
        };
        Some(Share { account, wait, _held: held })
    }
}

/// How long it is since the doors rested, whether anybody came or not.
struct Spell {
    began: Instant,
    /// Whether some were closed in it.
    refused: bool,
}

impl Spell {
    fn begin() -> Self {
        Self { began: Instant::now(), refused: false }
    }

    /// However many come at once, those who are here are served in between.
    async fn go_on(&mut self) {
        if self.began.elapsed() >= SPELL {
            match self.refused {
                true => sleep(REST).await,
                false => yield_now().await,
            }
            *self = Self::begin();
        }
    }
}

async fn accept(listeners: &mut Listeners) -> (TcpStream, SocketAddr) {
    loop {
        match listeners.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells whether one connection failed, and not a listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn doors_rest_after_a_spell_in_which_some_were_closed() {
        for (lasted, refused, rests) in [(SPELL / 2, true, false), (SPELL, false, false), (SPELL, true, true)]
        {
            let mut spell = Spell::begin();
            spell.refused = refused;
            advance(lasted).await;
            let begun = Instant::now();
            spell.go_on().await;
            // The clock has ticks of a millisecond.
            assert_eq!(begun.elapsed() >= REST, rests, "after {lasted:?}, some closed: {refused}");
        }
    }
}
