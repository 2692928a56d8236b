//! The rides and cars of other callers.

use std::fmt;

use prost::Message as _;
use prost_types::Any;
use rides_proto::v1::{
    self, Actor,
    drive_request::{self as up, Message as Up},
    rides_client::RidesClient,
};
use tonic::{Code, Request, Status};
use tonic_types::pb;

use crate::harness::{
    Running,
    car::{Car, car},
    places::place,
    rider::{Rider, booking},
    server,
    wire::assert_refused,
};

/// Everything that a caller sees of a refusal, except the trace id, which differs for each call.
fn seen<T: fmt::Debug>(outcome: Result<T, Status>) -> (Code, String, Vec<Any>) {
    let status = outcome.expect_err("the call succeeded");
    let mut details = pb::Status::decode(status.details()).unwrap().details;
    details.retain(|any| !any.type_url.ends_with("RequestInfo"));
    (status.code(), status.message().to_owned(), details)
}

fn others(server: &Running) -> Vec<(&'static str, String)> {
    vec![("another rider", server.rider("bob")), ("a driver", server.driver(7))]
}

/// A5: for another caller, an existing ride and a missing ride give the same error.
#[tokio::test]
async fn anothers_ride_is_like_one_that_never_was() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let ada = Rider(wire.with(server.rider("ada")));
        let ride = ada.books(&format!("{wire:?}")).await.ride_id;
        for (who, token) in others(&server) {
            let other = Rider(wire.with(token));
            let random = uuid();
            let gone = seen(other.get(&random).await);
            assert_eq!(gone.0, Code::NotFound);
            assert_eq!(seen(other.get(&ride).await), gone, "{who} over {wire:?}");
            assert_eq!(seen(other.cancel(&random).await), gone);
            assert_eq!(seen(other.cancel(&ride).await), gone, "{who} over {wire:?}");
        }
        let bob = Rider(wire.with(server.rider("bob")));
        let watch = async |id: &str| seen(bob.resumes(id, "", 0).await.map(|_| ()));
        assert_eq!(watch(&ride).await, watch(&uuid()).await);
        let driver = Rider(wire.with(server.driver(7)));
        let end = async |id: &str| {
            let request = v1::EndRequest { ride_id: id.to_owned(), ..Default::default() };
            seen(driver.end(request).await)
        };
        assert_eq!(end(&ride).await, end(&uuid()).await);
        assert_eq!(ada.get(&ride).await.unwrap().version, 1, "the ride is unchanged");
    }
}

fn uuid() -> String {
    "0199f0a0-7c1e-7000-8000-5f3f9a1c2d4e".to_owned()
}

/// A6: the cursor or the page token of another rider gives no access.
#[tokio::test]
async fn a_cursor_opens_nothing() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let ada = Rider(wire.with(server.rider("ada")));
        let mut watched = ada.watches(&ada.books(&format!("{wire:?} 1")).await.ride_id).await;
        let ride = watched.event().await.unwrap().ride_id;
        ada.books(&format!("{wire:?} 2")).await;
        let page = ada.list(v1::ListRequest { page_size: 1, ..Default::default() }).await.unwrap();

        let bob = Rider(wire.with(server.rider("bob")));
        let resumed = bob.resumes(&ride, &watched.opened.epoch, 1).await;
        assert_refused(resumed.map(|_| ()), Code::NotFound, "NO_SUCH_RIDE", "");
        let next = v1::ListRequest { page_token: page.next_page_token, page_size: 1, ..Default::default() };
        assert_refused(bob.list(next.clone()).await, Code::InvalidArgument, "BAD_PAGE_TOKEN", "page_token");
        assert_eq!(ada.list(next).await.unwrap().rides.len(), 1);
    }
}

