//! Fares of trips with false positions or times: BAD-3.

use std::time::{Duration, SystemTime};

use rides_proto::v1::{self, Location, RideState, ride_event::Event, rides_client::RidesClient};
use tempfile::tempdir;
use tokio_stream::iter;

use crate::harness::{
    Running,
    car::{Car, car},
    places::{AT_SEA, distance_m, north_of, place},
    rider::{Rider, booking},
    server, soon,
};

fn ago(seconds: u64) -> Option<prost_types::Timestamp> {
    Some((SystemTime::now() - Duration::from_secs(seconds)).into())
}

/// Books a ride that the car then takes and starts.
async fn begins(rider: &Rider, car: &mut Car, wish: v1::BookRequest) -> v1::Ride {
    let ride = rider.book(wish).await.unwrap();
    car.takes(&ride.ride_id).await;
    car.arrives(&ride.ride_id).await;
    car.picks_up(&ride.ride_id).await;
    ride
}

/// Uploads positions of the car, each with its age in seconds.
async fn tracks(server: &Running, car_id: i64, positions: &[(Location, u64)]) {
    let position =
        |&(location, seconds)| v1::TrackRequest { car_id, location: Some(location), time: ago(seconds) };
    let positions: Vec<_> = positions.iter().map(position).collect();
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
        let driven_m = distance_m(pickup, dropoff).round();
        assert_eq!((paid.state(), f64::from(paid.distance_m)), (RideState::Completed, driven_m));
        assert!(cents(&paid.fare) <= cents(&ride.fare), "{paid:?}");
        car.signs_off().await;

        // A ride that began on the street has no planned route. Its end may be false, too.
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

const A_DAY: u64 = 24 * 60 * 60 - 60;

/// A start on the street with the oldest time that is accepted.
fn started_yesterday(car_id: i64) -> v1::StartRequest {
    let (driver_id, location) = (format!("driver-{car_id}"), Some(place(1)));
    v1::StartRequest { car_id, driver_id, location, time: ago(A_DAY), ..Default::default() }
}

/// BAD-3: the start, the position and the end arrive within one second.
#[tokio::test]
async fn a_start_that_is_said_to_be_a_day_old_makes_no_long_ride() {
    let server = server().run().await;
    let far = north_of(place(1), 1_000_000.0);
    let too_far = north_of(place(1), 21_200.0);
    let mut cars = 1..;
    for wire in server.wires().await {
        let rider = Rider(wire);
        for (to, metres, fare) in
            [(far, 0, 700), (too_far, 0, 700), (north_of(place(1), 6_000.0), 6_000, 1_210)]
        {
            let car_id = cars.next().unwrap();
            let ride_id = rider.start(started_yesterday(car_id)).await.unwrap();
            tracks(&server, car_id, &[(to, 0)]).await;
            let end = v1::EndRequest { ride_id, time: ago(0), ..Default::default() };
            let ended = rider.end(end).await.unwrap();
            assert_eq!((ended.distance_m, cents(&ended.fare)), (metres, fare));
            assert_eq!(ended.duration.unwrap().seconds, 300, "a start counts as at most five minutes old");
        }
    }
}

/// BAD-3: the car signs off during the trip, which removes its meter.
#[tokio::test]
async fn a_ride_without_a_meter_ends_nowhere_that_no_car_can_reach() {
    let server = server().run().await;
    for (id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        for (n, metres, fare) in [(10, 6_000, 1_210), (20, 1_000_000, 700)] {
            let car_id = n + id;
            let mut car = car(car_id).at(place(1)).signs_on(&server).await;
            let ride_id = rider.start(started_yesterday(car_id)).await.unwrap();
            car.is_assigned(&ride_id).await;
            car.signs_off().await;
            let location = Some(north_of(place(1), f64::from(metres)));
            let ended = rider.end(v1::EndRequest { ride_id, location, ..Default::default() }).await.unwrap();
            let driven = if fare == 700 { 0 } else { metres as u32 };
            assert_eq!((ended.distance_m, cents(&ended.fare)), (driven, fare));
        }
    }
}

/// A booking of a ride to the most distant of 99 places.
fn long_ride(key: &str) -> v1::BookRequest {
    let from_here = |at: &Location| distance_m(*at, place(1));
    let dropoff = (1..100).map(place).max_by(|a, b| from_here(a).total_cmp(&from_here(b)));
    v1::BookRequest { dropoff, ..booking(key) }
}

/// BAD-3: the passenger gets out after 100 metres.
#[tokio::test]
async fn a_false_position_does_not_raise_a_short_ride_to_its_quote() {
    let server = server().run().await;
    for (wire, first_key) in server.wires().await.into_iter().zip([1, 11]) {
        let rider = Rider(wire);
        for (id, false_at) in (first_key..).zip([1, 2]) {
            let mut car = car(id).at(place(1)).signs_on(&server).await;
            let ride = begins(&rider, &mut car, long_ride(&format!("key-{id}"))).await;
            assert!(ride.distance_m > 1_000, "the quote must be longer than the ride");
            let pickup = ride.pickup.unwrap();
            let mut way = vec![pickup, north_of(pickup, 100.0)];
            way.insert(false_at, AT_SEA);
            for at in way {
                car.reports(at).await;
            }
            car.drops_off(&ride.ride_id).await;
            let paid = rider.get(&ride.ride_id).await.unwrap();
            assert_eq!((paid.distance_m, cents(&paid.fare)), (100, 700), "{false_at}");
            car.signs_off().await;
        }
    }
}

/// BAD-3: the car reports its way to the pickup only after the start of the trip.
#[tokio::test]
async fn what_was_driven_before_a_trip_is_not_metered() {
    let server = server().run().await;
    for (id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        let mut car = car(id).at(place(1)).signs_on(&server).await;
        let ride = begins(&rider, &mut car, long_ride(&format!("key-{id}"))).await;
        let pickup = ride.pickup.unwrap();
        let way = |metres, age| (north_of(pickup, metres), age);
        tracks(&server, id, &[way(4_000.0, 300), way(2_000.0, 200), way(0.0, 100), way(100.0, 0)]).await;
        car.drops_off(&ride.ride_id).await;
        assert_eq!(rider.get(&ride.ride_id).await.unwrap().distance_m, 100);
        car.signs_off().await;
    }
}

/// The driver drives back and forth in legs that are short enough to be noise. The ride costs no more than its
/// quote.
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
            (0..1_000).map(|n: u32| (north_of(pickup, f64::from(n % 2) * 140.0), 0)).collect::<Vec<_>>();
        tracks(&server_1, id, &to_and_fro).await;
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
        assert!(metered > cents(&ride.fare), "the meter must exceed the quote");
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
