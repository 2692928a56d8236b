//! Tokens: expiry, forgeries, and the header that carries them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};
use rides_proto::v1::{SignInResponse, WhoAmIRequest, WhoAmIResponse};
use rides_server::sessions::{Role, Session};
use tonic::Code;

use crate::harness::{Running, http::Http, server, web, wire::details};

const WHO_AM_I: &str = "/rides.v1.Sessions/WhoAmI";

async fn asks(http: &mut Http, path: &str, headers: &[(http::HeaderName, String)]) -> (Code, String) {
    let mut call = web::call(path, &WhoAmIRequest {});
    let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
    call.headers_mut().extend(headers.collect::<HeaderMap>());
    let (code, reason, _) = details(&web::ask(http, call).await.status);
    (code, reason)
}

async fn bears(http: &mut Http, token: &str) -> (Code, String) {
    asks(http, WHO_AM_I, &[(AUTHORIZATION, format!("Bearer {token}"))]).await
}

async fn open_and_not() -> [Running; 2] {
    [server().run().await, server().requiring_tokens().run().await]
}

fn refused(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

/// A1: expiry has no leeway.
#[tokio::test]
async fn a_token_is_over_at_its_second() {
    for server in open_and_not().await {
        for mut http in server.both().await {
            let now = SystemTime::now();
            let until = |at| server.token(Session::new(Role::Rider, "ada", at));
            for over in [now, now - Duration::from_secs(59), now - Duration::from_secs(3600)] {
                assert_eq!(bears(&mut http, &until(over)).await, refused("SESSION_OVER"));
            }
            assert_eq!(bears(&mut http, &until(now + Duration::from_secs(60))).await.0, Code::Ok);
        }
    }
}

/// A3: every forgery gets the same refusal.
#[tokio::test]
async fn a_forged_token_is_refused_and_not_told_why() {
    let elsewhere = server().run().await;
    for server in open_and_not().await {
        let good = server.rider("ada");
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
        let with = |header: &str| format!("{}.{claims}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(header));
        let dispatcher = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let dispatcher = BASE64_URL_SAFE_NO_PAD.encode(dispatcher.replace("rider", "dispatcher"));
        for forged in [
            elsewhere.rider("ada"),
            with(r#"{"typ":"JWT","alg":"none"}"#),
            format!("{}.{claims}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#)),
            with(r#"{"typ":"JWT","alg":"HS256"}"#),
            with(r#"{"typ":"JWT","alg":"EdDSA","kid":"../../../etc/passwd"}"#),
            with(r#"{"typ":"JWT","alg":"EdDSA","crit":["exp"]}"#),
            format!("{header}.{dispatcher}.{signature}"),
            format!("{header}.{claims}."),
            "nonsense".to_owned(),
            "x".repeat(8_000),
        ] {
            for mut http in server.both().await {
                assert_eq!(bears(&mut http, &forged).await, refused("BAD_TOKEN"), "{forged}");
            }
        }
    }
}

/// A7: only the `authorization` header counts, not the query and not cookies.
#[tokio::test]
async fn a_token_is_looked_for_in_one_place() {
    let server = server().requiring_tokens().run().await;
    let token = server.rider("ada");
    let bearer = format!("Bearer {token}");
    for mut http in server.both().await {
        for query in ["access_token", "token", "authorization"] {
            let path = format!("{WHO_AM_I}?{query}={token}");
            assert_eq!(asks(&mut http, &path, &[]).await, refused("NO_TOKEN"));
        }
        for name in ["authorization", "token", "session"] {
            let cookie = (COOKIE, format!("{name}={token}"));
            assert_eq!(asks(&mut http, WHO_AM_I, &[cookie]).await, refused("NO_TOKEN"));
        }
        let twice = [(AUTHORIZATION, bearer.clone()), (AUTHORIZATION, bearer.clone())];
        assert_eq!(asks(&mut http, WHO_AM_I, &twice).await, refused("BAD_TOKEN"));
        let basic = (AUTHORIZATION, format!("Basic {token}"));
        assert_eq!(asks(&mut http, WHO_AM_I, &[basic]).await, refused("BAD_TOKEN"));
    }
}

/// CLIENT-10: a wrong scheme is explained, and a bad token is not.
#[tokio::test]
async fn a_token_without_its_scheme_is_told_the_form_and_a_bad_one_is_not_told_why() {
    let server = server().requiring_tokens().run().await;
    let token = server.rider("ada");
    for mut http in server.both().await {
        for shown in [token.clone(), format!("Token {token}"), "Bearer".to_owned()] {
            let mut call = web::call(WHO_AM_I, &());
            call.headers_mut().insert(AUTHORIZATION, shown.parse().unwrap());
            let status = web::ask(&mut http, call).await.status;
            assert_eq!((status.code(), details(&status).1.as_str()), (Code::Unauthenticated, "BAD_TOKEN"));
            assert!(status.message().contains("`authorization: Bearer TOKEN`"), "{status:?}");
        }
        for forged in [format!("{token}x"), "nonsense".to_owned()] {
            let mut call = web::call(WHO_AM_I, &());
            call.headers_mut().insert(AUTHORIZATION, format!("Bearer {forged}").parse().unwrap());
            let status = web::ask(&mut http, call).await.status;
            assert_eq!(status.message(), "the token is not valid");
        }
    }
}

#[tokio::test]
async fn a_guest_gets_in_where_tokens_are_asked_for() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let issued: SignInResponse = wire.ask("/rides.v1.Sessions/SignIn", ()).await.unwrap();
        let known: WhoAmIResponse = wire.with(issued.token).ask(WHO_AM_I, ()).await.unwrap();
        assert_eq!(known.session, issued.session);
    }
}

#[tokio::test]
async fn a_driver_is_told_their_car() {
    let server = server().run().await;
    for wire in server.wires().await {
        let known: WhoAmIResponse = wire.with(server.driver(7)).ask(WHO_AM_I, ()).await.unwrap();
        assert_eq!(known.session.map(|session| session.car_id), Some(7));
    }
}

/// A token is valid after a restart, because its key is on the disk.
#[tokio::test]
async fn a_restart_keeps_everyone_signed_in() {
    let dir = tempfile::tempdir().unwrap();
    let first = server().requiring_tokens().keeping_in(dir.path()).run().await;
    let token = first.rider("ada");
    first.stop();
    first.stopped().await;
    let second = server().requiring_tokens().keeping_in(dir.path()).run().await;
    for mut http in second.both().await {
        assert_eq!(bears(&mut http, &token).await.0, Code::Ok);
    }
}
