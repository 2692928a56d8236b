//! Sessions: who a caller is, as a signed token. A token that verifies is a session, unless it was [`revoked`]: nothing
//! else is stored but the key. Beside our own there may be those of an identity [`provider`].

mod bearer;
mod crypto;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod key_file;
mod provider;
mod revoked;
mod token;
mod verified;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;
use jsonwebtoken::decode_header;
use rides_proto::ids::CarId;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::{Builder, Uuid};

use self::verified::Verified;
pub use self::{
    bearer::bearer,
    provider::{Expected, Provider, Refresh, Source},
    revoked::{MOST_REVOKED, NotRevoked, Revocations, Whose},
    token::Keys,
};
use crate::clock;

/// How long a session lasts from sign-in or renewal.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// The precision of times in tokens.
const SECOND: Duration = Duration::from_secs(1);

/// No token lasts longer, whoever gave it out.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

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
    /// Names it, stable over renewals.
    pub id: String,
    /// Whose it is. Stable too; the rider id of a rider's rides, the driver id of a driver.
    pub subject: String,
    /// What they may be.
    pub role: Role,
    /// The car that a driver drives. No one else has one.
    pub car: Option<CarId>,
    /// For people. May be empty.
    pub name: String,
    /// When its newest token was given out, in whole seconds.
    pub issued_at: SystemTime,
    /// In whole seconds. From then on the session is over.
    pub expires_at: SystemTime,
    /// Given out here, and not by an identity provider, which alone can renew what it gave out.
    pub is_ours: bool,
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
    /// The header has another form than a token is shown in.
    #[error("the authorization header must be sent once, in the form `authorization: Bearer TOKEN`")]
    Malformed,
    /// Not ours, not whole, or no token at all.
    #[error("the token is not valid")]
    Invalid,
    /// It was good once: its time is over, or it was revoked.
    #[error("the session is over: sign in again")]
    Expired,
    /// The client certificate was good once: its time is over, or it was revoked.
    #[error("the client certificate is over: connect with another")]
    CertificateOver,
    /// It may be good: the identity provider's key for it is not here yet.
    #[error("the identity provider's keys are being fetched: call again")]
    Undecided,
}

/// Gives out sessions and recognises them.
pub struct Sessions {
    keys: Keys,
    verified: Verified,
    provider: Option<Arc<Provider>>,
    revocations: Arc<Revocations>,
}

/// Keys are nobody's to read.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Signs with `keys`, knows no other tokens, and forgets at the end what is revoked.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            verified: Verified::default(),
            provider: None,
            revocations: Arc::new(Revocations::in_memory()),
        }
    }

    /// The same, with the tokens of an identity provider too.
    #[must_use]
    pub fn trusting(self, provider: Option<Arc<Provider>>) -> Self {
        Self { provider, ..self }
    }

    /// The same, with what is revoked already.
    #[must_use]
    pub fn without(self, revocations: Arc<Revocations>) -> Self {
        Self { revocations, ..self }
    }

    /// A new session of a guest: of the one who knows `secret`, or else of a new one. `name` is for people.
    pub fn open(&self, name: &str, secret: Option<&str>, now: SystemTime) -> Issued {
        let subject = secret.map_or_else(Uuid::new_v4, subject_of);
        let session = Session::new(Role::Rider, &subject.to_string(), now + SESSION_LIFE);
        let session = Session { name: name.to_owned(), issued_at: whole_seconds(now), ..session };
        // All that a subject had up to a second may be revoked, and this session is a later one. The clock may have been set
        // back since.
        let earliest =
            self.revocations.subject_revoked_at(&session.subject).map(|at| whole_seconds(at) + SECOND);
        self.sign(Session {
            issued_at: session.issued_at.max(earliest.unwrap_or(session.issued_at)),
            ..session
        })
    }

    /// Whose token it is.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        let session = match self.verified_before(token) {
            Some(session) if session.expires_at <= now => return Err(Unauthenticated::Expired),
            Some(session) => session,
            None => self.verify_anew(token, now)?,
        };
        if self.revocations.cover(&session) { Err(Unauthenticated::Expired) } else { Ok(session) }
    }

    fn verified_before(&self, token: &str) -> Option<Session> {
        self.verified.get(token).or_else(|| self.provider.as_ref()?.verified_before(token))
    }

    fn verify_anew(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        let header = decode_header(token).map_err(|_no_token| Unauthenticated::Invalid)?;
        // Keys are told apart by their names. A token without one is nobody's.
        let name = header.kid.ok_or(Unauthenticated::Invalid)?;
        if let Some(provider) = self.provider.as_ref().filter(|_| name != self.keys.id()) {
            return provider.verify(token, &name, now);
        }
        let session = self.keys.verify(token, now)?;
        self.verified.keep(token, &session);
        Ok(session)
    }

    /// The same session, lasting longer. It began when it did, so that what ends all that began before ends it too.
    pub fn renew(&self, session: Session, now: SystemTime) -> Issued {
        let expires_at = session.expires_at.max(whole_seconds(now + SESSION_LIFE));
        self.sign(Session { expires_at, ..session })
    }

    /// The token that says `session`.
    pub fn issue(&self, session: Session, now: SystemTime) -> Issued {
        self.sign(Session { issued_at: whole_seconds(now), ..session })
    }

    fn sign(&self, session: Session) -> Issued {
        Issued { token: self.keys.sign(&session), session }
    }

    /// What is revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The time that `session` has.
    pub fn lease(&self, session: &Session) -> Lease {
        Lease { session: session.clone(), revocations: Arc::clone(&self.revocations) }
    }

    /// Keeps up with the identity provider, and with what is revoked, for ever.
    pub async fn follow(&self) {
        let keys = async {
            match &self.provider {
                Some(provider) => provider.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(keys, self.revocations.follow());
    }
}

impl Session {
    /// Of someone without a car or a name, given out here.
    pub fn new(role: Role, subject: &str, expires_at: SystemTime) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            subject: subject.to_owned(),
            role,
            car: None,
            name: String::new(),
            issued_at: SystemTime::UNIX_EPOCH,
            expires_at: whole_seconds(expires_at),
            is_ours: true,
        }
    }

    /// Of a driver.
    pub fn of_driver(subject: &str, car: CarId, expires_at: SystemTime) -> Self {
        Self { car: Some(car), ..Self::new(Role::Driver, subject, expires_at) }
    }
}

