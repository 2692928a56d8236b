//! Tests of the fleet's task through its handle, with paused time.

use std::time::Duration;

use rides_proto::ids::{CarNumber, RideId};

use super::*;
use crate::{
    fleet::{Fleet, ORDER_QUEUE},
    positions::CarState,
};

struct FleetTaskFixture {
    fleet: Fleet,
    ticks: mpsc::Receiver<FleetTick>,
    gone: mpsc::Receiver<CarId>,
}

fn fleet_task_fixture() -> FleetTaskFixture {
    let (tick_sender, ticks) = mpsc::channel(4);
    let (gone_sender, gone) = mpsc::channel(1);
    let (fleet, _) = Fleet::spawn(FleetOptions::default(), tick_sender, gone_sender);
    FleetTaskFixture { fleet, ticks, gone }
}

fn crew(n: i64) -> CarAndDriver {
    CarAndDriver { car: id(n), driver: "Aino".into() }
}

fn id(n: i64) -> CarId {
    CarId::new(n).expect("positive")
}

fn here() -> LatLng {
    LatLng::new(60.17, 24.94).expect("on Earth")
}

/// A brief that withdraws an offer.
fn withdrawn(version: u64) -> CarUpdate {
    let ride = RideId::new("r");
    let order = Some(Order::OfferWithdrawn { ride: ride.clone(), reason: String::new() });
    CarUpdate { ride, version, state: CarState::Free, begins_trip: false, order }
}

fn report(n: i64, lat: f64) -> PositionReport {
    let at = LatLng::new(lat, 24.94).expect("on Earth");
    PositionReport { car: id(n), at, heading_deg: None, time: SystemTime::now() }
}

#[tokio::test(start_paused = true)]
async fn a_tick_tells_what_changed_since_the_one_before() {
    let mut bench = fleet_task_fixture();
    let link = bench.fleet.sign_on(crew(1), Some(here())).await.expect("open");
    let mut tick = bench.ticks.recv().await.expect("open");
    while tick.cells.is_empty() {
        tick = bench.ticks.recv().await.expect("open");
    }
    assert_eq!(tick.cells[0].changed[0].number, link.number);
    let next = bench.ticks.recv().await.expect("open");
    assert_eq!((next.tick, next.cells), (tick.tick + 1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn while_nobody_takes_ticks_changes_add_up() {
    let mut bench = fleet_task_fixture();
    for n in 1..=20 {
        bench.fleet.report(vec![report(n, 60.17)]).await.expect("open");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // Four ticks wait in the channel. The next one has all later changes.
    let mut numbers: Vec<CarNumber> = Vec::new();
    let mut taken = 0;
    while numbers.len() < 20 {
        let tick = bench.ticks.recv().await.expect("open");
        numbers.extend(tick.cells.iter().flat_map(|cell| cell.changed.iter().map(|dot| dot.number)));
        taken += 1;
    }
    numbers.sort();
    assert_eq!(numbers, (1..=20).map(CarNumber).collect::<Vec<_>>());
    assert!(taken <= 6, "{taken} ticks, expected at most 6");
}

#[tokio::test(start_paused = true)]
async fn the_newest_connection_is_the_car() {
    let bench = fleet_task_fixture();
    let mut old = bench.fleet.sign_on(crew(1), None).await.expect("open");
    let mut new = bench.fleet.sign_on(crew(1), None).await.expect("open");
    assert_eq!(old.number, new.number);
    assert_eq!(old.orders.recv().await, Some(Order::Superseded));
    assert_eq!(old.orders.recv().await, None);
    // Calls with the older connection have no effect.
    bench.fleet.sign_off(id(1), old.link).await.expect("open");
    bench.fleet.link_lost(id(1), old.link).await.expect("open");
    assert_eq!(bench.fleet.update_car(id(1), withdrawn(3)).await, Ok(true));
    assert_eq!(new.orders.recv().await, withdrawn(3).order);
}

#[tokio::test(start_paused = true)]
async fn a_driver_who_takes_no_orders_is_cut() {
    let bench = fleet_task_fixture();
    let mut link = bench.fleet.sign_on(crew(1), None).await.expect("open");
    for version in 1..=ORDER_QUEUE as u64 {
        assert_eq!(bench.fleet.update_car(id(1), withdrawn(version)).await, Ok(true));
    }
    assert_eq!(bench.fleet.update_car(id(1), withdrawn(ORDER_QUEUE as u64 + 1)).await, Ok(false));
    assert!(!bench.fleet.car(id(1)).await.expect("open").expect("in its grace time").connected);
    let mut taken = 0;
    while link.orders.recv().await.is_some() {
        taken += 1;
    }
    assert_eq!(taken, ORDER_QUEUE);
}

#[tokio::test(start_paused = true)]
async fn those_who_sign_off_and_those_who_do_not_come_back_are_gone() {
    let mut bench = fleet_task_fixture();
    let started = Instant::now();
    for n in 1..=3 {
        let link = bench.fleet.sign_on(crew(n), Some(here())).await.expect("open");
        match n {
            1 => bench.fleet.sign_off(id(1), link.link).await.expect("open"),
            2 => bench.fleet.link_lost(id(2), link.link).await.expect("open"),
            // Dropped without sign-off.
            _ => drop(link),
        }
    }
    // This works without a reader of ticks, and although `gone` has room for only one car.
    assert_eq!(bench.gone.recv().await, Some(id(1)));
    assert_eq!(started.elapsed(), Duration::ZERO);
    let mut lost = [bench.gone.recv().await, bench.gone.recv().await];
    lost.sort();
    assert_eq!(lost, [Some(id(2)), Some(id(3))]);
    assert!(started.elapsed() >= Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(bench.fleet.car(id(2)).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_does_not_freeze_its_car() {
    let bench = fleet_task_fixture();
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    bench.fleet.report(vec![PositionReport { time: ahead, ..report(1, 60.1) }]).await.expect("open");
    assert!(bench.fleet.car(id(1)).await.expect("open").is_some(), "it is applied already");
    bench.fleet.report(vec![report(1, 60.2)]).await.expect("open");
    let car = bench.fleet.car(id(1)).await.expect("open").expect("on the map");
    assert_eq!(car.at.map(LatLng::lat), Some(60.2));
}

#[tokio::test]
async fn the_task_ends_with_its_last_handle() {
    let (ticks, _keep) = mpsc::channel(1);
    let (gone, _keep_too) = mpsc::channel(1);
    let (fleet, task) = Fleet::spawn(FleetOptions::default(), ticks, gone);
    drop(fleet);
    task.await.expect("ended without a panic");
}
