//! Sessions: sign in, renew, sign out, and the rides of a guest who comes back.

use rides_proto::v1::{
    BookRequest, RenewRequest, Role, Session, SignInRequest, SignInResponse, SignOutRequest, WhoAmIRequest,
    WhoAmIResponse, sessions_client::SessionsClient,
};
use tonic::{Code, Request, transport::Channel};
use tonic_types::StatusExt as _;

use crate::harness::{
    Running,
    rider::{Rider, booking},
    server, web,
};

async fn client(server: &Running) -> SessionsClient<Channel> {
    SessionsClient::new(server.channel().await)
}

fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn sign_in(name: &str, role: i32) -> SignInRequest {
    SignInRequest { name: name.to_owned(), role, ..Default::default() }
}

#[tokio::test]
async fn a_guest_signs_in_and_is_recognised() {
    let server = server().run().await;
    let mut sessions = client(&server).await;
    let issued = sessions.sign_in(sign_in(" Aino ", 0)).await.unwrap().into_inner();
    let session = issued.session.unwrap();
    assert_eq!((session.name.as_str(), session.role()), ("Aino", Role::Rider));

    let known = sessions.who_am_i(bearing(&issued.token, WhoAmIRequest {})).await.unwrap();
    assert_eq!(known.into_inner().session, Some(session));
}

#[tokio::test]
async fn pages_sign_in_the_same_way() {
    let server = server().run().await;
    for mut http in server.both().await {
        let call = web::call("/rides.v1.Sessions/SignIn", &sign_in("Aino", 1));
        let issued: SignInResponse = web::ask(&mut http, call).await.message();
        let mut call = web::call("/rides.v1.Sessions/WhoAmI", &WhoAmIRequest {});
        call.headers_mut().insert("authorization", format!("Bearer {}", issued.token).parse().unwrap());
        let known: WhoAmIResponse = web::ask(&mut http, call).await.message();
        assert_eq!(known.session, issued.session);
    }
}

#[tokio::test]
async fn renewing_keeps_the_session() {
    let server = server().run().await;
    let mut sessions = client(&server).await;
    let first = sessions.sign_in(sign_in("Aino", 0)).await.unwrap().into_inner();
    let second = sessions.renew(bearing(&first.token, RenewRequest {})).await.unwrap().into_inner();

    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert!(second.expires_at.unwrap().seconds >= first.expires_at.unwrap().seconds);
    assert_eq!(Session { expires_at: first.expires_at, ..second }, first);
}

#[tokio::test]
async fn guests_are_riders_with_short_names() {
    let server = server().run().await;
    let mut sessions = client(&server).await;
    for (name, role, code) in [
        ("a", Role::Driver.into(), Code::PermissionDenied),
        ("a", Role::Dispatcher.into(), Code::PermissionDenied),
        ("a", 77, Code::InvalidArgument),
        (&"ä".repeat(65), 0, Code::InvalidArgument),
        ("a\u{7}b", 0, Code::InvalidArgument),
    ] {
        let status = sessions.sign_in(sign_in(name, role)).await.unwrap_err();
        assert_eq!(status.code(), code, "{name} {role}");
        assert_eq!(status.get_details_bad_request().is_some(), code == Code::InvalidArgument);
    }
    assert!(sessions.sign_in(sign_in(&"ä".repeat(64), 0)).await.is_ok());
}

/// BAD-7: a guest whose token is refused signs in again with the same secret. The repeated booking is the same
/// ride, and the guest sees it.
#[tokio::test]
async fn a_guest_who_comes_back_with_the_secret_has_their_rides() {
    let server = server().requiring_tokens().run().await;
    let mut sessions = client(&server).await;
    let secret = "0b6c5f5a8c0e4d7f9a3b1c2d4e5f6a7b";
    for (bad, good) in [("x".repeat(21), "x".repeat(22)), ("x".repeat(65), "x".repeat(64))] {
        let with = |guest_secret: String| SignInRequest { guest_secret, ..sign_in("", 0) };
        let status = sessions.sign_in(with(bad)).await.unwrap_err();
        let details = status.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "guest_secret");
        assert!(sessions.sign_in(with(good)).await.is_ok());
    }
    for wire in server.wires().await {
        let sign_in = SignInRequest { guest_secret: secret.to_owned(), ..sign_in("", 0) };
        let mut guest = async || {
            let issued = sessions.sign_in(sign_in.clone()).await.unwrap().into_inner();
            (Rider(wire.with(issued.token.clone())), issued.token)
        };
        let wish = BookRequest { rider_id: String::new(), ..booking(&format!("{wire:?}")) };
        let (before, token) = guest().await;
        let ride = before.book(wish.clone()).await.unwrap();
        client(&server).await.sign_out(bearing(&token, SignOutRequest {})).await.unwrap();
        let refused = before.book(wish.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);

        let (after, _) = guest().await;
        assert_eq!(after.book(wish).await.unwrap(), ride);
        assert_eq!(after.get(&ride.ride_id).await.unwrap(), ride);
    }
}

#[tokio::test]
async fn without_a_good_token_nobody_is_known() {
    let server = server().run().await;
    let mut sessions = client(&server).await;
    let elsewhere = crate::harness::server().run().await;
    let foreign = client(&elsewhere).await.sign_in(sign_in("Aino", 0)).await.unwrap().into_inner().token;

    let mut twice = bearing(&foreign, WhoAmIRequest {});
    twice.metadata_mut().append("authorization", "Bearer x".parse().unwrap());
    for request in [
        Request::new(WhoAmIRequest {}),
        bearing("nonsense", WhoAmIRequest {}),
        bearing(&foreign, WhoAmIRequest {}),
        twice,
    ] {
        assert_eq!(sessions.who_am_i(request).await.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(sessions.renew(RenewRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
}
