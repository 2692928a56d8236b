//! The life of a ride from quote to fare.

use rides_proto::v1::{self, RideState, ride_event::Event, watch_response::Message};

use crate::harness::{
    car::car,
    places::{distance_m, place},
    rider::{Rider, booking},
    server, soon,
};

#[tokio::test]
async fn a_ride_is_quoted_booked_followed_and_paid() {
    let server = server().run().await;
    for (id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        let mut car = car(id).at(place(3)).signs_on(&server).await;
        let (pickup, dropoff) = (Some(place(1)), Some(place(2)));
        let quote = rider.quote(v1::QuoteRequest { pickup, dropoff, r#type: 0 }).await.unwrap();
        assert!(quote.pickup_eta.is_some(), "an estimate with a free car");

        let ride = rider.books(&format!("key-{id}")).await;
        assert_eq!((ride.fare.clone(), ride.route.clone()), (quote.fare, quote.route));
        let followed = rider.watches(&ride.ride_id).await;
        let offer = car.is_offered(&ride.ride_id).await;
        assert_eq!((offer.pickup, offer.dropoff, offer.fare), (ride.pickup, ride.dropoff, ride.fare.clone()));
        car.accepts(&ride.ride_id).await;
        car.reports(ride.pickup.unwrap()).await;
        car.arrives(&ride.ride_id).await;
        car.picks_up(&ride.ride_id).await;
        car.reports(ride.dropoff.unwrap()).await;
        car.drops_off(&ride.ride_id).await;

        let events = followed.events().await;
        assert!(events.iter().all(|event| event.ride_id == ride.ride_id));
        assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let happened: Vec<_> = events.into_iter().map(|event| event.event.unwrap()).collect();
        let [requested, offered, assigned, arrived, started, Event::Completed(completed)] = &happened[..]
        else {
            panic!("{happened:?}");
        };
        assert!(
            matches!(requested, Event::Requested(v1::Requested { ride: Some(booked) }) if *booked == ride)
        );
        assert!(matches!(offered, Event::Offered(offered) if offered.car_id == id));
        assert!(matches!(assigned, Event::Assigned(assigned) if assigned.car_id == id));
        assert!(matches!((arrived, started), (Event::Arrived(_), Event::Started(_))));

        // The straight line between both places, because the car reported only these two positions.
        let driven_m = distance_m(place(1), place(2));
        assert!((f64::from(completed.distance_m) - driven_m).abs() <= 1.0, "{completed:?}, not {driven_m} m");
        let fare = completed.fare.as_ref().unwrap();
        assert_eq!((fare.currency.as_str(), fare.minor_units >= 700), ("EUR", true), "{fare:?}");
        let paid = rider.get(&ride.ride_id).await.unwrap();
        assert_eq!((paid.state(), paid.version, paid.fare.as_ref()), (RideState::Completed, 6, Some(fare)));
        assert_eq!((paid.car_id, paid.driver_id), (id, format!("driver-{id}")));
        car.signs_off().await;
    }
}

#[tokio::test]
async fn the_rider_sees_the_car_come_nearer() {
    let server = server().run().await;
    for (id, wire) in (1..).zip(server.wires().await) {
        let rider = Rider(wire);
        let mut car = car(id).at(place(3)).signs_on(&server).await;
        let ride = rider.books(&format!("key-{id}")).await;
        car.takes(&ride.ride_id).await;

        let mut followed = rider.watches(&ride.ride_id).await;
        let mut progress = async || loop {
            if let Message::Progress(progress) = followed.next().await.unwrap() {
                return progress;
            }
        };
        let far = progress().await;
        assert_eq!((far.car, far.car_number), (Some(place(3)), car.number));
        assert!(far.route.is_some_and(|route| route.microdegrees.len() >= 4), "the route is first");
        car.reports(place(1)).await;
        let near = soon("the car at the pickup", async {
            loop {
                let progress = progress().await;
                if progress.car == Some(place(1)) {
                    return progress;
                }
            }
        })
        .await;
        assert!(
            near.remaining_m < 5 && far.remaining_m > 100,
            "{} m, then {} m",
            far.remaining_m,
            near.remaining_m
        );
        assert!(near.eta.unwrap().seconds < far.eta.unwrap().seconds);
        // Otherwise the ride would be offered to the car of the next iteration.
        rider.cancel(&ride.ride_id).await.unwrap();
        car.signs_off().await;
    }
}

#[tokio::test]
async fn a_car_has_one_ride_at_a_time_and_takes_the_next_one_after_it() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let rider = Rider(wire);
    let mut car = car(1).at(place(1)).signs_on(&server).await;
    let first = rider.books("first").await;
    car.takes(&first.ride_id).await;
    let second = rider.book(v1::BookRequest { rider_id: "bob".into(), ..booking("second") }).await.unwrap();
    car.arrives(&first.ride_id).await;
    car.picks_up(&first.ride_id).await;
    assert_eq!(rider.get(&second.ride_id).await.unwrap().state(), RideState::Requested);
    car.drops_off(&first.ride_id).await;
    car.takes(&second.ride_id).await;
}
