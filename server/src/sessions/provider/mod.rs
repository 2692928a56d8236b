//! An identity provider: who else may say who a caller is.
//!
//! Its keys are had in advance and kept: a call never waits for them. They are had again every ten minutes, and when
//! a token names one that is not among them, but never twice a minute. While the provider is away, the keys that there
//! were are good.

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

pub use self::{claims::Expected, schedule::Refresh, source::Source};
use self::{
    keys::KeySet,
    schedule::{Answer, Schedule},
};
use super::{Role, Session, Unauthenticated, crypto, verified::Verified};
use crate::tls::client::Connector;

/// Knows the tokens of one identity provider.
pub struct Provider {
    expected: Expected,
    source: Source,
    tls: Connector,
    trusted: watch::Sender<Arc<Trusted>>,
    schedule: Mutex<Schedule>,
    wanted: Notify,
}

/// The provider's keys, and what they verified.
#[derive(Default)]
struct Trusted {
    keys: KeySet,
    verified: Verified,
}

impl Provider {
    /// Without keys, until [`Self::follow`] has them. Fails if `ca`, who signs the provider's own certificate, cannot be
    /// read; `None`: whom this system trusts.
    pub fn new(
        source: Source,
        expected: Expected,
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
            wanted: Notify::new(),
        })
    }

    /// What `token` says, which says that it is signed with the key called `name`.
    pub(super) fn verify(
        &self,
        token: &str,
        name: &str,
        now: SystemTime,
    ) -> Result<Session, Unauthenticated> {
        let trusted = Arc::clone(&self.trusted.borrow());
        let Some(key) = trusted.keys.get(name) else { return Err(self.miss()) };
        let session = self.expected.session(token, key, now)?;
        trusted.verified.keep(token, &session);
        Ok(session)
    }

    /// What `token` says, if one of the keys that there are has verified it before.
    pub(super) fn verified_before(&self, token: &str) -> Option<Session> {
        self.trusted.borrow().verified.get(token)
    }

    /// Asks for keys that are not there, unless that was done just now.
    fn miss(&self) -> Unauthenticated {
        match self.schedule().miss(Instant::now()) {
            Answer::NoSuchKey => Unauthenticated::Invalid,
            Answer::OnItsWay => Unauthenticated::Undecided,
            Answer::Ask => {
                self.wanted.notify_one();
                Unauthenticated::Undecided
            }
        }
    }

    /// Has the keys, and has them again, for ever.
    pub async fn follow(&self) {
        let mut complaint = String::new();
        loop {
            self.schedule().begin();
            let had = self.fetch().await;
            let next = self.schedule().end(had.is_ok(), Instant::now());
            match had {
                Ok(number) => {
                    tracing::info!(keys = number, source = %self.source, "the identity provider's keys");
                    complaint.clear();
                }
                Err(why) if why != complaint => {
                    tracing::warn!(source = %self.source, "no new keys of the identity provider: {why}");
                    complaint = why;
                }
                Err(_the_same) => {}
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Fails with a text for whoever runs the server.
    async fn fetch(&self) -> Result<usize, String> {
        let bytes = self.source.read(&self.tls).await.map_err(|why| why.to_string())?;
        let keys = KeySet::parse(&bytes).map_err(|why| why.to_string())?;
        let number = keys.len();
        self.trusted.send_replace(Arc::new(Trusted { keys, verified: Verified::default() }));
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
