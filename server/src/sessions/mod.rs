//! Sessions as signed tokens.
//!
//! A token is valid if its signature is, and if its session was not [`revocations`]. The server stores nothing else but
//! the signing key. It also accepts the tokens of an identity [`provider`], if one is configured.

mod bearer;
mod crypto;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod key_file;
mod provider;
mod revocations;
mod token;
mod token_cache;

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

use self::token_cache::TokenCache;
pub use self::{
    bearer::bearer,
    provider::{ExpectedClaims, KeySource, Provider, Refresh},
    revocations::{MAX_REVOCATIONS, Revocations, RevokeError, SessionScope},
    token::TokenKeys,
};
use grpc_edge::wall_clock;

/// The lifetime of a session from sign-in or renewal.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// The precision of times in tokens.
const SECOND: Duration = Duration::from_secs(1);

/// The longest lifetime of a token of this server or of an identity provider.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The role of a caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub enum Role {
    /// Books rides, and sees its own.
    Rider,
    /// Drives one car.
    Driver,
    /// Runs the fleet, and may act for all riders and drivers.
    Dispatcher,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Rider, Self::Driver, Self::Dispatcher];
}

/// The identity in a verified token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The id of the session. Renewal keeps it.
    pub id: String,
    /// The user: the rider id of a rider's rides, the driver id of a driver. Renewal keeps it.
    pub subject: String,
    /// The role of the user.
    pub role: Role,
    /// The car of a driver. Other roles have none.
    pub car: Option<CarId>,
    /// The display name. May be empty.
    pub name: String,
    /// The time from which the session counts as begun, in whole seconds. Renewal by this server keeps it.
    pub issued_at: SystemTime,
    /// The time from which the token is not valid, in whole seconds.
    pub expires_at: SystemTime,
    /// `true` if this server issued the session, `false` if an identity provider did, which then alone can renew it.
    pub issued_here: bool,
}

/// A session and its signed token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// The token, for the `authorization` header after `Bearer `.
    pub token: String,
    /// The session that the token proves.
    pub session: Session,
}

/// The reason why a caller has no valid session. The caller is not told which check a bad token failed.
#[derive(Clone, Copy, PartialEq, Eq, Error, Debug)]
pub enum Unauthenticated {
    /// The request has no `authorization` header.
    #[error("a session is needed: send `authorization: Bearer TOKEN` with a token from Sessions.SignIn")]
    Missing,
    /// The `authorization` header is repeated, or is not a bearer token.
    #[error("the authorization header must be sent once, in the form `authorization: Bearer TOKEN`")]
    Malformed,
    /// The value is not a token, or the token does not verify.
    #[error("the token is not valid")]
    Invalid,
    /// The token has expired, or its session was revoked.
    #[error("the session has expired or was revoked: sign in again")]
    Expired,
    /// The client certificate has expired or was revoked.
    #[error("the client certificate has expired or was revoked: connect with another")]
    CertificateExpired,
    /// The identity provider's key for the token is not known yet.
    #[error("the identity provider's keys are being fetched: retry the call")]
    KeysPending,
}

/// Issues and verifies sessions.
pub struct Sessions {
    keys: TokenKeys,
    verified: TokenCache,
    provider: Option<Arc<Provider>>,
    revocations: Arc<Revocations>,
}

/// Leaves out the keys, so that they do not end up in a log.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Returns sessions that are signed with `gen_key`. No other tokens are accepted, and revocations are kept in
    /// memory.
    pub fn new(keys: TokenKeys) -> Self {
        Self {
            keys,
            verified: TokenCache::default(),
            provider: None,
            revocations: Arc::new(Revocations::in_memory()),
        }
    }

    /// Accepts the tokens of an identity provider, too.
    #[must_use]
    pub fn with_provider(self, provider: Option<Arc<Provider>>) -> Self {
        Self { provider, ..self }
    }

    /// Refuses the sessions in `revocations`, and adds later revocations there.
    #[must_use]
    pub fn with_revocations(self, revocations: Arc<Revocations>) -> Self {
        Self { revocations, ..self }
    }

    /// Issues a new session for a guest: the guest with `secret`, or a new guest without one. `name` is the display
    /// name.
    pub fn sign_in_guest(&self, name: &str, secret: Option<&str>, now: SystemTime) -> Issued {
        let subject = secret.map_or_else(Uuid::new_v4, subject_of);
        let session = Session::new(Role::Rider, &subject.to_string(), now + SESSION_LIFETIME);
        let session = Session { name: name.to_owned(), issued_at: whole_seconds(now), ..session };
        // A revocation of a subject covers every session issued up to its second. This session must not be among them,
        // also in that same second, or if the clock was set back since.
        let earliest =
            self.revocations.subject_revoked_at(&session.subject).map(|at| whole_seconds(at) + SECOND);
        self.sign(Session {
            issued_at: session.issued_at.max(earliest.unwrap_or(session.issued_at)),
            ..session
        })
    }

    /// Returns the session of a token.
    ///
    /// # Errors
    /// The reason why the token is not valid at `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        let session = match self.cached(token) {
            Some(session) if session.expires_at <= now => return Err(Unauthenticated::Expired),
            Some(session) => session,
            None => self.verify_uncached(token, now)?,
        };
        if self.revocations.is_revoked(&session) { Err(Unauthenticated::Expired) } else { Ok(session) }
    }

    fn cached(&self, token: &str) -> Option<Session> {
        self.verified.get(token).or_else(|| self.provider.as_ref()?.verified_before(token))
    }

    fn verify_uncached(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        let header = decode_header(token).map_err(|_no_token| Unauthenticated::Invalid)?;
        // The key id alone selects the key: this server's or the provider's.
        let name = header.kid.ok_or(Unauthenticated::Invalid)?;
        if let Some(provider) = self.provider.as_ref().filter(|_| name != self.keys.id()) {
            return provider.verify(token, &name, now);
        }
        let session = self.keys.verify(token, now)?;
        self.verified.insert(token, &session);
        Ok(session)
    }

    /// Issues a token for the same session with a later expiry. `issued_at` stays, so that a revocation of all sessions
    /// before some time covers the renewed one, too.
    pub fn renew(&self, session: Session, now: SystemTime) -> Issued {
        let expires_at = session.expires_at.max(whole_seconds(now + SESSION_LIFETIME));
        self.sign(Session { expires_at, ..session })
    }

    /// Issues a token for `session`, with `now` as the time of issue.
    pub fn issue(&self, session: Session, now: SystemTime) -> Issued {
        self.sign(Session { issued_at: whole_seconds(now), ..session })
    }

    fn sign(&self, session: Session) -> Issued {
        Issued { token: self.keys.sign(&session), session }
    }

    /// Returns the revocations.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Returns a lease, which waits for the end of `session`.
    pub fn lease(&self, session: &Session) -> SessionExpiry {
        SessionExpiry { session: session.clone(), revocations: Arc::clone(&self.revocations) }
    }

    /// Refreshes the identity provider's keys and the revocations. Never returns.
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
    /// Returns a session of this server, without a car or a name.
    pub fn new(role: Role, subject: &str, expires_at: SystemTime) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            subject: subject.to_owned(),
            role,
            car: None,
            name: String::new(),
            issued_at: SystemTime::UNIX_EPOCH,
            expires_at: whole_seconds(expires_at),
            issued_here: true,
        }
    }

    /// Returns a driver's session.
    pub fn of_driver(subject: &str, car: CarId, expires_at: SystemTime) -> Self {
        Self { car: Some(car), ..Self::new(Role::Driver, subject, expires_at) }
    }
}

