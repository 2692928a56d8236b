//! Tests of dispatch with rides and a fleet, on paused time.

use std::time::SystemTime;

use tokio::{sync::watch, time::Instant};

use super::*;
use crate::{
    dispatch::{begin_off_street, candidates, resume_ride},
    fleet::{DriverConnection, FleetOptions, Order, PositionReport},
    positions::{CarState, FleetTick},
    rides::{
        RideLog,
        journal::{Journal, MemoryJournal},
        model::{Actor, Booking, EventKind, OpenOffer, Ride, TripSummary},
        testing::{FailingJournal, booking, car, city, crew, on_streets, place, request},
    },
};

/// The time that a driver has to answer an offer.
const OFFER: Duration = Duration::from_secs(10);

/// Rides, fleet and dispatch of a server, with paused time.
struct Office {
    rides: Rides,
    fleet: Fleet,
    _ticks: mpsc::Receiver<FleetTick>,
}

async fn office() -> Office {
    office_on(Arc::new(MemoryJournal::new())).await
}

/// Starts an office with `journal`. Another office may have written it, as before a restart.
async fn office_on(journal: Arc<dyn Journal>) -> Office {
    let (ticks, _ticks) = mpsc::channel(4);
    let (opened, opened_rides) = mpsc::channel(64);
    let (gone, gone_cars) = mpsc::channel(64);
    let (fleet, _) = Fleet::spawn(FleetOptions::default(), ticks, gone);
    let (rides, _) = Rides::spawn(journal, opened).await.expect("a journal in memory can be read");
    spawn(city(), fleet.clone(), rides.clone(), opened_rides, gone_cars, DispatchOptions::default());
    Office { rides, fleet, _ticks }
}

impl Office {
    /// Signs on car `n` at a place that no other car has.
    async fn car(&self, n: u8) -> DriverConnection {
        let at = on_streets(usize::from(n)).pop();
        self.fleet.sign_on(crew(n), at).await.expect("open")
    }

    /// Signs on `count` cars. Returns them with their numbers, first the one that a ride would be offered to first.
    async fn cars(&self, count: u8) -> Vec<(u8, DriverConnection)> {
        let mut cars = Vec::new();
        for n in 1..=count {
            cars.push((n, self.car(n).await));
        }
        let (city, pickup) = (city(), booking("ada").pickup.at);
        let order = candidates(&city, &self.fleet, &city.snap(pickup), &[]).await.expect("open");
        cars.sort_by_key(|(n, _)| order.iter().position(|candidate| candidate.crew == crew(*n)));
        cars
    }

    async fn book(&self, key: &str) -> RideId {
        let key = request(key, &[]);
        self.rides.book(key, booking("ada")).await.expect("booked").id
    }

    async fn until(&self, ride: &RideId, state: RideState) -> Ride {
        let mut feed: watch::Receiver<Arc<RideLog>> = self.rides.watch(ride).await.expect("booked");
        let log = feed.wait_for(|log| log.ride.state == state).await.expect("it gets there");
        log.ride.clone()
    }

    async fn command(&self, ride: &RideId, command: Command) {
        self.rides.command(ride, command).await.expect("allowed");
    }

    async fn state_of(&self, n: u8) -> Option<CarState> {
        self.fleet.car(car(n)).await.expect("open").map(|view| view.state)
    }
}

/// Returns the ride that is offered. Panics at any other order.
async fn offered(link: &mut DriverConnection) -> RideId {
    match link.orders.recv().await {
        Some(Order::Offer(offer)) => offer.ride.id,
        other => panic!("expected an offer: {other:?}"),
    }
}

