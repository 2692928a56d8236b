//! Tokens of an identity provider: keys, claims, renewal and revocation.

use std::{fs, time::Duration};

use http::StatusCode;
use rides_proto::v1::{
    BookRequest, ListRequest, RevokeRequest, RevokeResponse, Role, Session, StartRequest, WhoAmIRequest,
    WhoAmIResponse, revoke_request::Whose,
};
use rides_server::{config::ProviderConfig, tls::development::DevelopmentCa};
use ring::hmac;
use serde_json::{Value, json};
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::harness::{
    Running,
    car::car,
    places::place,
    provider::{IdentityProvider, Key, claims, config, key_set, signed},
    rider::{Rider, booking},
    server, soon,
    wire::{Wire, assert_refused, details},
};

const WHO_AM_I: &str = "/rides.v1.Sessions/WhoAmI";

async fn who(wire: &Wire, token: &str) -> Result<Session, Status> {
    let known: WhoAmIResponse = wire.with(token.to_owned()).ask(WHO_AM_I, WhoAmIRequest {}).await?;
    Ok(known.session.unwrap())
}

async fn outcome(wire: &Wire, token: &str) -> (Code, String) {
    match who(wire, token).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (details(&status).0, details(&status).1),
    }
}

fn refused(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

/// Returns a server that accepts the provider's tokens and has fetched its keys.
async fn trusting(config: ProviderConfig, key: &Key) -> Running {
    let server = server().requiring_tokens().taking_tokens_of(config).run().await;
    let [wire, _] = server.wires().await;
    until(&wire, &key.token(&claims()), Code::Ok).await;
    server
}

/// Repeats a call with `token` until its status is `code`.
async fn until(wire: &Wire, token: &str, code: Code) {
    let decided = async {
        while outcome(wire, token).await.0 != code {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon("the keys", decided).await;
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn a_providers_tokens_are_good_by_any_of_its_keys() {
    let keys = [Key::ed("ed"), Key::ec("ec"), Key::rsa("rsa")];
    let provider = IdentityProvider::with(&keys.each_ref()).await;
    let server = trusting(config(&provider.url), &keys[0]).await;
    for wire in server.wires().await {
        for key in &keys {
            let eve = who(&wire, &key.token(&with(&json!({ "sid": "s-1", "name": "Eve" })))).await.unwrap();
            assert_eq!((eve.subject.as_str(), eve.role()), ("eve", Role::Dispatcher), "{}", key.name);
            assert_eq!((eve.name.as_str(), eve.session_id.as_str()), ("Eve", "s-1"));
            let driver = with(&json!({ "role": ["staff", "driver"], "car": "7" }));
            let driver = who(&wire, &key.token(&driver)).await.unwrap();
            assert_eq!((driver.role(), driver.car_id), (Role::Driver, 7));
        }
        assert_eq!(outcome(&wire, &server.rider("ada")).await.0, Code::Ok, "a token of the server itself");
    }
    assert_eq!(provider.asked(), 1);
}

/// A3: the key determines the algorithm.
#[tokio::test]
async fn a_providers_token_cannot_choose_its_algorithm() {
    let keys = [Key::ed("ed"), Key::ec("ec"), Key::rsa("rsa")];
    let provider = IdentityProvider::with(&keys.each_ref()).await;
    let server = trusting(config(&provider.url), &keys[0]).await;
    let [native, _] = server.wires().await;
    for key in &keys {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.public());
        for alg in ["none", "HS256", "RS256", "RS512", "PS256", "ES256", "EdDSA"] {
            let header = json!({ "typ": "JWT", "alg": alg, "kid": key.name });
            let unsigned = signed(&header, &claims(), |_| Vec::new());
            assert_eq!(outcome(&native, &unsigned).await, refused("BAD_TOKEN"), "{alg} by {}", key.name);
            let by_public =
                signed(&header, &claims(), |message| hmac::sign(&secret, message).as_ref().to_vec());
            assert_eq!(outcome(&native, &by_public).await, refused("BAD_TOKEN"), "{alg} by {}", key.name);
        }
        let header = json!({ "alg": key.algorithm(), "kid": key.name, "crit": ["exp"] });
        let critical = signed(&header, &claims(), |_| Vec::new());
        assert_eq!(outcome(&native, &critical).await, refused("BAD_TOKEN"));
        for other in &keys {
            let header = json!({ "alg": other.algorithm(), "kid": key.name });
            let anothers = other.token(&claims());
            let body = anothers.split_once('.').unwrap().1;
            let moved = signed(&header, &claims(), |_| Vec::new());
            let moved = format!("{}.{body}", moved.split_once('.').unwrap().0);
            assert_ne!(outcome(&native, &moved).await.0, Code::Ok, "{} as {}", other.name, key.name);
        }
    }
}

/// A1, A3: issuer, audience, subject, times and role are checked.
#[tokio::test]
async fn a_providers_token_is_for_us_and_for_now() {
    let key = Key::ed("ed");
    let provider = IdentityProvider::with(&[&key]).await;
    let server = trusting(config(&provider.url), &key).await;
    let now = claims()["iat"].as_u64().unwrap();
    for wire in server.wires().await {
        for (changes, expected) in [
            (json!({ "iss": "https://id.example/" }), refused("BAD_TOKEN")),
            (json!({ "iss": null }), refused("BAD_TOKEN")),
            (json!({ "aud": "bikes" }), refused("BAD_TOKEN")),
            (json!({ "aud": null }), refused("BAD_TOKEN")),
            (json!({ "aud": ["bikes", "rides"] }), (Code::Ok, String::new())),
            (json!({ "sub": "" }), refused("BAD_TOKEN")),
            (json!({ "sub": "x".repeat(255) }), (Code::Ok, String::new())),
            (json!({ "sub": "x".repeat(256) }), refused("BAD_TOKEN")),
            (json!({ "exp": null }), refused("BAD_TOKEN")),
            (json!({ "exp": now - 1 }), refused("SESSION_OVER")),
            (json!({ "exp": now + 400 * 24 * 60 * 60 }), refused("BAD_TOKEN")),
            (json!({ "nbf": now + 3600 }), refused("BAD_TOKEN")),
            (json!({ "nbf": now + 10 }), (Code::Ok, String::new())),
            (json!({ "nbf": "now" }), refused("BAD_TOKEN")),
            (json!({ "nbf": -1 }), refused("BAD_TOKEN")),
            (json!({ "nbf": null }), refused("BAD_TOKEN")),
            (json!({ "iat": now + 10 }), (Code::Ok, String::new())),
            (json!({ "iat": now + 3600 }), refused("BAD_TOKEN")),
            (json!({ "iat": "now" }), refused("BAD_TOKEN")),
            (json!({ "role": "admin" }), refused("BAD_TOKEN")),
            (json!({ "role": "driver" }), refused("BAD_TOKEN")),
        ] {
            let token = key.token(&with(&changes));
            assert_eq!(outcome(&wire, &token).await, expected, "{changes}");
        }
    }
}

#[tokio::test]
async fn a_new_key_is_taken_and_an_old_one_is_not() {
    let (old, new) = (Key::ed("2025"), Key::ec("2026"));
    let provider = IdentityProvider::with(&[&old]).await;
    let server = trusting(config(&provider.url), &old).await;
    let shown = old.token(&claims());
    for wire in server.wires().await {
        until(&wire, &shown, Code::Ok).await;
        provider.changes_to(&[&new]);
        until(&wire, &new.token(&claims()), Code::Ok).await;
        assert_eq!(outcome(&wire, &shown).await.0, Code::Unauthenticated, "the removed key is refused");
        assert_eq!(outcome(&wire, &old.token(&claims())).await.0, Code::Unauthenticated);
        provider.changes_to(&[&old]);
        until(&wire, &shown, Code::Ok).await;
    }
}

/// The server keeps its keys if the provider's response is not a key set. A token of an unknown key is refused with
/// UNAVAILABLE, so that its caller tries again.
#[tokio::test]
async fn a_provider_that_is_away_or_broken_leaves_its_keys() {
    let (known, unknown) = (Key::ed("known"), Key::ed("unknown"));
    let provider = IdentityProvider::with(&[&known]).await;
    let server = trusting(config(&provider.url), &known).await;
    let [native, web] = server.wires().await;
    let large = format!(r#"{{"keys":[],"padding":"{}"}}"#, "x".repeat(1 << 20));
    for (status, text) in [
        (StatusCode::SERVICE_UNAVAILABLE, "away"),
        (StatusCode::FOUND, ""),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, r#"{"keys":[]}"#),
        (StatusCode::OK, &large),
    ] {
        let asked = provider.asked();
        provider.answers(status, text);
        until(&native, &unknown.token(&claims()), Code::Unavailable).await;
        provider.until_asked(asked + 2).await;
        assert_eq!(outcome(&native, &known.token(&claims())).await.0, Code::Ok, "{status} {text:.20}");
    }
    drop(provider);
    for wire in [native, web] {
        assert_eq!(outcome(&wire, &known.token(&claims())).await.0, Code::Ok);
        let undecided = outcome(&wire, &unknown.token(&claims())).await;
        assert_eq!(undecided, (Code::Unavailable, "KEYS_ON_THEIR_WAY".to_owned()));
    }
}

#[tokio::test]
async fn made_up_keys_are_not_asked_for_again_and_again() {
    let (known, made_up) = (Key::ed("known"), Key::ed("made up"));
    let provider = IdentityProvider::with(&[&known]).await;
    let mut config = config(&provider.url);
    config.refresh.min_interval = Duration::from_secs(60);
    let server = trusting(config, &known).await;
    for wire in server.wires().await {
        for _ in 0..20 {
            assert_eq!(outcome(&wire, &made_up.token(&claims())).await, refused("BAD_TOKEN"));
        }
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn keys_may_be_in_a_file_or_come_over_tls() {
    let key = Key::rsa("rsa");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    fs::write(&file, key_set(&[&key])).unwrap();
    trusting(config(file.to_str().unwrap()), &key).await;

    // A Rides server serves the key set over TLS as a static file.
    let development = DevelopmentCa::at(dir.path());
    development.ensure(&[]).unwrap();
    fs::write(dir.path().join("index.html"), "").unwrap();
    let provider = server().with_files(development.server()).with_page(dir.path()).run().await;
    let url = format!("https://{}/jwks.json", provider.addr);
    trusting(ProviderConfig { ca: Some(development.ca()), ..config(&url) }, &key).await;

    let stranger = server().requiring_tokens().taking_tokens_of(config(&url)).run().await;
    let [native, _] = stranger.wires().await;
    for _ in 0..20 {
        let undecided = outcome(&native, &key.token(&claims())).await;
        assert_eq!(undecided.0, Code::Unavailable, "an unknown authority is not trusted");
    }
}

/// The server does not renew such a session, because that would outlast the lifetime that the provider chose.
#[tokio::test]
async fn a_providers_session_is_renewed_by_the_provider() {
    let key = Key::ed("ed");
    let provider = IdentityProvider::with(&[&key]).await;
    let server = trusting(config(&provider.url), &key).await;
    for wire in server.wires().await {
        let eve = wire.with(key.token(&claims()));
        let renewed: Result<WhoAmIResponse, _> = eve.ask("/rides.v1.Sessions/Renew", WhoAmIRequest {}).await;
        assert_eq!(details(&renewed.unwrap_err()).1, "NOT_OURS");
    }
}

/// By the provider's clock, the token was issued after the revocation of its subject.
#[tokio::test]
async fn a_clock_that_is_ahead_saves_no_session() {
    let key = Key::ed("ed");
    let provider = IdentityProvider::with(&[&key]).await;
    let server = trusting(config(&provider.url), &key).await;
    let [wire, _] = server.wires().await;
    let now = claims()["iat"].as_u64().unwrap();
    let ada = key.token(&with(&json!({ "sub": "ada", "role": "rider", "iat": now + 30 })));
    assert_eq!(outcome(&wire, &ada).await.0, Code::Ok);
    let whose = Some(Whose::Subject("ada".into()));
    let dispatcher = wire.with(server.dispatcher());
    let _: RevokeResponse =
        dispatcher.ask("/rides.v1.Sessions/Revoke", RevokeRequest { whose }).await.unwrap();
    assert_eq!(outcome(&wire, &ada).await, refused("SESSION_OVER"));
}

/// Providers have long subjects, longer than the 64 bytes that other ids may have. Their subjects are accepted.
#[tokio::test]
async fn who_has_a_long_name_can_book_and_drive() {
    let key = Key::ed("ed");
    let provider = IdentityProvider::with(&[&key]).await;
    let server = trusting(config(&provider.url), &key).await;
    let long = format!("f:0199f0a0-7c1e-7000-8000-5f3f9a1c2d4e:{}", "x".repeat(200));
    let token = |role| key.token(&with(&json!({ "sub": long, "role": role, "car": 7 })));
    for wire in server.wires().await {
        let rider = Rider(wire.with(token("rider")));
        for (n, rider_id) in [String::new(), long.clone()].into_iter().enumerate() {
            let request_id = format!("{wire:?} {n}");
            let ride =
                rider.book(BookRequest { rider_id: rider_id.clone(), ..booking(&request_id) }).await.unwrap();
            let listed = rider.list(ListRequest { rider_id, ..Default::default() }).await.unwrap();
            assert!(listed.rides.iter().any(|listed| listed.ride_id == ride.ride_id));
        }
        let another = BookRequest { rider_id: "y".repeat(65), ..booking("another") };
        assert_refused(rider.book(another).await, Code::InvalidArgument, "TOO_LONG", "rider_id");
    }
    let [native, _] = server.wires().await;
    let start =
        StartRequest { car_id: 7, driver_id: long.clone(), location: Some(place(1)), ..Default::default() };
    Rider(native.with(token("driver"))).start(start).await.unwrap();
    car(7).of(&long).showing(token("driver")).signs_on(&server).await.signs_off().await;
}
