//! What a trip costs whose positions cannot be believed: BAD-3.

use std::time::{Duration, SystemTime};

use rides_proto::v1::{self, Location, RideState, ride_event::Event, rides_client::RidesClient};
use tempfile::tempdir;
use tokio_stream::iter;

use crate::harness::{
    Running,
    car::{Car, car},
    places::{AT_SEA, north_of, place},
    rider::{Rider, booking},
    server, soon,
};

/// Half a minute ago, and so on: a car that drives for that long between two positions.
fn ago(seconds: u64) -> Option<prost_types::Timestamp> {
    Some((SystemTime::now() - Duration::from_secs(seconds)).into())
}

/// Books, and has the car take the ride and begin the trip.
async fn begins(rider: &Rider, car: &mut Car, wish: v1::BookRequest) -> v1::Ride {
    let ride = rider.book(wish).await.unwrap();
    car.takes(&ride.ride_id).await;
    car.arrives(&ride.ride_id).await;
    car.picks_up(&ride.ride_id).await;
    ride
}

async fn tracks(server: &Running, car_id: i64, positions: Vec<(Location, u64)>) {
    let position =
        |(location, seconds)| v1::TrackRequest { car_id, location: Some(location), time: ago(seconds) };
    let positions: Vec<_> = positions.into_iter().map(position).collect();
    let mut client = RidesClient::new(server.channel().await);
    soon("the count", client.track(iter(positions))).await.unwrap();
}

fn cents(fare: &Option<v1::Money>) -> i64 {
    fare.as_ref().unwrap().minor_units
}

#[tokio::test]
async fn a_position_at_the_other_end_of_the_world_costs_nothing() {
    let server = server().run().await;
    for (id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        let mut car = car(id).at(place(1)).signs_on(&server).await;
        let ride = begins(&rider, &mut car, booking(&format!("key-{id}"))).await;
        let (pickup, dropoff) = (ride.pickup.unwrap(), ride.dropoff.unwrap());
        for at in [pickup, AT_SEA, pickup, AT_SEA, dropoff] {
            car.reports(at).await;
        }
        car.drops_off(&ride.ride_id).await;
        let paid = rider.get(&ride.ride_id).await.unwrap();
        assert_eq!((paid.state(), paid.distance_m), (RideState::Completed, ride.distance_m), "as planned");
        assert!(cents(&paid.fare) <= cents(&ride.fare), "{paid:?}");
        car.signs_off().await;

        // Off the street nothing is planned, and where it ends may be made up, too.
        let start = v1::StartRequest {
            car_id: 100 + id,
            driver_id: "aino".into(),
            location: Some(place(1)),
            ..Default::default()
        };
        let id = rider.start(start).await.unwrap();
        let end = v1::EndRequest { ride_id: id, location: Some(AT_SEA), ..Default::default() };
        let ended = rider.end(end).await.unwrap();
        assert_eq!((ended.distance_m, cents(&ended.fare)), (0, 700));
    }
}

/// The driver goes to and fro at a speed that a car can drive, and the ride may cost no more than its quote.
#[tokio::test]
async fn what_the_meter_read_beyond_the_limit_of_a_booked_ride_is_kept_with_it() {
    let dir = tempdir().unwrap();
    let server_1 = server().charging_at_most(1.0).keeping_in(dir.path()).run().await;
    let mut charged = Vec::new();
    for (id, wire) in (1..).zip(server_1.wires().await) {
        let rider = Rider(wire);
        let mut car = car(id).at(place(1)).signs_on(&server_1).await;
        let wish = v1::BookRequest { dropoff: Some(place(4)), ..booking(&format!("key-{id}")) };
        let ride = begins(&rider, &mut car, wish).await;
        let pickup = ride.pickup.unwrap();
        let to_and_fro =
            (0..100).map(|n: u32| (north_of(pickup, f64::from(n % 2) * 900.0), 3_000 - u64::from(n) * 30));
        tracks(&server_1, id, to_and_fro.collect()).await;
        let followed = rider.watches(&ride.ride_id).await;
        car.drops_off(&ride.ride_id).await;
        let paid = rider.get(&ride.ride_id).await.unwrap();

        let planned = ride.duration.unwrap();
        let in_that_time_m = 70.0 * (planned.seconds as f64 + f64::from(planned.nanos) / 1e9) + 1_000.0;
        assert_eq!(f64::from(paid.distance_m), in_that_time_m.round());
        let events = followed.events().await;
        let Some(Event::Completed(completed)) = events.last().unwrap().event.clone() else {
            panic!("{events:?}");
        };
        let metered = 390 + (105 * i64::from(paid.distance_m) + 500) / 1_000;
        assert!(metered > cents(&ride.fare), "or there is nothing to see");
        assert_eq!(cents(&completed.metered_fare), metered);
        assert_eq!((&completed.fare, &paid.fare), (&ride.fare, &ride.fare));
        charged.push((paid, events));
        car.signs_off().await;
    }
    server_1.stop();
    server_1.stopped().await;

    let server_2 = server().keeping_in(dir.path()).run().await;
    for (wire, (paid, events)) in server_2.wires().await.into_iter().zip(charged) {
        let rider = Rider(wire);
        assert_eq!(rider.get(&paid.ride_id).await.unwrap(), paid);
        assert_eq!(rider.watches(&paid.ride_id).await.events().await, events);
    }
}