async fn assigned(link: &mut DriverConnection) -> Ride {
    match link.orders.recv().await {
        Some(Order::Assignment(ride)) => ride,
        other => panic!("expected an assignment: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_ride_goes_to_the_nearest_car_and_through_its_life() {
    let office = office().await;
    let mut cars = office.cars(2).await;
    let (n, near) = &mut cars[0];
    let n = *n;
    let id = office.book("k").await;
    assert_eq!(offered(near).await, id);
    assert_eq!(office.state_of(n).await, Some(CarState::Offered));

    office.command(&id, Command::Accept { car: car(n) }).await;
    assert_eq!(assigned(near).await.state, RideState::Assigned);
    assert_eq!(office.state_of(n).await, Some(CarState::ToPickup));

    let figures = TripSummary::default();
    for (command, state, doing) in [
        (Command::Arrive { car: car(n) }, RideState::Arrived, CarState::AtPickup),
        (Command::PickUp { car: car(n) }, RideState::OnTrip, CarState::OnTrip),
        (
            Command::DropOff { car: None, figures, metered_fare: None, at: place(5) },
            RideState::Completed,
            CarState::Free,
        ),
    ] {
        office.command(&id, command).await;
        let order = near.orders.recv().await;
        assert!(matches!(&order, Some(Order::Update(ride)) if ride.state == state), "{order:?}");
        assert_eq!(office.state_of(n).await, Some(doing));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decline_and_a_silence_go_to_the_next_car() {
    let office = office().await;
    let mut cars = office.cars(3).await;
    let [(a, first), (b, second), (c, third)] = &mut cars[..] else { panic!("three cars") };
    let start = Instant::now();
    let id = office.book("k").await;
    offered(first).await;
    office.command(&id, Command::Decline { car: car(*a) }).await;

    offered(second).await;
    assert!(start.elapsed() < Duration::from_secs(1), "a decline is not waited out");
    let withdrawn = second.orders.recv().await;
    assert!(matches!(withdrawn, Some(Order::OfferWithdrawn { .. })), "{withdrawn:?}");
    assert!(start.elapsed() >= Duration::from_secs(9));

    offered(third).await;
    office.command(&id, Command::Accept { car: car(*c) }).await;
    assigned(third).await;
    for n in [*a, *b] {
        assert_eq!(office.state_of(n).await, Some(CarState::Free));
    }
}

#[tokio::test(start_paused = true)]
async fn two_rides_do_not_share_a_car() {
    let office = office().await;
    let (mut one, mut two) = (office.car(1).await, office.car(2).await);
    let (a, b) = tokio::join!(office.book("a"), office.book("b"));
    let (x, y) = (offered(&mut one).await, offered(&mut two).await);
    assert!((x == a && y == b) || (x == b && y == a), "one each");
}

#[tokio::test(start_paused = true)]
async fn a_ride_waits_for_a_car_and_expires_without_one() {
    let office = office().await;
    let start = Instant::now();
    let (first, second) = (office.book("first").await, office.book("second").await);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut late = office.car(1).await;
    let served = offered(&mut late).await;
    office.command(&served, Command::Accept { car: car(1) }).await;

    let other = if served == first { second } else { first };
    office.until(&other, RideState::Expired).await;
    let waited = start.elapsed().as_secs();
    assert!((179..185).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_ride_frees_its_car() {
    let office = office().await;
    let mut link = office.car(1).await;
    let id = office.book("k").await;
    offered(&mut link).await;
    office.command(&id, Command::Accept { car: car(1) }).await;
    assigned(&mut link).await;
    office.command(&id, Command::Cancel { by: Actor::Rider, car: None, reason: "a tram".into() }).await;
    let order = link.orders.recv().await;
    assert!(matches!(&order, Some(Order::RideWithdrawn { reason, .. }) if reason == "a tram"), "{order:?}");
    let next = office.book("next").await;
    assert_eq!(offered(&mut link).await, next);
}

#[tokio::test(start_paused = true)]
async fn a_ride_whose_car_goes_away_goes_to_another() {
    let office = office().await;
    let mut cars = office.cars(2).await;
    let [(n, near), (_, far)] = &mut cars[..] else { panic!("two cars") };
    let id = office.book("k").await;
    offered(near).await;
    office.command(&id, Command::Accept { car: car(*n) }).await;
    assigned(near).await;
    office.fleet.link_lost(car(*n), near.link).await.expect("open");
    assert_eq!(offered(far).await, id);
}

#[tokio::test(start_paused = true)]
async fn a_trip_goes_on_without_its_cars_connection() {
    let office = office().await;
    let mut link = office.car(1).await;
    let id = office.book("k").await;
    offered(&mut link).await;
    for command in
        [Command::Accept { car: car(1) }, Command::Arrive { car: car(1) }, Command::PickUp { car: car(1) }]
    {
        office.command(&id, command).await;
    }
    office.until(&id, RideState::OnTrip).await;
    office.fleet.sign_off(car(1), link.link).await.expect("open");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(office.rides.get(&id).await.map(|ride| ride.state), Ok(RideState::OnTrip));
}

#[tokio::test(start_paused = true)]
async fn a_car_that_comes_back_hears_of_its_ride() {
    let office = office().await;
    let mut link = office.car(1).await;
    let id = office.book("k").await;
    offered(&mut link).await;
    let mut again = office.car(1).await;
    resume_ride(&office.rides, &office.fleet, car(1)).await.expect("open");
    assert_eq!(offered(&mut again).await, id);

    office.command(&id, Command::Accept { car: car(1) }).await;
    assigned(&mut again).await;
    office.fleet.link_lost(car(1), again.link).await.expect("open");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut back = office.car(1).await;
    resume_ride(&office.rides, &office.fleet, car(1)).await.expect("open");
    assert_eq!(assigned(&mut back).await.id, id);
    assert_eq!(office.state_of(1).await, Some(CarState::ToPickup));
}

/// Returns a ride of car 1 after `steps`, and its journal. The server that wrote it has ended.
async fn left_behind(steps: &[Command]) -> (Arc<MemoryJournal>, RideId) {
    let journal = Arc::new(MemoryJournal::new());
    let (opened, _unheard) = mpsc::channel(64);
    let (rides, _) = Rides::spawn(journal.clone(), opened).await.expect("readable");
    let key = request("k", &[]);
    let id = rides.book(key, booking("ada")).await.expect("booked").id;
    let expires_at = SystemTime::now() + OFFER;
    let offer = OpenOffer { pickup_eta: Duration::ZERO, expires_at };
    rides.command(&id, Command::Offer { crew: crew(1), offer }).await.expect("free");
    for step in steps {
        rides.command(&id, step.clone()).await.expect("in order");
    }
    (journal, id)
}

fn accept() -> Command {
    Command::Accept { car: car(1) }
}

fn pick_up() -> [Command; 3] {
    [accept(), Command::Arrive { car: car(1) }, Command::PickUp { car: car(1) }]
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_car_that_comes_back_takes_up_its_ride() {
    for (steps, state, doing) in [
        (&pick_up()[..1], RideState::Assigned, CarState::ToPickup),
        (&pick_up()[..2], RideState::Arrived, CarState::AtPickup),
        (&pick_up()[..3], RideState::OnTrip, CarState::OnTrip),
    ] {
        let (journal, id) = left_behind(steps).await;
        let office = office_on(journal).await;
        let version = office.rides.get(&id).await.expect("kept").version;
        let mut link = office.car(1).await;
        resume_ride(&office.rides, &office.fleet, car(1)).await.expect("open");
        assert_eq!(assigned(&mut link).await.state, state);
        assert_eq!(office.state_of(1).await, Some(doing));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(
            office.rides.get(&id).await.map(|ride| ride.version),
            Ok(version),
            "nothing has happened since"
        );
        assert!(link.orders.try_recv().is_err(), "the car is told once");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_offer_that_is_out_is_made_again() {
    let (journal, id) = left_behind(&[]).await;
    let office = office_on(journal).await;
    let mut link = office.car(1).await;
    resume_ride(&office.rides, &office.fleet, car(1)).await.expect("open");
    assert_eq!(offered(&mut link).await, id);
    office.command(&id, accept()).await;
    assert_eq!(assigned(&mut link).await.version, 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_offer_whose_car_is_away_goes_on_and_may_come_back_to_it() {
    let (journal, id) = left_behind(&[]).await;
    let office = office_on(journal).await;
    let ride = office.until(&id, RideState::Requested).await;
    assert_eq!(ride.passed_over, [], "a car without a connection is not passed over");
    let mut late = office.car(1).await;
    assert_eq!(offered(&mut late).await, id);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_car_that_does_not_come_back_loses_its_ride() {
    for steps in [&pick_up()[..1], &pick_up()[..2]] {
        let (journal, id) = left_behind(steps).await;
        let office = office_on(journal).await;
        office.until(&id, RideState::Requested).await;
        office.until(&id, RideState::Expired).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_trip_whose_car_never_comes_back_ends_as_planned() {
    let (journal, id) = left_behind(&pick_up()).await;
    let office = office_on(journal).await;
    let start = Instant::now();
    let ride = office.until(&id, RideState::Completed).await;
    let plan = booking("ada").plan;
    assert_eq!(ride.figures, plan);
    let waited = start.elapsed() - plan.duration - DispatchOptions::default().abandon_after;
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    let log = office.rides.watch(&id).await.expect("kept").borrow().clone();
    let end = log.events.last().map(|event| event.what.clone());
    assert!(matches!(end, Some(EventKind::Completed { at, .. }) if at == place(5)), "{end:?}");
    let mut link = office.car(1).await;
    let next = office.book("next").await;
    assert_eq!(offered(&mut link).await, next, "the car is free");
}

#[tokio::test(start_paused = true)]
async fn a_ride_off_the_street_whose_car_never_comes_back_ends_as_driven() {
    let office = office().await;
    let booking = Booking { dropoff: None, plan: TripSummary::default(), ..booking("") };
    let ride = office.rides.start_off_street(crew(1), booking, SystemTime::now()).await.expect("free");
    let report = |n| PositionReport { car: car(1), at: place(n), heading_deg: None, time: SystemTime::now() };
    office.fleet.report(vec![report(0)]).await.expect("open");
    begin_off_street(&office.fleet, &ride).await.expect("open");
    for n in 1..=3 {
        office.fleet.report(vec![report(n)]).await.expect("open");
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let ride = office.until(&ride.id, RideState::Completed).await;
    let driven = place(0).distance_m(place(3));
    assert!((f64::from(ride.figures.distance_m) - driven).abs() < 1.0, "{:?}, not {driven} m", ride.figures);
}

#[tokio::test(start_paused = true)]
async fn a_trip_goes_on_for_as_long_as_its_car_is_there() {
    let (journal, id) = left_behind(&pick_up()).await;
    let office = office_on(journal).await;
    let _link = office.car(1).await;
    tokio::time::sleep(DispatchOptions::default().abandon_after * 3).await;
    assert_eq!(office.rides.get(&id).await.map(|ride| ride.state), Ok(RideState::OnTrip));
}

#[tokio::test(start_paused = true)]
async fn a_car_that_comes_back_before_the_journal_does_keeps_its_ride() {
    let journal = Arc::new(FailingJournal::new());
    let office = office_on(journal.clone()).await;
    let mut link = office.car(1).await;
    let id = office.book("k").await;
    offered(&mut link).await;
    office.command(&id, accept()).await;
    assigned(&mut link).await;
    journal.fail_appends(1);
    office.fleet.sign_off(car(1), link.link).await.expect("open");
    tokio::time::sleep(RETRY_DELAY / 2).await;
    let mut back = office.car(1).await;
    resume_ride(&office.rides, &office.fleet, car(1)).await.expect("open");
    tokio::time::sleep(RETRY_DELAY * 2).await;
    assert_eq!(assigned(&mut back).await.id, id);
    assert!(back.orders.try_recv().is_err(), "nothing was taken back");
    assert_eq!(office.rides.get(&id).await.map(|ride| ride.state), Ok(RideState::Assigned));
}

#[tokio::test(start_paused = true)]
async fn a_car_is_let_go_though_its_shepherd_failed_when_the_ride_ended() {
    let journal = Arc::new(FailingJournal::new());
    let office = office_on(journal.clone()).await;
    let mut link = office.car(1).await;
    let id = office.book("k").await;
    offered(&mut link).await;
    // The offer expires while the journal fails, and the rider cancels as soon as the journal works again.
    journal.fail_appends(1);
    tokio::time::sleep(OFFER + RETRY_DELAY / 2).await;
    office.command(&id, Command::Cancel { by: Actor::Rider, car: None, reason: "a tram".into() }).await;
    let order = link.orders.recv().await;
    assert!(matches!(&order, Some(Order::OfferWithdrawn { reason, .. }) if reason == "a tram"), "{order:?}");
    assert_eq!(office.state_of(1).await, Some(CarState::Free));
}

#[tokio::test(start_paused = true)]
async fn a_ride_that_is_over_before_anyone_looks_after_it_lets_its_car_go() {
    let (ticks, _ticks) = mpsc::channel(4);
    let (opened, opened_rides) = mpsc::channel(64);
    let (gone, gone_cars) = mpsc::channel(64);
    let (fleet, _) = Fleet::spawn(FleetOptions::default(), ticks, gone);
    let (rides, _) = Rides::spawn(Arc::new(MemoryJournal::new()), opened).await.expect("readable");
    let office = Office { rides, fleet, _ticks };
    let mut link = office.car(1).await;
    let ride = office.rides.start_off_street(crew(1), booking(""), SystemTime::now()).await.expect("free").id;
    begin_off_street(&office.fleet, &office.rides.get(&ride).await.expect("kept")).await.expect("open");
    assert_eq!(assigned(&mut link).await.id, ride);
    let end =
        Command::DropOff { car: None, figures: TripSummary::default(), metered_fare: None, at: place(5) };
    office.command(&ride, end).await;

    let (fleet, rides) = (office.fleet.clone(), office.rides.clone());
    spawn(city(), fleet, rides, opened_rides, gone_cars, DispatchOptions::default());
    let heard = tokio::time::timeout(Duration::from_secs(1), link.orders.recv()).await;
    assert!(matches!(heard, Ok(Some(Order::Update(over))) if over.state == RideState::Completed));
    assert_eq!(office.state_of(1).await, Some(CarState::Free));
}
