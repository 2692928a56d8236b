//! Rides that begin on the street, and positions from gateways.

use futures_util::stream;
use rides_proto::v1::{self, Location, RideState, rides_client::RidesClient};
use tonic::{Code, Status};

use crate::harness::{
    Running,
    car::car,
    places::{AT_SEA, NOWHERE, place},
    rider::Rider,
    server, soon,
    wire::assert_refused,
};

fn start(car_id: i64) -> v1::StartRequest {
    v1::StartRequest {
        car_id,
        driver_id: "aino".into(),
        passenger_ids: vec!["ada".into(), "bob".into()],
        location: Some(place(1)),
        ..Default::default()
    }
}

fn end(ride_id: &str) -> v1::EndRequest {
    v1::EndRequest { ride_id: ride_id.into(), ..Default::default() }
}

fn position(car_id: i64, location: Location) -> v1::TrackRequest {
    v1::TrackRequest { car_id, location: Some(location), time: None }
}

async fn track(server: &Running, positions: Vec<v1::TrackRequest>) -> Result<u64, Status> {
    let mut client = RidesClient::new(server.channel().await);
    let answer = soon("the count", client.track(stream::iter(positions))).await?;
    Ok(answer.into_inner().count)
}

#[tokio::test]
async fn a_ride_off_the_street_is_metered_from_start_to_end_anywhere_on_earth() {
    let server = server().run().await;
    for (car_id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        let id = rider.start(v1::StartRequest { location: Some(AT_SEA), ..start(car_id) }).await.unwrap();
        let ride = rider.get(&id).await.unwrap();
        assert_eq!((ride.state(), ride.version, ride.car_id), (RideState::OnTrip, 1, car_id));
        assert_eq!((ride.driver_id.as_str(), ride.passenger_ids), ("aino", vec!["ada".into(), "bob".into()]));
        assert_eq!(ride.pickup, Some(AT_SEA), "the pickup as it was sent");
        let followed = rider.watches(&id).await;

        let way = [0.001, 0.002, 0.003].map(|lng| position(car_id, Location { lng, ..AT_SEA }));
        assert_eq!(track(&server, way.to_vec()).await.unwrap(), 3);
        let ended = rider.end(end(&id)).await.unwrap();
        assert!((332..=335).contains(&ended.distance_m), "{} m", ended.distance_m);
        assert!(ended.fare.as_ref().is_some_and(|fare| fare.minor_units >= 700));
        assert_eq!(rider.end(end(&id)).await.unwrap(), ended, "safe to repeat");
        assert_eq!(ended.ride.unwrap().state(), RideState::Completed);
        assert_eq!(followed.versions().await, [1, 2]);
    }
}

