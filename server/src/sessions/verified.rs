//! Tokens that were verified before. A signature stays good as long as its key does, and checking one costs more than all
//! else of a call.

use quick_cache::sync::Cache;

use super::Session;

/// Tokens to remember before those that are seldom shown are forgotten.
const REMEMBERED: usize = 4_096;

/// What such tokens say. It is kept beside the keys that verified them, and goes with them.
pub(super) struct Verified(Cache<Box<str>, Session>);

impl Default for Verified {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Verified {
    /// What `token` says, if it verified before. By now its time may be over.
    pub(super) fn get(&self, token: &str) -> Option<Session> {
        self.0.get(token)
    }

    /// Remembers what a token says that has just verified.
    pub(super) fn keep(&self, token: &str, session: &Session) {
        self.0.insert(token.into(), session.clone());
    }
}
