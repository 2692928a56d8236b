//! A small identity provider: an HTTP server with a key set, and tokens signed with those keys.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{Router, routing::get};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use http::{Response, StatusCode};
use rides_server::{
    config::ProviderConfig,
    sessions::{KeySource, Refresh},
};
use ring::{
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use super::soon;

/// The issuer of the tokens (`iss`).
pub(crate) const ISSUER: &str = "https://id.example";

/// A signing key and its id (`kid`), for tests only.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pair: Pair,
}

enum Pair {
    Ed(Ed25519KeyPair),
    Ec(Box<EcdsaKeyPair>),
    Rsa(Box<rsa::KeyPair>),
}

impl Key {
    pub(crate) fn ed(name: &'static str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { name, pair: Pair::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()) }
    }

    pub(crate) fn ec(name: &'static str) -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        Self { name, pair: Pair::Ec(EcdsaKeyPair::from_pkcs8(curve, key.as_ref(), &random).unwrap().into()) }
    }

    /// Returns a fixed key, because generating an RSA key is slow.
    pub(crate) fn rsa(name: &'static str) -> Self {
        let key = rsa::KeyPair::from_pkcs8(include_bytes!("rsa.pk8")).unwrap();
        Self { name, pair: Pair::Rsa(key.into()) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Ed(_) => "EdDSA",
            Pair::Ec(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// The bytes of the public key, which an attacker might use as an HMAC secret.
    pub(crate) fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn published(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        let mut key = match &self.pair {
            Pair::Ed(_) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&self.public()) }),
            Pair::Ec(_) => {
                let point = self.public();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
            }
            Pair::Rsa(pair) => {
                let key = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": encode(&key.n), "e": encode(&key.e) })
            }
        };
        key["kid"] = json!(self.name);
        key
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with these claims, signed with this key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.name });
        signed(&header, claims, |message| self.signature(message))
    }
}

/// A token with any header and any signature, also invalid ones.
pub(crate) fn signed(header: &Value, claims: &Value, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = [header, claims].map(|part| BASE64.encode(part.to_string())).join(".");
    let signature = BASE64.encode(signature(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The claims of a dispatcher's token that is valid for one hour.
pub(crate) fn claims() -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({ "iss": ISSUER, "aud": "rides", "sub": "eve", "role": "dispatcher", "iat": now, "exp": now + 3600 })
}

/// A JSON Web Key Set with the public keys.
pub(crate) fn key_set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>() }).to_string()
}

/// The server's configuration for this provider. The keys are fetched again after 50 ms at the earliest, so
/// that tests need not wait long.
pub(crate) fn config(keys: &str) -> ProviderConfig {
    let named = |name: &str| name.to_owned();
    ProviderConfig {
        keys: Some(keys.parse::<KeySource>().unwrap()),
        issuer: Some(named(ISSUER)),
        audience: named("rides"),
        role_claim: named("role"),
        car_claim: named("car"),
        ca: None,
        refresh: Refresh { interval: Duration::from_secs(600), min_interval: Duration::from_millis(50) },
    }
}

/// An HTTP server that responds with a key set, until it is dropped.
pub(crate) struct IdentityProvider {
    pub(crate) url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl IdentityProvider {
    pub(crate) async fn with(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::OK, key_set(keys))));
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (answer.clone(), asked.clone());
        let keys = get(move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let (status, text) = told.lock().unwrap().clone();
            Response::builder().status(status).header("location", "/jwks").body(text).unwrap()
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, Router::new().route("/jwks", keys)).await.unwrap();
        });
        Self { url, answer, asked, serving }
    }

    /// Replaces the key set.
    pub(crate) fn changes_to(&self, keys: &[&Key]) {
        self.answers(StatusCode::OK, &key_set(keys));
    }

    pub(crate) fn answers(&self, status: StatusCode, text: &str) {
        *self.answer.lock().unwrap() = (status, text.to_owned());
    }

    /// The number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) async fn until_asked(&self, times: usize) {
        let asked = async {
            while self.asked() < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        soon("to be asked", asked).await;
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
