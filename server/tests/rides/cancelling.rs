//! Cancelling a ride in each of its states.

use rides_proto::v1::{self, Actor, RideState};
use tonic::Code;

use crate::harness::{car::car, places::place, rider::Rider, server, wire::assert_refused};

#[tokio::test]
async fn a_ride_can_be_cancelled_in_every_state_before_the_trip() {
    let server = server().run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let cancelled = async |state: RideState| {
            let key = format!("{wire:?} {state:?}");
            let ride = rider.books(&key).await;
            let followed = rider.watches(&ride.ride_id).await;
            (ride.ride_id, followed)
        };

        let (ride, followed) = cancelled(RideState::Requested).await;
        assert_eq!(rider.cancel(&ride).await.unwrap().version, 2);
        assert_eq!(followed.versions().await, [1, 2]);

        let mut car = car(1).at(place(3)).signs_on(&server).await;
        for state in [RideState::Offered, RideState::Assigned, RideState::Arrived] {
            let (ride, followed) = cancelled(state).await;
            car.is_offered(&ride).await;
            if state != RideState::Offered {
                car.accepts(&ride).await;
            }
            if state == RideState::Arrived {
                car.arrives(&ride).await;
            }
            assert_eq!(rider.get(&ride).await.unwrap().state(), state);

            let answer = rider.cancel(&ride).await.unwrap();
            assert_eq!((answer.state(), answer.cancelled_by()), (RideState::Cancelled, Actor::Rider));
            assert_eq!(rider.cancel(&ride).await.unwrap(), answer, "safe to repeat");
            assert_eq!(car.loses(&ride).await, "a tram came", "the driver gets the reason");
            assert_eq!(followed.versions().await, (1..=answer.version).collect::<Vec<_>>());
        }
        car.signs_off().await;
    }
}

#[tokio::test]
async fn a_trip_and_what_is_over_cannot_be_cancelled() {
    let server = server().run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let mut car = car(1).at(place(1)).signs_on(&server).await;
        let ride = rider.books(&format!("{wire:?}")).await.ride_id;
        car.takes(&ride).await;
        car.arrives(&ride).await;
        car.picks_up(&ride).await;
        assert_refused(rider.cancel(&ride).await, Code::FailedPrecondition, "WRONG_STATE", "");
        car.drops_off(&ride).await;
        assert_refused(rider.cancel(&ride).await, Code::FailedPrecondition, "WRONG_STATE", "");
        assert_refused(rider.cancel("nobody's").await, Code::NotFound, "NO_SUCH_RIDE", "");
        car.signs_off().await;
    }
}

#[tokio::test]
async fn dispatchers_cancel_too_and_say_why() {
    let server = server().run().await;
    for wire in server.wires().await {
        let ride = Rider(wire.clone()).books(&format!("{wire:?}")).await;
        let cancel =
            v1::CancelRequest { ride_id: ride.ride_id, by: Actor::Dispatcher.into(), reason: "snow".into() };
        let path = "/rides.v1.Rides/Cancel";
        for (request, field) in [
            (v1::CancelRequest { by: 9, ..cancel.clone() }, "by"),
            (v1::CancelRequest { reason: "x".repeat(201), ..cancel.clone() }, "reason"),
        ] {
            let reason = if field == "by" { "UNKNOWN_VALUE" } else { "TOO_LONG" };
            let refused = wire.ask::<_, v1::CancelResponse>(path, request).await;
            assert_refused(refused, Code::InvalidArgument, reason, field);
        }
        let answer: v1::CancelResponse = wire.ask(path, cancel).await.unwrap();
        let ride = answer.ride.unwrap();
        assert_eq!((ride.cancelled_by(), ride.cancel_reason.as_str()), (Actor::Dispatcher, "snow"));
    }
}
