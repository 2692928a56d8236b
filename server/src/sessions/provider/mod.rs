//! An identity provider, whose tokens this server accepts.
//!
//! Its keys are fetched in the background and kept, so that no call waits for them. They are fetched again every ten
//! minutes, and earlier if a token names an unknown key, but at most once per minute. While the provider cannot be
//! reached, the last keys stay valid.

mod claims;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod keys;
mod schedule;
mod source;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

pub use self::{claims::ExpectedClaims, schedule::Refresh, source::KeySource};
use self::{
    keys::KeySet,
    schedule::{OnUnknownKey, Schedule},
};
use super::{Role, Session, Unauthenticated, crypto, token_cache::TokenCache};
use crate::tls::client::Connector;

/// The verifier of one identity provider's tokens.
pub struct Provider {
    expected: ExpectedClaims,
    source: KeySource,
    tls: Connector,
    trusted: watch::Sender<Arc<VerifyingKeys>>,
    schedule: Mutex<Schedule>,
    fetch_requested: Notify,
}

/// The provider's keys and the cache of the tokens that they verified. A new key set replaces both.
#[derive(Default)]
struct VerifyingKeys {
    keys: KeySet,
    verified: TokenCache,
}

impl Provider {
    /// Returns a provider without keys. [`Self::follow`] fetches them. `ca` is a file with the authorities that sign
    /// the provider's server certificate; `None` means those of this system.
    ///
    /// # Errors
    /// If the certificate authorities cannot be read.
    pub fn new(
        source: KeySource,
        expected: ExpectedClaims,
        refresh: Refresh,
        ca: Option<&Path>,
    ) -> anyhow::Result<Self> {
        crypto::install();
        Ok(Self {
            expected,
            source,
            tls: Connector::trusting(ca)?.for_http1(),
            trusted: watch::Sender::default(),
            schedule: Mutex::new(Schedule::new(refresh)),
            fetch_requested: Notify::new(),
        })
    }

    /// Returns the session of `token`, whose header has the `kid` `name`.
    ///
    /// # Errors
    /// The reason why the token is not valid, or [`Unauthenticated::KeysPending`] while its key may still be fetched.
    pub(super) fn verify(
        &self,
        token: &str,
        name: &str,
        now: SystemTime,
    ) -> Result<Session, Unauthenticated> {
        let trusted = Arc::clone(&self.trusted.borrow());
        let Some(key) = trusted.keys.get(name) else { return Err(self.miss()) };
        let session = self.expected.session(token, key, now)?;
        trusted.verified.insert(token, &session);
        Ok(session)
    }

    /// Returns the session of `token`, if the current keys have verified it before.
    pub(super) fn verified_before(&self, token: &str) -> Option<Session> {
        self.trusted.borrow().verified.get(token)
    }

    /// Requests a fetch for an unknown key, unless the last fetch was just now.
    fn miss(&self) -> Unauthenticated {
        match self.schedule().miss(Instant::now()) {
            OnUnknownKey::UnknownKey => Unauthenticated::Invalid,
            OnUnknownKey::FetchPending => Unauthenticated::KeysPending,
            OnUnknownKey::StartFetch => {
                self.fetch_requested.notify_one();
                Unauthenticated::KeysPending
            }
        }
    }

    /// Fetches the keys again and again. Never returns.
    pub async fn follow(&self) {
        let mut complaint = String::new();
        loop {
            self.schedule().begin();
            let had = self.fetch().await;
            let next = self.schedule().end(had.is_ok(), Instant::now());
            match had {
                Ok(number) => {
                    tracing::info!(keys = number, source = %self.source, "fetched the identity provider's keys");
                    complaint.clear();
                }
                Err(why) if why != complaint => {
                    tracing::warn!(source = %self.source, "could not fetch the identity provider's keys: {why}");
                    complaint = why;
                }
                Err(_the_same) => {}
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.fetch_requested.notified() => {}
            }
        }
    }

    /// Fetches the keys, and returns their number.
    ///
    /// # Errors
    /// A text for the operator.
    async fn fetch(&self) -> Result<usize, String> {
        let bytes = self.source.read(&self.tls).await.map_err(|why| why.to_string())?;
        let keys = KeySet::parse(&bytes).map_err(|why| why.to_string())?;
        let number = keys.len();
        self.trusted.send_replace(Arc::new(VerifyingKeys { keys, verified: TokenCache::default() }));
        Ok(number)
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("source", &self.source).finish_non_exhaustive()
    }
}
