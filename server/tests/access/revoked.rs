//! Sessions that end early: sign-out and revocation.

use rides_proto::v1::{
    RenewResponse, RevokeRequest, RevokeResponse, SignOutResponse, WatchFleetRequest, WhoAmIResponse,
    revoke_request::Whose,
};
use rides_server::sessions::{Role, Session};
use tonic::{Code, Status};

use crate::{
    fleet::viewer::{helsinki, watch},
    harness::{
        Running,
        car::car,
        places::place,
        rider::Rider,
        server, soon,
        wire::{Wire, assert_refused},
    },
};

/// Asserts that a call was refused, or a stream ended, with `SESSION_OVER`.
#[track_caller]
fn assert_over<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    assert_refused(outcome, Code::Unauthenticated, "SESSION_OVER", "");
}

async fn who(wire: &Wire) -> Result<WhoAmIResponse, Status> {
    wire.ask("/rides.v1.Sessions/WhoAmI", ()).await
}

async fn sign_out(wire: &Wire) {
    let _: SignOutResponse = wire.ask("/rides.v1.Sessions/SignOut", ()).await.unwrap();
}

async fn revoke(by: &Wire, whose: Option<Whose>) -> Result<RevokeResponse, Status> {
    by.ask("/rides.v1.Sessions/Revoke", RevokeRequest { whose }).await
}

fn later(server: &Running) -> String {
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    server.token(Session::new(Role::Rider, "ada", soon))
}

#[tokio::test]
async fn who_signs_out_is_out_at_once_with_every_token_and_stream() {
    let server = server().requiring_tokens().with_cars(3).run().await;
    for wire in server.wires().await {
        let (ada, elsewhere) = (wire.with(later(&server)), wire.with(later(&server)));
        let renewed: RenewResponse = ada.ask("/rides.v1.Sessions/Renew", ()).await.unwrap();
        let renewed = wire.with(renewed.token);
        let view = WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
        let frames = watch(&renewed, view.clone()).await.unwrap();
        let mut others = watch(&elsewhere, view).await.unwrap();
        let ride = Rider(elsewhere.clone()).books(&format!("{wire:?}")).await.ride_id;
        let mut followed = Rider(ada.clone()).watches(&ride).await;
        followed.event().await.unwrap();

        sign_out(&ada).await;
        assert_over(who(&ada).await);
        assert_over(who(&renewed).await);
        assert_over::<()>(Err(frames.expect_error().await));
        assert_over::<()>(Err(followed.expect_error().await));
        assert!(who(&elsewhere).await.is_ok(), "the other session is still valid");
        soon("a frame", others.next()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_dispatcher_ends_the_sessions_of_others() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let eve = wire.with(server.dispatcher());
        let driver = server.driver(7);
        let driving = car(7).at(place(1)).showing(driver.clone()).signs_on(&server).await;
        revoke(&eve, Some(Whose::Subject("driver-7".into()))).await.unwrap();
        assert_over(driving.ends().await);
        assert_over(who(&wire.with(driver)).await);

        let [lost, kept] = [later(&server), later(&server)].map(|token| wire.with(token));
        let id = who(&lost).await.unwrap().session.unwrap().session_id;
        revoke(&eve, Some(Whose::SessionId(id))).await.unwrap();
        assert_over(who(&lost).await);
        assert!(who(&kept).await.is_ok());

        // A token that is issued in a later second than the revocation is valid again.
        let again = async {
            while who(&wire.with(server.driver(7))).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        soon("the next second", again).await;
        let refused = revoke(&kept, Some(Whose::Subject("bob".into()))).await;
        assert_refused(refused, Code::PermissionDenied, "NOT_FOR_YOUR_ROLE", "");
        assert_refused(revoke(&eve, None).await, Code::InvalidArgument, "INVALID_FIELD", "whose");
        let nobody = Some(Whose::Subject(String::new()));
        assert_refused(revoke(&eve, nobody).await, Code::InvalidArgument, "MISSING", "subject");
    }
}

#[tokio::test]
async fn a_restart_takes_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let first = server().requiring_tokens().keeping_in(dir.path()).run().await;
    let [wire, _] = first.wires().await;
    let (lost, kept) = (later(&first), later(&first));
    sign_out(&wire.with(lost.clone())).await;
    first.stop();
    first.stopped().await;
    let second = server().requiring_tokens().keeping_in(dir.path()).run().await;
    for wire in second.wires().await {
        assert_over(who(&wire.with(lost.clone())).await);
        assert!(who(&wire.with(kept.clone())).await.is_ok());
    }
}
