//! A cache of verified tokens. Checking a signature costs more than the rest of a call, and its result does not change
//! while the key is valid.

use quick_cache::sync::Cache;

use super::Session;

/// The capacity of the cache in tokens. Beyond it, rarely used tokens are evicted.
const CACHE_CAPACITY: usize = 4_096;

/// The sessions of verified tokens. The cache is kept beside the keys that verified them, and dropped with them.
pub(super) struct TokenCache(Cache<Box<str>, Session>);

impl Default for TokenCache {
    fn default() -> Self {
        Self(Cache::new(CACHE_CAPACITY))
    }
}

impl TokenCache {
    /// Returns the session of `token`, if it is cached. The token may have expired since.
    pub(super) fn get(&self, token: &str) -> Option<Session> {
        self.0.get(token)
    }

    /// Adds the session of a token that was just verified.
    pub(super) fn insert(&self, token: &str, session: &Session) {
        self.0.insert(token.into(), session.clone());
    }
}