#[tokio::test]
async fn starts_and_ends_are_checked() {
    let server = server().run().await;
    for (car_id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        for (request, reason, field) in [
            (v1::StartRequest { driver_id: String::new(), ..start(car_id) }, "MISSING", "driver_id"),
            (v1::StartRequest { driver_id: "x".repeat(65), ..start(car_id) }, "TOO_LONG", "driver_id"),
            (start(0), "NOT_POSITIVE", "car_id"),
            (start(-1), "NOT_POSITIVE", "car_id"),
            (v1::StartRequest { location: None, ..start(car_id) }, "MISSING", "location"),
            (v1::StartRequest { location: Some(NOWHERE), ..start(car_id) }, "NOT_ON_EARTH", "location"),
            (v1::StartRequest { r#type: 7, ..start(car_id) }, "UNKNOWN_VALUE", "type"),
            (
                v1::StartRequest {
                    time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
                    ..start(car_id)
                },
                "BAD_TIME",
                "time",
            ),
            (
                v1::StartRequest { passenger_ids: vec!["x".repeat(65)], ..start(car_id) },
                "TOO_LONG",
                "passenger_ids[0]",
            ),
            (
                v1::StartRequest { passenger_ids: vec![String::new(); 17], ..start(car_id) },
                "TOO_MANY",
                "passenger_ids",
            ),
        ] {
            assert_refused(rider.start(request).await, Code::InvalidArgument, reason, field);
        }

        let id = rider.start(start(car_id)).await.unwrap();
        assert_eq!(rider.start(start(car_id)).await.unwrap(), id, "safe to repeat");
        for other in [
            v1::StartRequest { driver_id: "bob".into(), ..start(car_id) },
            v1::StartRequest { passenger_ids: vec!["eve".into()], ..start(car_id) },
            v1::StartRequest { r#type: 1, ..start(car_id) },
        ] {
            assert_refused(rider.start(other).await, Code::FailedPrecondition, "CAR_BUSY", "");
        }
        assert_refused(rider.end(end("nobody's")).await, Code::NotFound, "NO_SUCH_RIDE", "");
        let nowhere = v1::EndRequest { location: Some(NOWHERE), ..end(&id) };
        assert_refused(rider.end(nowhere).await, Code::InvalidArgument, "NOT_ON_EARTH", "location");
        rider.end(end(&id)).await.unwrap();

        let booked = rider.books(&format!("key-{car_id}")).await;
        assert_refused(rider.end(end(&booked.ride_id)).await, Code::FailedPrecondition, "WRONG_STATE", "");
        rider.cancel(&booked.ride_id).await.unwrap();
    }
}

#[tokio::test]
async fn a_car_takes_one_ride_after_the_other_off_the_street_and_each_is_metered() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    for _ in 0..30 {
        let id = rider.start(v1::StartRequest { location: Some(AT_SEA), ..start(1) }).await.unwrap();
        let there = Location { lng: 0.001, ..AT_SEA };
        let ended = rider.end(v1::EndRequest { location: Some(there), ..end(&id) }).await.unwrap();
        assert_eq!(ended.distance_m, 111);
    }
}

#[tokio::test]
async fn a_car_that_drives_for_rides_takes_passengers_off_the_street_too() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut car = car(1).at(place(1)).signs_on(&server).await;
    let id = rider.start(start(1)).await.unwrap();
    assert_eq!(car.is_assigned(&id).await.state(), RideState::OnTrip);
    let booked = rider.books("key").await;
    car.drops_off(&id).await;
    car.takes(&booked.ride_id).await;
}

#[tokio::test]
async fn a_start_sent_again_moves_no_car_and_no_meter() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let at_sea = v1::StartRequest { location: Some(AT_SEA), ..start(1) };
    let id = rider.start(at_sea.clone()).await.unwrap();
    let there = position(1, Location { lng: 0.001, ..AT_SEA });
    assert_eq!(track(&server, vec![there]).await.unwrap(), 1);
    assert_eq!(rider.start(at_sea.clone()).await.unwrap(), id);
    assert_eq!(rider.end(end(&id)).await.unwrap().distance_m, 111);
    assert_ne!(rider.start(at_sea).await.unwrap(), id, "the first ride has ended");
}

#[tokio::test]
async fn a_gateway_tracks_many_cars_in_one_stream() {
    let server = server().run().await;
    let of_many =
        |round: u32| (1..=50).map(move |id| position(id, Location { lng: f64::from(round), ..AT_SEA }));
    let positions: Vec<_> = (0..20).flat_map(of_many).collect();
    assert_eq!(track(&server, positions).await.unwrap(), 1000);
    assert_eq!(track(&server, vec![]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_of_positions_ends_at_the_first_bad_one_and_what_came_before_counts() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    for (bad, reason, field) in [
        (position(0, AT_SEA), "NOT_POSITIVE", "positions[1].car_id"),
        (position(7, NOWHERE), "NOT_ON_EARTH", "positions[1].location"),
        (v1::TrackRequest { location: None, ..position(7, AT_SEA) }, "MISSING", "positions[1].location"),
    ] {
        let id = rider.start(v1::StartRequest { location: Some(AT_SEA), ..start(7) }).await.unwrap();
        let good = |lng| position(7, Location { lng, ..AT_SEA });
        let outcome = track(&server, vec![good(0.001), bad, good(0.5)]).await;
        assert_refused(outcome, Code::InvalidArgument, reason, field);
        assert_eq!(rider.end(end(&id)).await.unwrap().distance_m, 111);
    }
}