/// What is left of a session's time.
#[derive(Clone)]
pub struct Lease {
    session: Session,
    revocations: Arc<Revocations>,
}

impl Lease {
    /// Once the session is over, by the clock or because it was revoked.
    pub async fn over(&self) -> Unauthenticated {
        tokio::select! {
            () = clock::past(self.session.expires_at) => {}
            () = self.revocations.revoked(&self.session) => {}
        }
        Unauthenticated::Expired
    }
}

/// The subject of the guest who knows `secret`. The secret cannot be found from it.
fn subject_of(secret: &str) -> Uuid {
    let digest = Sha256::new().chain_update("rides guest ").chain_update(secret).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
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
        let Issued { token, session } = sessions.open("Aino", None, now);

        let last = session.expires_at - Duration::from_nanos(1);
        for verified_before in [None, Some(session.clone())] {
            assert_eq!(sessions.verified_before(&token), verified_before);
            assert_eq!(sessions.verify(&token, session.expires_at), Err(Unauthenticated::Expired));
            assert_eq!(sessions.verify(&token, last), Ok(session.clone()));
        }
    }

    /// BAD-7
    #[tokio::test]
    async fn a_guest_is_known_again_by_the_secret_whatever_became_of_the_tokens() {
        let now = SystemTime::now();
        let (secret, other) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee");
        let sessions = Sessions::new(Keys::generate());
        let first = sessions.open("Aino", Some(secret), now).session;
        let elsewhere = Sessions::new(Keys::generate()).open("", Some(secret), now).session;
        assert_eq!(elsewhere.subject, first.subject, "also when the keys are others");
        assert_ne!(elsewhere.id, first.id);
        for stranger in [Some(other), None] {
            assert_ne!(sessions.open("Aino", stranger, now).session.subject, first.subject);
        }
        assert!(!first.subject.contains(secret));

        let Issued { token, session } = sessions.open("Aino", Some(secret), now);
        sessions.revocations().revoke(Whose::Subject(session.subject.clone()), now).await.unwrap();
        assert_eq!(sessions.verify(&token, now), Err(Unauthenticated::Expired));
        let again = sessions.open("Aino", Some(secret), now);
        assert_eq!(sessions.verify(&again.token, now), Ok(again.session), "in the same second");
        let earlier = now - Duration::from_secs(300);
        let again = sessions.open("Aino", Some(secret), earlier);
        assert_eq!(sessions.verify(&again.token, earlier), Ok(again.session), "after the clock was set back");
    }

    #[test]
    fn renewing_changes_only_the_end() {
        let sessions = Sessions::new(Keys::generate());
        let now = SystemTime::now();
        let first = sessions.open("Aino", None, now).session;
        let later = now + Duration::from_secs(60);
        let renewed = sessions.renew(first.clone(), later).session;
        assert_eq!(renewed.expires_at, first.expires_at + Duration::from_secs(60));
        assert_eq!(Session { expires_at: first.expires_at, ..renewed }, first);

        let long = Session::new(Role::Dispatcher, "eve", now + SESSION_LIFE * 10);
        assert_eq!(
            sessions.renew(long.clone(), now).session.expires_at,
            long.expires_at,
            "nor is it brought forward"
        );
    }
}
