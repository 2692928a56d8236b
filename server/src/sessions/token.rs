//! The tokens of this server: JWTs (RFC 7519) signed with EdDSA only.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, VerifyingKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rides_proto::ids::CarId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Role, Session, Unauthenticated, crypto, unix_seconds};

const ISSUER: &str = "rides";

/// The key pair that signs and verifies tokens.
pub struct TokenKeys {
    /// The `kid` in the header of each token: the thumbprint of the public key (RFC 7638).
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    role: RoleClaim,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    car: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// The id of the session. Tokens of earlier servers have none.
    #[serde(default)]
    sid: String,
    #[serde(default)]
    iat: u64,
    exp: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleClaim {
    Rider,
    Driver,
    Dispatcher,
}

impl TokenKeys {
    /// Generates a key from the system's randomness. Its tokens are valid only until the process ends.
    ///
    /// # Panics
    /// If the system has no source of randomness.
    pub fn generate() -> Self {
        Self::new(&new_key())
    }

    pub(super) fn new(key: &SigningKey) -> Self {
        crypto::install();
        let der = key.to_pkcs8_der().expect("an Ed25519 key always has a PKCS #8 form");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        // `verify` checks the expiry itself, against `now` and without leeway.
        validation.validate_exp = false;
        Self {
            id: thumbprint(&key.verifying_key()),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
            validation,
        }
    }

    /// Returns the `kid` of the key.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns a signed token for `session`.
    pub(super) fn sign(&self, session: &Session) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: session.subject.clone(),
            role: session.role.into(),
            car: session.car.map(CarId::get),
            name: session.name.clone(),
            sid: session.id.clone(),
            iat: unix_seconds(session.issued_at),
            exp: unix_seconds(session.expires_at),
        };
        encode(&self.header(), &claims, &self.signing).expect("signing fails only with a key of another kind")
    }

    /// Returns a signed token with arbitrary bytes as its claims.
    #[cfg(any(test, fuzzing))]
    pub(super) fn sign_bytes(&self, claims: &[u8]) -> String {
        let header = serde_json::to_vec(&self.header()).expect("a header is JSON");
        let message = [header.as_slice(), claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, Algorithm::EdDSA);
        format!("{message}.{}", signature.expect("the key is for EdDSA"))
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) }
    }

    /// Returns the session of `token`.
    ///
    /// # Errors
    /// [`Unauthenticated::Invalid`] if this key has not signed it or a claim is wrong, [`Unauthenticated::Expired`] if
    /// it has expired at `now`.
    pub(super) fn verify(&self, token: &str, now: SystemTime) -> Result<Session, Unauthenticated> {
        let decoded = decode::<Claims>(token, &self.verifying, &self.validation)
            .map_err(|_which_check| Unauthenticated::Invalid)?;
        // A recipient must refuse critical extensions that it does not know (RFC 7515, section 4.1.11). There are none
        // here.
        if decoded.header.crit.is_some() || decoded.header.kid.as_ref() != Some(&self.id) {
            return Err(Unauthenticated::Invalid);
        }
        let claims = decoded.claims;
        // Rides that were not booked have an empty rider. A token with an empty subject would see all of them.
        if claims.sub.is_empty() {
            return Err(Unauthenticated::Invalid);
        }
        let car = match (claims.role, claims.car) {
            (RoleClaim::Driver, Some(car)) => Some(CarId::new(car).ok_or(Unauthenticated::Invalid)?),
            (RoleClaim::Rider | RoleClaim::Dispatcher, None) => None,
            _ => return Err(Unauthenticated::Invalid),
        };
        let [issued_at, expires_at] = [claims.iat, claims.exp].map(moment);
        let (issued_at, expires_at) = issued_at.zip(expires_at).ok_or(Unauthenticated::Invalid)?;
        if expires_at <= now {
            return Err(Unauthenticated::Expired);
        }
        Ok(Session {
            id: if claims.sid.is_empty() { fingerprint(token) } else { claims.sid },
            subject: claims.sub,
            role: claims.role.into(),
            car,
            name: claims.name,
            issued_at,
            expires_at,
            issued_here: true,
        })
    }
}

/// Generates a key from the system's randomness.
pub(super) fn new_key() -> SigningKey {
    SigningKey::from_bytes(&rand::random())
}

fn moment(unix_seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds))
}

