//! The keys of an identity provider: a JSON Web Key Set (RFC 7517). Without I/O.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use thiserror::Error;

/// The most keys in one set.
pub(super) const MAX_KEYS: usize = 100;

/// Keys by their `kid`. Each is for one algorithm, so that a token cannot choose another.
#[derive(Clone, Default)]
pub(super) struct KeySet(HashMap<String, Key>);

#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The reason why a key set is refused.
#[derive(Debug, Error)]
pub(super) enum KeySetError {
    #[error("the content is not a JSON Web Key Set: {0}")]
    NotASet(#[from] serde_json::Error),
    #[error("the key set has {0} keys, and the limit is {MAX_KEYS}")]
    TooMany(usize),
    #[error("the key set has no key with a kid for RS256, ES256 or EdDSA")]
    NoneOfUse,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Parses a key set. Keys for other purposes and algorithms, or without a `kid`, are left out.
    ///
    /// # Errors
    /// If `json` is not a key set, has too many keys, or none that can be used.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let Set { keys } = serde_json::from_slice(json)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(keys.len()));
        }
        let named = keys.into_iter().filter_map(|key| named(&serde_json::from_value(key).ok()?));
        let keys: HashMap<_, _> = named.collect();
        if keys.is_empty() { Err(KeySetError::NoneOfUse) } else { Ok(Self(keys)) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Key> {
        self.0.get(name)
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.values()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn named(jwk: &Jwk) -> Option<(String, Key)> {
    let for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let as_said = jwk.common.key_algorithm.is_none_or(|said| said == KeyAlgorithm::from(algorithm));
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| for_signatures && as_said)?;
    Some((jwk.common.key_id.clone()?, Key { algorithm, key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x0_GC9MvXd_1rL0YUQYRk6IGv2xLlRKrAF4AlnkvkNc""#;
    const RSA: &str = r#""kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB""#;

    fn set(keys: &[String]) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    fn with(key: &str, more: &str) -> String {
        format!(r#"{{{key},{more}}}"#)
    }

    #[test]
    fn the_kind_of_a_key_is_its_algorithm() {
        let keys =
            [(ED, "ed", Algorithm::EdDSA), (EC, "ec", Algorithm::ES256), (RSA, "rsa", Algorithm::RS256)];
        let set = set(&keys.map(|(key, name, _)| with(key, &format!(r#""kid":"{name}""#)))).unwrap();
        for (_, name, algorithm) in keys {
            assert_eq!(set.get(name).map(|key| key.algorithm), Some(algorithm));
        }
        assert!(set.get("another").is_none());
    }

    /// A3 in docs/edge.md.
    #[test]
    fn what_is_of_no_use_is_passed_over() {
        let good = with(ED, r#""kid":"good","use":"sig","alg":"EdDSA""#);
        for other in [
            ED.to_owned(),
            with(ED, r#""kid":"encrypts","use":"enc""#),
            with(RSA, r#""kid":"pss","alg":"PS256""#),
            with(RSA, r#""kid":"confused","alg":"HS256""#),
            r#""kty":"oct","k":"c2VjcmV0","kid":"secret","alg":"HS256""#.to_owned(),
            r#""kty":"EC","crv":"P-384","x":"","y":"","kid":"curve""#.to_owned(),
            r#""kty":"new","kid":"new""#.to_owned(),
            r#""kid":"broken""#.to_owned(),
        ] {
            let other = if other.starts_with('{') { other } else { format!("{{{other}}}") };
            assert!(matches!(set(std::slice::from_ref(&other)), Err(KeySetError::NoneOfUse)), "{other}");
            assert_eq!(set(&[other, good.clone()]).unwrap().len(), 1);
        }
    }

    #[test]
    fn what_is_no_set_is_said_to_be_none() {
        for json in ["", "[]", "{}", r#"{"keys":7}"#, "<html>"] {
            assert!(matches!(KeySet::parse(json.as_bytes()), Err(KeySetError::NotASet(_))), "{json}");
        }
        let many: Vec<_> = (0..=MAX_KEYS).map(|n| with(ED, &format!(r#""kid":"{n}""#))).collect();
        assert!(matches!(set(&many), Err(KeySetError::TooMany(101))));
    }
}
