//! Sessions: who a caller is, as a signed token. Nothing is stored but the key: a token that verifies is a session.

mod bearer;
mod key_file;
mod token;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;
use rides_proto::ids::CarId;
use thiserror::Error;
use uuid::Uuid;

pub use self::{bearer::bearer, token::Keys};

/// How long a session lasts from sign-in or renewal.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// What a caller may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub enum Role {
    /// Books rides, and sees their own.
    Rider,
    /// Drives one car.
    Driver,
    /// Runs the fleet: may act for anyone.
    Dispatcher,
}

impl Role {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Rider, Self::Driver, Self::Dispatcher];
}

/// Who a caller is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Stable over renewals; the rider id of a rider's rides, the driver id of a driver.
    pub subject: String,
    /// What they may be.
    pub role: Role,
    /// The car that a driver drives. No one else has one.
    pub car: Option<CarId>,
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

/// Keys are nobody's to read.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Signs with `keys`.
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// A new session of a rider who was not known before. `name` is for people.
    pub fn open(&self, name: &str, now: SystemTime) -> Issued {
        let session = Session::new(Role::Rider, &Uuid::new_v4().to_string(), now + SESSION_LIFE);
        self.issue(Session { name: name.to_owned(), ..session }, now)
    }

    /// Whose token it is.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        self.keys.verify(token, now)
    }

    /// The same session, lasting longer.
    pub fn renew(&self, session: Session, now: SystemTime) -> Issued {
        let expires_at = session.expires_at.max(whole_seconds(now + SESSION_LIFE));
        self.issue(Session { expires_at, ..session }, now)
    }

    /// The token that says `session`.
    pub fn issue(&self, session: Session, now: SystemTime) -> Issued {
        Issued { token: self.keys.sign(&session, now), session }
    }
}

impl Session {
    /// Of someone without a car or a name.
    pub fn new(role: Role, subject: &str, expires_at: SystemTime) -> Self {
        let expires_at = whole_seconds(expires_at);
        Self { subject: subject.to_owned(), role, car: None, name: String::new(), expires_at }
    }

    /// Of a driver.
    pub fn of_driver(subject: &str, car: CarId, expires_at: SystemTime) -> Self {
        Self { car: Some(car), ..Self::new(Role::Driver, subject, expires_at) }
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
        let Issued { token, session } = sessions.open("Aino", now);

        let last = session.expires_at - Duration::from_nanos(1);
        assert_eq!(sessions.verify(&token, last), Ok(session.clone()));
        assert_eq!(sessions.verify(&token, session.expires_at), Err(Unauthenticated::Expired));
    }

    #[test]
    fn renewing_changes_only_the_end() {
        let sessions = Sessions::new(Keys::generate());
        let now = SystemTime::now();
        let first = sessions.open("Aino", now).session;
        let later = now + Duration::from_secs(60);
        let renewed = sessions.renew(first.clone(), later).session;
        assert_eq!(renewed.expires_at, first.expires_at + Duration::from_secs(60));
        assert_eq!(Session { expires_at: first.expires_at, ..renewed }, first);

        let long = Session::new(Role::Dispatcher, "eve", now + SESSION_LIFE * 10);
        assert_eq!(sessions.renew(long.clone(), now).session, long, "nor is it brought forward");
    }
}
