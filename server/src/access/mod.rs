//! Who may do what. Pure: [`table`] says which role may call which method, [`rules`] whose things it may touch.

mod rules;
pub mod table;

use std::time::SystemTime;

use clap::ValueEnum;

pub use self::rules::Denied;
use crate::sessions::Session;

/// Whether callers must show a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Policy {
    /// Whoever shows none is let in as what they claim to be. Whoever shows one is held to it.
    Open,
    /// Nearly every call needs one: see [`table`].
    Required,
}

/// Who makes a call. Every call that reaches a service carries it in its extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// Showed no token, and need not.
    Unproven,
    /// Showed a good one.
    Proven(Session),
}

impl Principal {
    /// What the token says, if there was one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Unproven => None,
            Self::Proven(session) => Some(session),
        }
    }

    /// From then on the caller is nobody any more. `None`: never.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.session().map(|session| session.expires_at)
    }
}
