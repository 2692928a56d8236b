//! A restart with the same journal and the same port.

use std::time::Duration;

use futures_util::future::join_all;
use rides_proto::v1::RideState;
use tempfile::{TempDir, tempdir};

use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        Running, Server,
        car::{Car, car},
        http::StuckClient,
        places::place,
        rider::Rider,
        server, soon,
        wire::Wire,
    },
};

/// The time for which cars of the previous server are waited for.
const GRACE: Duration = Duration::from_millis(500);

/// Stops `server` and starts `next` at its address.
async fn followed_by(server: Running, next: Server) -> Running {
    let addr = server.addr;
    server.stop();
    server.stopped().await;
    next.at(addr).run().await
}

/// Returns a server, its data directory, a rider, car 1, and the id of a ride that the rider has booked.
async fn with_a_ride() -> (Running, TempDir, Rider, Car, String) {
    let dir = tempdir().unwrap();
    let server = server().keeping_in(dir.path()).run().await;
    let rider = Rider(Wire::Web(server.addr));
    let car = car(1).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    (server, dir, rider, car, ride)
}

#[tokio::test]
async fn a_ride_goes_on_with_its_car_and_its_watcher_misses_nothing() {
    let (first, dir, rider, mut before, ride) = with_a_ride().await;
    let mut watch = rider.watches(&ride).await;
    let epoch = watch.opened.epoch.clone();
    before.takes(&ride).await;
    let mut seen = 0;
    while seen < 3 {
        seen = watch.event().await.unwrap().version;
    }

    let second = followed_by(first, server().keeping_in(dir.path())).await;
    let mut after = car(1).at(place(3)).signs_on(&second).await;
    assert_eq!(after.is_assigned(&ride).await.state(), RideState::Assigned);
    let watch = rider.resumes(&ride, &epoch, seen).await.unwrap();
    assert!(watch.opened.resumed);
    after.arrives(&ride).await;
    after.picks_up(&ride).await;

    let third = followed_by(second, server().keeping_in(dir.path())).await;
    let status = watch.expect_error().await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let mut last = car(1).at(place(3)).signs_on(&third).await;
    assert_eq!(last.is_assigned(&ride).await.state(), RideState::OnTrip);
    let watch = rider.resumes(&ride, &epoch, 5).await.unwrap();
    last.drops_off(&ride).await;
    assert_eq!(watch.versions().await, [6]);
    let booked = rider.books("key").await;
    assert_eq!(booked.ride_id, ride, "the same request is the same ride");
    assert_eq!(booked.state(), RideState::Completed);
}

#[tokio::test]
async fn a_trip_of_which_the_meter_was_lost_costs_what_was_planned() {
    let (first, dir, rider, mut before, ride) = with_a_ride().await;
    before.takes(&ride).await;
    before.arrives(&ride).await;
    before.picks_up(&ride).await;
    let planned = rider.get(&ride).await.unwrap().distance_m;

    let second = followed_by(first, server().keeping_in(dir.path())).await;
    let mut after = car(1).at(place(3)).signs_on(&second).await;
    after.is_assigned(&ride).await;
    after.reports(place(1)).await;
    after.drops_off(&ride).await;
    assert_eq!(rider.get(&ride).await.unwrap().distance_m, planned);
}

#[tokio::test]
async fn an_offer_that_is_out_is_made_again() {
    let (first, dir, rider, mut before, ride) = with_a_ride().await;
    before.is_offered(&ride).await;
    let second = followed_by(first, server().keeping_in(dir.path())).await;
    let mut after = car(1).at(place(3)).signs_on(&second).await;
    after.takes(&ride).await;
    assert_eq!(rider.get(&ride).await.unwrap().version, 3, "the offer made before the restart");
}

#[tokio::test]
async fn a_ride_whose_car_does_not_come_back_goes_to_another() {
    let (first, dir, rider, mut before, ride) = with_a_ride().await;
    before.takes(&ride).await;
    let second = followed_by(first, server().keeping_in(dir.path()).waiting_for_cars_of_before(GRACE)).await;
    let mut other = car(2).at(place(3)).signs_on(&second).await;
    other.takes(&ride).await;
    assert_eq!(rider.get(&ride).await.unwrap().car_id, 2);
}

/// L12: all 500 connect again at once. Real clients spread out.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_who_were_cut_off_together_all_go_on_where_they_were() {
    let (first, dir, rider, mut before, ride) = with_a_ride().await;
    before.takes(&ride).await;
    let epoch = rider.watches(&ride).await.opened.epoch;
    let second = followed_by(first, server().keeping_in(dir.path())).await;
    let mut car = car(1).at(place(3)).signs_on(&second).await;
    car.is_assigned(&ride).await;
    let mut wires = vec![Wire::Web(second.addr)];
    for _ in 0..5 {
        wires.push(Wire::Native(second.channel().await));
    }
    let back = join_all(wires.iter().cycle().take(500).map(async |wire| {
        let watch = Rider(wire.clone()).resumes(&ride, &epoch, 2).await.unwrap();
        assert!(watch.opened.resumed);
        (watch, Viewer::of(wire, helsinki()).await)
    }));
    let back = soon("all watchers and viewers", back).await;
    rider.cancel(&ride).await.unwrap();
    let number = car.number;
    for (watch, mut viewer) in back {
        assert_eq!(watch.versions().await, [3, 4]);
        viewer.until(number, |dot| dot.is_some()).await;
    }
}

/// Shutdown resets the streams of the cars, and the drain takes two seconds. The car is not treated as lost.
#[tokio::test]
async fn a_car_that_the_end_of_the_server_cuts_off_keeps_its_ride() {
    let dir = tempdir().unwrap();
    let slow = Duration::from_secs(2);
    let first =
        server().keeping_in(dir.path()).waiting_for_lost_cars(Duration::ZERO).draining_for(slow).run().await;
    let rider = Rider(Wire::Web(first.addr));
    let mut before = car(1).at(place(3)).signs_on(&first).await;
    let ride = rider.books("key").await.ride_id;
    before.takes(&ride).await;
    let _stuck = StuckClient::on(first.addr).await;

    let second = soon("a restart", followed_by(first, server().keeping_in(dir.path()))).await;
    let mut after = car(1).at(place(3)).signs_on(&second).await;
    assert_eq!(after.is_assigned(&ride).await.version, 3, "no event during the restart");
}
