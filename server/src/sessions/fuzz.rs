//! What callers show for a token, and what it may be signed with.

use std::{sync::LazyLock, time::SystemTime};

use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

pub use super::provider::fuzz::key_set;
use super::{Keys, Role, Session, Unauthenticated, bearer};

/// The same key in each run: what is saved stays signed with it.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(&SigningKey::from_bytes(&[7; 32])));

/// A value of `authorization`; and, to get past the signature, the same bytes as the claims of a token that is signed.
pub fn token(input: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(input) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        check(bearer(&headers).and_then(|token| KEYS.verify(token, SystemTime::now())));
    }
    check(KEYS.verify(&KEYS.sign_bytes(input), SystemTime::now()));
}

/// Whoever is let in is somebody, now, and has a car only to drive it.
fn check(verified: Result<Session, Unauthenticated>) {
    let Ok(session) = verified else { return };
    assert!(!session.subject.is_empty());
    assert!(session.expires_at > SystemTime::now());
    assert_eq!(session.car.is_some(), session.role == Role::Driver);
}
