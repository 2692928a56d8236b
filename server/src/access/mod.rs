//! Who may do what. Pure: [`table`] says which role may call which method, [`rules`] whose things it may touch.

mod rules;
pub mod table;

use std::net::IpAddr;

use clap::ValueEnum;
use rides_proto::ids::CarId;

pub use self::rules::Denied;
use crate::sessions::{Role, Session};

/// Whether callers must show a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Policy {
    /// Whoever shows none is let in as what they claim to be. Whoever shows one is held to it.
    Open,
    /// Nearly every call needs one: see [`table`].
    Required,
}

/// The address of a caller. A request to book carries it in its extensions, unless the address stands for many callers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerAddress(pub IpAddr);

/// Who makes a call. Every call that reaches a service carries it in its extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// Showed nothing, and need not.
    Unproven,
    /// Showed a certificate that names this car, and no token: whoever drives it.
    Certified(CarId),
    /// Showed a good token.
    Proven(Session),
}

impl Principal {
    /// What the token says, if there was one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Unproven | Self::Certified(_) => None,
            Self::Proven(session) => Some(session),
        }
    }

    /// As what they are let in. `None`: as what they claim to be.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Unproven => None,
            Self::Certified(_) => Some(Role::Driver),
            Self::Proven(session) => Some(session.role),
        }
    }
}
