//! The `Fleet.Watch` stream: cars, cursors, viewports and viewers that do not read.

use std::time::Duration;

use rides_proto::v1::{self, CarState, Location, drive_request as up};
use tonic::Code;

use super::viewer::{Dot, Viewer, helsinki, watch};
use crate::harness::{
    car::{Car, car},
    places::{distance_m, north_of, place},
    rider::Rider,
    server,
    wire::assert_refused,
};

/// An epoch of no server under test.
const ANOTHER: &str = "6c1e2c5a-94cf-4f0e-8a3c-5b1f1f3b2d22";

fn is(state: CarState) -> impl Fn(Option<Dot>) -> bool {
    move |dot| dot.is_some_and(|dot| dot.state == state)
}

fn is_at(at: Location) -> impl Fn(Option<Dot>) -> bool {
    move |dot| dot.is_some_and(|dot| distance_m(dot.at, at) < 0.1)
}

#[tokio::test]
async fn cars_appear_move_change_cell_and_leave() {
    let server = server().run().await;
    for wire in server.wires().await {
        let mut viewer = Viewer::of(&wire, helsinki()).await;
        assert!(viewer.cars.is_empty(), "the first frame comes without cars");
        let car = car(1).at(place(1)).signs_on(&server).await;
        viewer.until(car.number, is_at(place(1))).await;

        let near = north_of(place(1), 2.0);
        car.reports(near).await;
        let moved = viewer.until(car.number, is_at(near)).await.unwrap();
        assert_eq!((moved.state, moved.heading), (CarState::Free, 0), "the car went north");

        let far = north_of(place(1), 700.0);
        car.reports(far).await;
        let gone = viewer.until(car.number, is_at(far)).await.unwrap();
        assert_ne!(gone.cell, moved.cell);
        assert_eq!(viewer.cars.len(), 1, "the car is in one cell only");

        let number = car.number;
        car.signs_off().await;
        viewer.until(number, |dot| dot.is_none()).await;
    }
}

#[tokio::test]
async fn viewers_see_what_a_car_is_doing() {
    let server = server().run().await;
    let [native, web] = server.wires().await;
    let rider = Rider(native);
    let mut viewer = Viewer::of(&web, helsinki()).await;
    let mut car = car(1).at(place(1)).signs_on(&server).await;
    viewer.until(car.number, is(CarState::Free)).await;
    let ride = rider.books("key").await.ride_id;
    car.is_offered(&ride).await;
    viewer.until(car.number, is(CarState::Offered)).await;
    car.accepts(&ride).await;
    viewer.until(car.number, is(CarState::ToPickup)).await;
    car.arrives(&ride).await;
    viewer.until(car.number, is(CarState::AtPickup)).await;
    car.picks_up(&ride).await;
    viewer.until(car.number, is(CarState::OnTrip)).await;
    car.says(up::Message::SetDuty(up::SetDuty { on_duty: false })).await;
    car.drops_off(&ride).await;
    viewer.until(car.number, is(CarState::OffDuty)).await;
}

#[tokio::test]
async fn cursors_bring_what_is_lacking_and_only_in_their_epoch() {
    let server = server().run().await;
    for wire in server.wires().await {
        let car = car(1).at(place(1)).signs_on(&server).await;
        let mut before = Viewer::of(&wire, helsinki()).await;
        before.until(car.number, is_at(place(1))).await;
        let epoch = before.epoch.clone();

        let unchanged = before.resume(&wire, &epoch, helsinki()).await;
        assert_eq!(unchanged.epoch, epoch);
        assert!(unchanged.cars.is_empty(), "nothing is lacking: {:?}", unchanged.cars);

        let before = Viewer::of(&wire, helsinki()).await;
        let all_anew = before.resume(&wire, ANOTHER, helsinki()).await;
        assert_eq!(all_anew.cars.keys().copied().collect::<Vec<_>>(), [car.number]);
        car.signs_off().await;
    }
}

#[tokio::test]
async fn whoever_resumes_gets_no_cell_again() {
    let server = server().run().await;
    for wire in server.wires().await {
        let (here, there) = (place(1), north_of(place(1), 1500.0));
        let moving = car(1).at(here).signs_on(&server).await;
        let standing = car(2).at(there).signs_on(&server).await;
        let mut before = Viewer::of(&wire, helsinki()).await;
        let moved = before.until(moving.number, is_at(here)).await.unwrap();
        let stood = before.until(standing.number, is_at(there)).await.unwrap();
        assert_ne!(moved.cell, stood.cell);

        let mut other = Viewer::of(&wire, helsinki()).await;
        let near = north_of(here, 2.0);
        moving.reports(near).await;
        other.until(moving.number, is_at(near)).await;
        let epoch = before.epoch.clone();
        let resumed = before.resume(&wire, &epoch, helsinki()).await;
        assert_eq!(resumed.cells.keys().copied().collect::<Vec<_>>(), [moved.cell]);
        assert!(is_at(near)(resumed.cars.get(&moving.number).copied()));
        moving.signs_off().await;
        standing.signs_off().await;
    }
}

