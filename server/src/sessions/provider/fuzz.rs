//! The fuzz target for the key set of an identity provider.

use std::{sync::LazyLock, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;

use super::{
    claims::ExpectedClaims,
    crypto,
    keys::{KeySet, MAX_KEYS},
};

static EXPECTED: LazyLock<ExpectedClaims> = LazyLock::new(|| {
    let [issuer, audience, role, car] = ["https://id.example", "rides", "role", "car"].map(str::to_owned);
    ExpectedClaims { issuer, audience, role, car }
});

/// Parses the input as a key set, and verifies a token with each key, since a key's parts are read only then.
pub fn key_set(input: &[u8]) {
    crypto::install();
    let Ok(keys) = KeySet::parse(input) else { return };
    assert!((1..=MAX_KEYS).contains(&keys.len()));
    for key in keys.keys() {
        assert!(matches!(key.algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA));
        // Either result is right: the input has chosen the key.
        _ = EXPECTED.session(&token(key.algorithm), key, SystemTime::now());
    }
}

fn token(algorithm: Algorithm) -> String {
    let header = format!(r#"{{"alg":"{algorithm:?}","kid":"k"}}"#);
    let claims = r#"{"iss":"https://id.example","aud":"rides","sub":"eve","role":"rider","exp":4000000000}"#;
    [header.as_bytes(), claims.as_bytes(), &[0; 64]].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".")
}