/// Returns the session id of a token that has none.
pub(super) fn fingerprint(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn thumbprint(key: &VerifyingKey) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

impl From<Role> for RoleClaim {
    fn from(role: Role) -> Self {
        match role {
            Role::Rider => Self::Rider,
            Role::Driver => Self::Driver,
            Role::Dispatcher => Self::Dispatcher,
        }
    }
}

impl From<RoleClaim> for Role {
    fn from(role: RoleClaim) -> Self {
        match role {
            RoleClaim::Rider => Self::Rider,
            RoleClaim::Driver => Self::Driver,
            RoleClaim::Dispatcher => Self::Dispatcher,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::hmac;

    use super::*;

    fn session() -> Session {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let driver = Session::of_driver("somebody", CarId::new(7).unwrap(), end);
        Session {
            name: "Aino Ä".to_owned(),
            issued_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            ..driver
        }
    }

    fn keys_of(secret: u8) -> TokenKeys {
        TokenKeys::new(&SigningKey::from_bytes(&[secret; 32]))
    }

    fn verify(keys: &TokenKeys, token: &str) -> Result<Session, Unauthenticated> {
        keys.verify(token, SystemTime::now())
    }

    #[test]
    fn what_is_signed_verifies_and_only_with_the_same_keys() {
        let (keys, session) = (TokenKeys::generate(), session());
        let token = keys.sign(&session);
        assert_eq!(verify(&keys, &token), Ok(session));
        assert_eq!(verify(&TokenKeys::generate(), &token), Err(Unauthenticated::Invalid));
    }

    #[test]
    fn every_change_of_a_character_is_noticed() {
        let keys = TokenKeys::generate();
        let token = keys.sign(&session());
        for at in 0..token.len() {
            let other = if &token[at..=at] == "A" { "g" } else { "A" };
            let changed = [&token[..at], other, &token[at + 1..]].concat();
            assert_eq!(verify(&keys, &changed), Err(Unauthenticated::Invalid), "at {at}");
        }
    }

    /// A3 in docs/edge.md.
    #[test]
    fn no_other_algorithm_passes() {
        let keys = keys_of(7);
        let claims = keys.sign(&session()).split('.').nth(1).unwrap().to_owned();

        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        assert_eq!(verify(&keys, &format!("{none}.{claims}.")), Err(Unauthenticated::Invalid));

        // A token signed with the public key as the secret of a symmetric algorithm.
        let public = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let header = Header { alg: Algorithm::HS256, ..keys.header() };
        let header = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap());
        let secret = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
        let signature = hmac::sign(&secret, format!("{header}.{claims}").as_bytes());
        let forged = format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(verify(&keys, &forged), Err(Unauthenticated::Invalid));
        let secret = EncodingKey::from_secret(public.as_bytes());
        assert!(
            encode(&Header::default(), &claims_of(ISSUER), &secret).is_err(),
            "this server has no symmetric algorithm to sign with"
        );
    }

    /// A3 in docs/edge.md.
    #[test]
    fn other_keys_critical_extensions_and_other_issuers_are_refused() {
        let keys = TokenKeys::generate();
        let sign = |header: &Header, claims: &Claims| encode(header, claims, &keys.signing).unwrap();
        let (header, claims) = (keys.header(), claims_of(ISSUER));
        assert!(verify(&keys, &sign(&header, &claims)).is_ok());
        assert_eq!(verify(&keys, &sign(&header, &claims_of("else"))), Err(Unauthenticated::Invalid));

        let crit = Header { crit: Some(vec!["b64".to_owned()]), ..header.clone() };
        assert_eq!(verify(&keys, &sign(&crit, &claims)), Err(Unauthenticated::Invalid));
        for kid in [None, Some("another"), Some("../../../etc/passwd"), Some("")] {
            let header = Header { kid: kid.map(str::to_owned), ..header.clone() };
            assert_eq!(verify(&keys, &sign(&header, &claims)), Err(Unauthenticated::Invalid), "{kid:?}");
        }
    }

    #[test]
    fn a_driver_has_a_car_and_nobody_else_has() {
        let keys = TokenKeys::generate();
        for (role, car, good) in [
            (RoleClaim::Driver, Some(7), true),
            (RoleClaim::Driver, Some(0), false),
            (RoleClaim::Driver, None, false),
            (RoleClaim::Rider, Some(7), false),
            (RoleClaim::Dispatcher, Some(7), false),
        ] {
            let claims = Claims { role, car, ..claims_of(ISSUER) };
            let token = encode(&keys.header(), &claims, &keys.signing).unwrap();
            assert_eq!(verify(&keys, &token).is_ok(), good, "{car:?}");
        }
    }

    fn claims_of(iss: &str) -> Claims {
        Claims {
            iss: iss.to_owned(),
            sub: "somebody".to_owned(),
            role: RoleClaim::Dispatcher,
            car: None,
            name: String::new(),
            sid: String::new(),
            iat: 0,
            exp: 4_000_000_000,
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(token in r"[A-Za-z0-9_.\-]{0,80}|.{0,40}") {
            let keys = keys_of(1);
            prop_assert_eq!(verify(&keys, &token), Err(Unauthenticated::Invalid));
        }
    }
}