#[tokio::test]
async fn a_cursor_from_the_future_is_none_and_garbage_is_refused() {
    let server = server().run().await;
    for wire in server.wires().await {
        let car = car(1).at(place(1)).signs_on(&server).await;
        let mut viewer = Viewer::of(&wire, helsinki()).await;
        let cell = viewer.until(car.number, is_at(place(1))).await.unwrap().cell;
        let good = v1::WatchFleetRequest {
            viewport: Some(helsinki()),
            cursors: vec![v1::CellCursor { cell, tick: u64::MAX }],
            epoch: viewer.epoch.clone(),
            ..Default::default()
        };
        let first = watch(&wire, good.clone()).await.unwrap().expect().await;
        let whole = first.cells.iter().find(|frame| frame.cell == cell);
        assert!(whole.is_some_and(|frame| frame.snapshot && frame.cars == [car.number]), "{first:?}");

        let cursor = v1::CellCursor { cell: 1 << 30, tick: 1 };
        for (request, reason, field) in [
            (v1::WatchFleetRequest { epoch: "yesterday".into(), ..good.clone() }, "BAD_EPOCH", "epoch"),
            (v1::WatchFleetRequest { cursors: vec![cursor], ..good }, "INVALID_FIELD", "cursors[0].cell"),
        ] {
            let outcome = match watch(&wire, request).await {
                Ok(mut frames) => frames.next().await.expect("no end without a status"),
                Err(status) => Err(status),
            };
            assert_refused(outcome, Code::InvalidArgument, reason, field);
        }
        car.signs_off().await;
    }
}

#[tokio::test]
async fn a_viewport_shows_its_own_cells_only() {
    let server = server().run().await;
    let [wire, _] = server.wires().await;
    let near = car(1).at(place(1)).signs_on(&server).await;
    let far = car(2).at(north_of(place(1), 3000.0)).signs_on(&server).await;
    Viewer::of(&wire, helsinki()).await.until(far.number, |dot| dot.is_some()).await;
    let Location { lat, lng } = place(1);
    let around = v1::Bounds { south: lat - 0.001, west: lng - 0.001, north: lat + 0.001, east: lng + 0.001 };
    let viewer = Viewer::of(&wire, around).await;
    assert_eq!(viewer.cars.keys().copied().collect::<Vec<_>>(), [near.number]);
}

#[tokio::test]
async fn bad_viewports_are_refused() {
    let server = server().run().await;
    for wire in server.wires().await {
        let world = v1::Bounds { south: -90.0, west: -180.0, north: 90.0, east: 180.0 };
        for (viewport, reason) in [
            (None, "INVALID_FIELD"),
            (Some(world), "INVALID_FIELD"),
            (Some(v1::Bounds { south: 60.2, north: 60.1, ..helsinki() }), "INVALID_FIELD"),
            (Some(v1::Bounds { west: 25.0, east: 24.9, ..helsinki() }), "INVALID_FIELD"),
            (Some(v1::Bounds { south: f64::NAN, ..helsinki() }), "NOT_ON_EARTH"),
            (Some(v1::Bounds { east: 180.1, ..helsinki() }), "NOT_ON_EARTH"),
            (Some(v1::Bounds { west: 20.0, east: 30.0, ..helsinki() }), "INVALID_FIELD"),
        ] {
            let request = v1::WatchFleetRequest { viewport, ..Default::default() };
            let outcome = match watch(&wire, request).await {
                Ok(mut frames) => frames.next().await.expect("no end without a status"),
                Err(status) => Err(status),
            };
            assert_refused(outcome, Code::InvalidArgument, reason, "viewport");
        }
        Viewer::of(&wire, helsinki()).await;
    }
}

/// Moves a car back and forth, 20 times per second.
async fn to_and_fro(car: &Car) {
    loop {
        for metres in [0.0, 5.0] {
            car.reports(north_of(place(1), metres)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// L17: a viewer that starts to read again gets the newest frames and no backlog.
#[tokio::test]
async fn a_viewer_who_does_not_read_delays_nobody() {
    let server = server().run().await;
    let [native, web] = server.wires().await;
    let car = car(1).at(place(1)).signs_on(&server).await;
    let mut asleep = Vec::new();
    for wire in [&native, &web].into_iter().cycle().take(10) {
        asleep.push(Viewer::of(wire, helsinki()).await);
    }
    let mut awake = Viewer::of(&server.wires().await[1], helsinki()).await;
    let watching = async {
        for _ in 0..8 {
            awake.next().await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = to_and_fro(&car) => {}
    }

    // Each viewer that reads again sees the car where it is now.
    let end = north_of(place(1), 20.0);
    car.reports(end).await;
    for viewer in &mut asleep {
        viewer.until(car.number, is_at(end)).await;
    }
}