/// The remaining lifetime of a session.
#[derive(Clone)]
pub struct SessionExpiry {
    session: Session,
    revocations: Arc<Revocations>,
}

impl SessionExpiry {
    /// Returns when the session has expired or was revoked.
    pub async fn ended(&self) -> Unauthenticated {
        tokio::select! {
            () = wall_clock::sleep_until(self.session.expires_at) => {}
            () = self.revocations.until_revoked(&self.session) => {}
        }
        Unauthenticated::Expired
    }
}

/// Returns the subject of the guest with `secret`, by a one-way function.
fn subject_of(secret: &str) -> Uuid {
    let digest = Sha256::new().chain_update("rides guest ").chain_update(secret).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// Rounds down to the precision of times in tokens.
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
        let sessions = Sessions::new(TokenKeys::generate());
        let now = SystemTime::now();
        let Issued { token, session } = sessions.sign_in_guest("Aino", None, now);

        let last = session.expires_at - Duration::from_nanos(1);
        for verified_before in [None, Some(session.clone())] {
            assert_eq!(sessions.cached(&token), verified_before);
            assert_eq!(sessions.verify(&token, session.expires_at), Err(Unauthenticated::Expired));
            assert_eq!(sessions.verify(&token, last), Ok(session.clone()));
        }
    }

    /// BAD-7 in docs/failures.md.
    #[tokio::test]
    async fn a_guest_is_known_again_by_the_secret_whatever_became_of_the_tokens() {
        let now = SystemTime::now();
        let (secret, other) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee");
        let sessions = Sessions::new(TokenKeys::generate());
        let first = sessions.sign_in_guest("Aino", Some(secret), now).session;
        let elsewhere = Sessions::new(TokenKeys::generate()).sign_in_guest("", Some(secret), now).session;
        assert_eq!(elsewhere.subject, first.subject, "the subject does not depend on the key");
        assert_ne!(elsewhere.id, first.id);
        for stranger in [Some(other), None] {
            assert_ne!(sessions.sign_in_guest("Aino", stranger, now).session.subject, first.subject);
        }
        assert!(!first.subject.contains(secret));

        let Issued { token, session } = sessions.sign_in_guest("Aino", Some(secret), now);
        sessions.revocations().revoke(SessionScope::Subject(session.subject.clone()), now).await.unwrap();
        assert_eq!(sessions.verify(&token, now), Err(Unauthenticated::Expired));
        let again = sessions.sign_in_guest("Aino", Some(secret), now);
        assert_eq!(sessions.verify(&again.token, now), Ok(again.session), "in the same second");
        let earlier = now - Duration::from_secs(300);
        let again = sessions.sign_in_guest("Aino", Some(secret), earlier);
        assert_eq!(sessions.verify(&again.token, earlier), Ok(again.session), "after the clock was set back");
    }

    #[test]
    fn renewing_changes_only_the_end() {
        let sessions = Sessions::new(TokenKeys::generate());
        let now = SystemTime::now();
        let first = sessions.sign_in_guest("Aino", None, now).session;
        let later = now + Duration::from_secs(60);
        let renewed = sessions.renew(first.clone(), later).session;
        assert_eq!(renewed.expires_at, first.expires_at + Duration::from_secs(60));
        assert_eq!(Session { expires_at: first.expires_at, ..renewed }, first);

        let long = Session::new(Role::Dispatcher, "eve", now + SESSION_LIFETIME * 10);
        assert_eq!(
            sessions.renew(long.clone(), now).session.expires_at,
            long.expires_at,
            "renewal never shortens a session"
        );
    }
}
