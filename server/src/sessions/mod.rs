//! Sessions: who a caller is, as a signed token. Nothing is stored: a token that verifies is a session.

mod bearer;
mod token;

use std::time::{Duration, SystemTime};

use thiserror::Error;
use uuid::Uuid;

pub use self::{bearer::bearer, token::Keys};

/// How long a session lasts from sign-in or renewal.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// What a caller may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Books rides.
    Rider,
    /// Drives a car.
    Driver,
    /// Runs the fleet.
    Dispatcher,
}

/// Who a caller is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Stable over renewals; the rider id of a rider's rides.
    pub subject: String,
    /// What they may be.
    pub role: Role,
    /// For people. May be empty.
    pub name: String,
    /// In whole seconds. From then on the session is over.
    pub expires_at: SystemTime,
}

/// A session and the token that proves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// For the `authorization` header, after `Bearer `.
    pub token: String,
    /// What it says.
    pub session: Session,
}

/// Why there is no session. Which check a bad token failed is not the caller's business.
#[derive(Clone, Copy, PartialEq, Eq, Error, Debug)]
pub enum Unauthenticated {
    /// Nothing was shown.
    #[error("a session is needed: send `authorization: Bearer TOKEN` with a token from Sessions.SignIn")]
    Missing,
    /// Not ours, not whole, or no token at all.
    #[error("the token is not valid")]
    Invalid,
    /// It was good once.
    #[error("the session is over: sign in again")]
    Expired,
}

/// Gives out sessions and recognises them.
pub struct Sessions {
    keys: Keys,
}

impl Sessions {
    /// Signs with `keys`.
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// A new session of someone who was not known before.
    pub fn open(&self, role: Role, name: &str, now: SystemTime) -> Issued {
        self.issue(Uuid::new_v4().to_string(), role, name.to_owned(), now)
    }

    /// Whose token it is.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        self.keys.verify(token, now)
    }

    /// The same session, lasting longer.
    pub fn renew(&self, session: Session, now: SystemTime) -> Issued {
        self.issue(session.subject, session.role, session.name, now)
    }

    fn issue(&self, subject: String, role: Role, name: String, now: SystemTime) -> Issued {
        let session = Session { subject, role, name, expires_at: whole_seconds(now + SESSION_LIFE) };
        Issued { token: self.keys.sign(&session, now), session }
    }
}

/// Tokens carry whole seconds.
fn whole_seconds(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds(time))
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_to_the_second() {
        let sessions = Sessions::new(Keys::generate());
        let now = SystemTime::now();
        let Issued { token, session } = sessions.open(Role::Rider, "Aino", now);

        let last = session.expires_at - Duration::from_nanos(1);
        assert_eq!(sessions.verify(&token, last), Ok(session.clone()));
        assert_eq!(sessions.verify(&token, session.expires_at), Err(Unauthenticated::Expired));
    }

    #[test]
    fn renewing_changes_only_the_end() {
        let sessions = Sessions::new(Keys::generate());
        let now = SystemTime::now();
        let first = sessions.open(Role::Rider, "Aino", now).session;
        let later = now + Duration::from_secs(60);
        let renewed = sessions.renew(first.clone(), later).session;
        assert_eq!(renewed.expires_at, first.expires_at + Duration::from_secs(60));
        assert_eq!(Session { expires_at: first.expires_at, ..renewed }, first);
    }
}
