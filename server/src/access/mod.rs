//! Authorization, without I/O. [`role_table`] lists the roles that may call each method. [`rules`] decide which rides
//! and cars a caller may use.

mod authenticator;
mod rules;
pub mod table;

use clap::ValueEnum;
use rides_proto::ids::CarId;

pub use self::{authenticator::RidesAuthenticator, rules::Denied};
use crate::sessions::{Role, Session};

/// The policy for calls without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum AuthPolicy {
    /// Callers need no token; a caller with a token has only the rights of that token.
    Open,
    /// Every call needs a token, except sign-in and health checks.
    Required,
}

/// The identity of a caller. Each request that reaches a service carries it in its extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Principal {
    /// A caller without a token or a client certificate, where none is required.
    Anonymous,
    /// A caller with a client certificate for this car and without a token. It may act as any driver of the car.
    Certificate(CarId),
    /// A caller with a valid token.
    Authenticated(Session),
}

impl Principal {
    /// Returns the session of the token, or `None` for a caller without a token.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Anonymous | Self::Certificate(_) => None,
            Self::Authenticated(session) => Some(session),
        }
    }

    /// Returns the role of the caller. `None` is an unproven caller, which may act in each role.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Anonymous => None,
            Self::Certificate(_) => Some(Role::Driver),
            Self::Authenticated(session) => Some(session.role),
        }
    }
}