#[tokio::test]
async fn riders_book_list_and_cancel_for_themselves() {
    let server = server().requiring_tokens().run().await;
    for wire in server.wires().await {
        let (ada, bob) = (Rider(wire.with(server.rider("ada"))), Rider(wire.with(server.rider("bob"))));
        let key = format!("{wire:?}");
        let anonymous = v1::BookRequest { rider_id: String::new(), ..booking(&key) };
        let ride = ada.book(anonymous.clone()).await.unwrap();
        assert_eq!(ride.rider_id, "ada");
        assert_eq!(ada.book(anonymous).await.unwrap().ride_id, ride.ride_id, "safe to repeat");
        assert_refused(bob.book(booking("other")).await, Code::PermissionDenied, "NOT_YOU", "");

        let list = |rider_id: &str| v1::ListRequest { rider_id: rider_id.to_owned(), ..Default::default() };
        assert!(bob.list(list("")).await.unwrap().rides.iter().all(|ride| ride.rider_id == "bob"));
        assert_refused(bob.list(list("ada")).await, Code::PermissionDenied, "NOT_YOU", "");
        assert!(ada.list(list("")).await.unwrap().rides.iter().all(|ride| ride.rider_id == "ada"));

        let by_dispatch = v1::CancelRequest {
            ride_id: ride.ride_id.clone(),
            by: Actor::Dispatcher.into(),
            ..Default::default()
        };
        let cancelled: Result<v1::CancelResponse, _> = ada.0.ask("/rides.v1.Rides/Cancel", by_dispatch).await;
        assert_refused(cancelled, Code::PermissionDenied, "NOT_YOU", "");
        assert_eq!(ada.cancel(&ride.ride_id).await.unwrap().cancelled_by(), Actor::Rider);

        let eve = Rider(wire.with(server.dispatcher()));
        assert!(!eve.list(list("")).await.unwrap().rides.is_empty());
        let for_bob = v1::BookRequest { rider_id: "bob".to_owned(), ..booking(&format!("{key} for bob")) };
        let for_bob = eve.book(for_bob).await.unwrap();
        assert_eq!(bob.get(&for_bob.ride_id).await.unwrap(), for_bob);
    }
}

async fn reports(server: &Running, token: &str, car_id: i64) -> Result<u64, Status> {
    let position = v1::TrackRequest { car_id, time: None, location: Some(place(1)) };
    let mut request = Request::new(tokio_stream::once(position));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = RidesClient::new(server.channel().await).track(request).await?;
    Ok(answer.into_inner().count)
}

#[tokio::test]
async fn drivers_act_for_their_own_car() {
    let server = server().requiring_tokens().run().await;
    let seven = server.driver(7);
    for (car_id, driver_id, reason) in
        [(8, "driver-7", "NOT_YOUR_CAR"), (7, "driver-8", "NOT_YOU"), (8, "driver-8", "NOT_YOUR_CAR")]
    {
        let stranger = Car::connects_with(&server, Some(seven.clone())).await;
        stranger
            .says(Up::SignOn(up::SignOn { car_id, driver_id: driver_id.to_owned(), location: None }))
            .await;
        assert_refused(stranger.ends().await, Code::PermissionDenied, reason, "");

        let [wire, _] = server.wires().await;
        let start = v1::StartRequest {
            car_id,
            driver_id: driver_id.to_owned(),
            location: Some(place(1)),
            ..Default::default()
        };
        let started = Rider(wire.with(seven.clone())).start(start).await;
        assert_refused(started, Code::PermissionDenied, reason, "");
    }
    assert_refused(reports(&server, &seven, 8).await, Code::PermissionDenied, "NOT_YOUR_CAR", "");
    assert_eq!(reports(&server, &seven, 7).await.unwrap(), 1);
    assert_eq!(reports(&server, &server.dispatcher(), 8).await.unwrap(), 1, "a dispatcher may");
}

/// A5: on a driver's stream, too, both give the same refusal.
#[tokio::test]
async fn a_driver_is_not_told_of_rides_that_were_never_theirs() {
    let server = server().requiring_tokens().run().await;
    let ride = server.as_rider("ada").await.books("key").await.ride_id;
    let mut driver = car(7).showing(server.driver(7)).signs_on(&server).await;
    let mut refusals = Vec::new();
    for ride_id in [ride, uuid()] {
        driver.says_accept(&ride_id).await;
        let refused = driver.is_refused().await;
        refusals.push((refused.code, refused.reason, refused.message));
    }
    assert_eq!((refusals[0].0, refusals[0].1.as_str()), (Code::NotFound as i32, "NO_SUCH_RIDE"));
    assert_eq!(refusals[0], refusals[1]);
}

#[tokio::test]
async fn a_ride_goes_its_way_with_everyones_own_token() {
    let server = server().requiring_tokens().run().await;
    let ada = server.as_rider("ada").await;
    let mut driver = car(7).at(place(1)).showing(server.driver(7)).signs_on(&server).await;
    let ride = ada.books("key").await.ride_id;
    let watched = ada.watches(&ride).await;
    driver.takes(&ride).await;
    driver.arrives(&ride).await;
    driver.picks_up(&ride).await;

    let [wire, _] = server.wires().await;
    let end = v1::EndRequest { ride_id: ride.clone(), ..Default::default() };
    assert_eq!(Rider(wire.with(server.driver(8))).end(end.clone()).await.unwrap_err().code(), Code::NotFound);
    let driver = Rider(wire.with(server.driver(7)));
    driver.end(end).await.unwrap();
    assert_eq!(driver.get(&ride).await.unwrap().driver_id, "driver-7");
    assert_eq!(watched.versions().await, [1, 2, 3, 4, 5, 6]);
}
