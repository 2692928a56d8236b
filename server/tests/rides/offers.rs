//! Offers: declined, expired, and passed on to another car.

use std::time::{Duration, SystemTime};

use rides_proto::v1::{OfferEnd, RideState, ride_event::Event};

use crate::harness::{
    SOON,
    car::car,
    places::{north_of, place},
    rider::{RideSubscription, Rider},
    server,
};

/// The timeout of an offer: long enough for a test car to respond on a busy machine.
const OFFER: Duration = Duration::from_secs(2);
/// The time for which a lost car is waited for.
const GRACE: Duration = Duration::from_millis(500);

/// The next `length` events of the ride, in words.
async fn story(followed: &mut RideSubscription, length: usize) -> Vec<String> {
    let mut story = Vec::new();
    while story.len() < length {
        story.push(match followed.event().await.unwrap().event.unwrap() {
            Event::Requested(_) => "requested".into(),
            Event::Offered(offered) => format!("offered to {}", offered.car_id),
            Event::OfferEnded(ended) => match ended.why() {
                OfferEnd::Declined => format!("{} declined", ended.car_id),
                OfferEnd::TimedOut => format!("{} was silent", ended.car_id),
                other => format!("{} {}", ended.car_id, other.as_str_name()),
            },
            Event::Assigned(assigned) => format!("assigned to {}", assigned.car_id),
            Event::Unassigned(unassigned) => format!("{} lost it", unassigned.car_id),
            Event::Expired(_) => "expired".into(),
            other => format!("{other:?}"),
        });
    }
    story
}

#[tokio::test]
async fn who_declines_leaves_the_ride_to_the_next_car() {
    let server = server().run().await;
    for (id, wire) in (1..).step_by(2).zip(server.wires().await) {
        let rider = Rider(wire);
        let mut near = car(id).at(place(1)).signs_on(&server).await;
        let mut far = car(id + 1).at(place(3)).signs_on(&server).await;
        let ride = rider.books(&format!("key-{id}")).await;
        let mut followed = rider.watches(&ride.ride_id).await;
        near.is_offered(&ride.ride_id).await;
        near.declines(&ride.ride_id).await;
        far.takes(&ride.ride_id).await;
        let [offered, declined] = [format!("offered to {id}"), format!("{id} declined")];
        let [next, assigned] = [format!("offered to {}", id + 1), format!("assigned to {}", id + 1)];
        assert_eq!(story(&mut followed, 5).await, ["requested", &offered, &declined, &next, &assigned]);
        // Otherwise the ride would be offered to the cars of the next iteration.
        rider.cancel(&ride.ride_id).await.unwrap();
        near.signs_off().await;
        far.signs_off().await;
    }
}

#[tokio::test]
async fn who_says_nothing_loses_the_offer_to_the_next_car() {
    let server = server().offering_for(OFFER).run().await;
    let [_, wire] = server.wires().await;
    let rider = Rider(wire);
    let mut near = car(1).at(place(1)).signs_on(&server).await;
    let mut far = car(2).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await;
    let mut followed = rider.watches(&ride.ride_id).await;
    let offer = near.is_offered(&ride.ride_id).await;
    let left = SystemTime::try_from(offer.expires_at.unwrap()).unwrap().duration_since(SystemTime::now());
    assert!(left.unwrap_or_default() <= OFFER);
    assert!(!near.loses(&ride.ride_id).await.is_empty(), "the driver gets a reason");
    far.takes(&ride.ride_id).await;
    assert_eq!(
        story(&mut followed, 5).await,
        ["requested", "offered to 1", "1 was silent", "offered to 2", "assigned to 2"]
    );

    near.says_accept(&ride.ride_id).await;
    assert_eq!(near.is_refused().await.reason, "NOT_YOURS", "the offer has expired");
}

#[tokio::test]
async fn a_lost_car_loses_its_ride_to_another() {
    let server = server().waiting_for_lost_cars(GRACE).run().await;
    let [_, wire] = server.wires().await;
    let rider = Rider(wire);
    let mut first = car(1).at(place(1)).signs_on(&server).await;
    let mut second = car(2).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await;
    let mut followed = rider.watches(&ride.ride_id).await;
    first.takes(&ride.ride_id).await;
    first.arrives(&ride.ride_id).await;
    drop(first);
    second.takes(&ride.ride_id).await;
    let told = story(&mut followed, 7).await;
    assert_eq!(told[4..], ["1 lost it", "offered to 2", "assigned to 2"], "{told:?}");
}

#[tokio::test]
async fn a_car_that_comes_back_in_time_keeps_its_ride() {
    let server = server().waiting_for_lost_cars(SOON).run().await;
    let [_, wire] = server.wires().await;
    let rider = Rider(wire);
    let mut before = car(1).at(place(1)).signs_on(&server).await;
    let ride = rider.books("key").await;
    before.takes(&ride.ride_id).await;
    drop(before);
    let mut after = car(1).signs_on(&server).await;
    assert_eq!(after.is_assigned(&ride.ride_id).await.state(), RideState::Assigned);
    after.arrives(&ride.ride_id).await;
    assert_eq!(rider.get(&ride.ride_id).await.unwrap().version, 4, "no event while the car was lost");
}

#[tokio::test]
async fn a_driver_who_goes_home_leaves_the_ride_to_another() {
    let server = server().run().await;
    let [_, wire] = server.wires().await;
    let rider = Rider(wire);
    let mut asked = car(1).at(place(1)).signs_on(&server).await;
    let mut assigned = car(2).at(north_of(place(1), 50.0)).signs_on(&server).await;
    let mut patient = car(3).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await;
    let mut followed = rider.watches(&ride.ride_id).await;
    asked.is_offered(&ride.ride_id).await;
    asked.signs_off().await;
    assigned.takes(&ride.ride_id).await;
    assigned.gives_back(&ride.ride_id).await;
    patient.takes(&ride.ride_id).await;
    let told = story(&mut followed, 7).await;
    assert_eq!(told[1..4], ["offered to 1", "1 OFFER_END_CAR_LOST", "offered to 2"]);
    assert_eq!(told[4..], ["assigned to 2", "2 lost it", "offered to 3"]);
}

#[tokio::test]
async fn a_ride_that_no_car_takes_expires() {
    let server = server().giving_up_after(Duration::from_millis(300)).run().await;
    for wire in server.wires().await {
        let rider = Rider(wire.clone());
        let ride = rider.books(&format!("{wire:?}")).await;
        let mut followed = rider.watches(&ride.ride_id).await;
        assert_eq!(story(&mut followed, 2).await, ["requested", "expired"]);
        assert!(followed.next().await.is_none(), "a message after the last event");
        assert_eq!(rider.get(&ride.ride_id).await.unwrap().state(), RideState::Expired);
    }
}
