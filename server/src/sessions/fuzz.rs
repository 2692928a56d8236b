//! Fuzz targets for tokens and for the keys that verify them.

use std::{sync::LazyLock, time::SystemTime};

use ed25519_dalek::SigningKey;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

pub use super::provider::fuzz::key_set;
use super::{Role, Session, TokenKeys, Unauthenticated, bearer};

/// A fixed key, so that saved inputs with a signature stay valid.
static KEYS: LazyLock<TokenKeys> = LazyLock::new(|| TokenKeys::new(&SigningKey::from_bytes(&[7; 32])));

/// Reads the input as an `authorization` header, and then as the claims of a correctly signed token, which gets past
/// the check of the signature.
pub fn token(input: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(input) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        check(bearer(&headers).and_then(|token| KEYS.verify(token, SystemTime::now())));
    }
    check(KEYS.verify(&KEYS.sign_bytes(input), SystemTime::now()));
}

/// Asserts that a verified session has a subject, has not expired, and has a car if and only if it is a driver's.
fn check(verified: Result<Session, Unauthenticated>) {
    let Ok(session) = verified else { return };
    assert!(!session.subject.is_empty());
    assert!(session.expires_at > SystemTime::now());
    assert_eq!(session.car.is_some(), session.role == Role::Driver);
}
