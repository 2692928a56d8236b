//! Tests that compare the state with a mirror that applies only its changes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use proptest::prelude::*;
use rides_proto::{ids::RideId, tiles::Cell};

use super::*;
use crate::positions::CarState;

const GRACE: Duration = Duration::from_secs(15);

fn id(n: i64) -> CarId {
    CarId::new(n).expect("positive")
}

fn crew(n: i64) -> CarAndDriver {
    CarAndDriver { car: id(n), driver: format!("driver {n}") }
}

fn at(lat: f64, lng: f64) -> LatLng {
    LatLng::new(lat, lng).expect("on Earth")
}

fn report(n: i64, place: LatLng) -> PositionReport {
    PositionReport { car: id(n), at: place, heading_deg: None, time: SystemTime::UNIX_EPOCH }
}

/// A brief of the car's only ride.
fn brief(version: u64, state: CarState) -> CarUpdate {
    CarUpdate { ride: RideId::new("r"), version, state, begins_trip: false, order: None }
}

/// Cars by cell and number, built only from changes.
#[derive(Default, PartialEq, Debug)]
struct Mirror(BTreeMap<(Cell, CarNumber), CarDot>);

impl Mirror {
    fn apply(&mut self, changes: Vec<CellChange>) {
        for change in changes {
            assert!(!change.changed.is_empty() || !change.left.is_empty(), "an empty change");
            for number in change.left {
                assert!(self.0.remove(&(change.cell, number)).is_some(), "left a cell that it was not in");
            }
            for dot in change.changed {
                assert_eq!(Cell::of(dot.at), change.cell);
                assert_ne!(self.0.insert((change.cell, dot.number), dot), Some(dot), "an unchanged car");
            }
        }
    }

    fn of(state: &FleetState) -> Self {
        let dots = state.cars.iter().filter_map(|(_, car)| car.dot());
        Self(dots.map(|dot| ((Cell::of(dot.at), dot.number), dot)).collect())
    }
}

#[derive(Clone, Debug)]
enum Step {
    SignOn(i64),
    Remove(i64),
    Disconnect(i64),
    Report(Vec<(i64, LatLng)>),
    SetDuty(i64, bool),
    Brief(i64, CarState),
    Wait(Duration),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let car = || 1..6i64;
    // Most places are in a few cells, so that cars move between them. Some are anywhere on Earth.
    let place = prop_oneof![
        6 => (60.16..60.18f64, 24.93..24.96f64),
        1 => (-90.0..=90.0f64, -180.0..=180.0f64),
    ]
    .prop_map(|(lat, lng)| at(lat, lng));
    let state = prop::sample::select(vec![CarState::Free, CarState::Offered, CarState::OnTrip]);
    let step = prop_oneof![
        2 => car().prop_map(Step::SignOn),
        1 => car().prop_map(Step::Remove),
        1 => car().prop_map(Step::Disconnect),
        6 => prop::collection::vec((car(), place), 1..4).prop_map(Step::Report),
        1 => (car(), any::<bool>()).prop_map(|(car, on)| Step::SetDuty(car, on)),
        2 => (car(), state).prop_map(|(car, state)| Step::Brief(car, state)),
        1 => (0..40u64).prop_map(|s| Step::Wait(Duration::from_secs(s))),
        3 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn ticks_replayed_into_a_mirror_give_exactly_the_cars(steps in steps()) {
        let mut state = FleetState::new(GRACE, DrivableDistance::default());
        let mut mirror = Mirror::default();
        let (mut now, clock) = (Instant::now(), SystemTime::now());
        let mut version = 0;
        for step in steps {
            match step {
                Step::SignOn(car) => drop(state.sign_on(crew(car))),
                Step::Remove(car) => state.remove(id(car)),
                Step::Disconnect(car) => state.disconnect(id(car), now),
                Step::Report(places) => {
                    let reports: Vec<_> = places.iter().map(|&(car, place)| report(car, place)).collect();
                    state.report(&reports, now, clock);
                }
                Step::SetDuty(car, on) => state.set_duty(id(car), on),
                Step::Brief(car, job) => {
                    version += 1;
                    state.apply_update(id(car), &brief(version, job), Instant::now(), SystemTime::now());
                }
                Step::Wait(time) => {
                    now += time;
                    state.remove_absent(now);
                }
                Step::Tick => {
                    mirror.apply(state.take_changes());
                    prop_assert_eq!(&mirror, &Mirror::of(&state));
                }
            }
            let free: Vec<_> = state.cars.iter().filter(|(_, car)| car.free_cell().is_some()).collect();
            prop_assert_eq!(state.nearest_free(at(60.17, 24.94), 99).len(), free.len());
        }
        mirror.apply(state.take_changes());
        prop_assert_eq!(&mirror, &Mirror::of(&state));
        prop_assert_eq!(state.take_changes(), vec![]);
    }
}

#[test]
fn a_car_that_enters_and_leaves_within_a_tick_is_never_told_of() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    state.report(&[report(1, at(60.17, 24.94))], Instant::now(), SystemTime::now());
    state.remove(id(1));
    assert_eq!(state.take_changes(), vec![]);
}

#[test]
fn a_car_that_comes_back_in_time_keeps_its_number_and_job() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    let now = Instant::now();
    let (number, old) = state.sign_on(crew(1));
    state.report(&[report(1, at(60.17, 24.94))], now, SystemTime::now());
    state.apply_update(id(1), &brief(3, CarState::ToPickup), Instant::now(), SystemTime::now());
    state.disconnect(id(1), now);
    assert_eq!(state.remove_absent(now + GRACE - Duration::from_secs(1)), vec![]);
    let (again, new) = state.sign_on(crew(1));
    assert_eq!(again, number);
    assert!(state.is_current(id(1), new) && !state.is_current(id(1), old));
    assert_eq!(state.remove_absent(now + GRACE * 2), vec![]);
    assert_eq!(state.car(id(1)).expect("still here").state, CarState::ToPickup);
}

#[test]
fn a_car_that_does_not_come_back_is_gone_and_never_leaves_its_number_to_another() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    let now = Instant::now();
    let (number, _) = state.sign_on(crew(1));
    state.disconnect(id(1), now);
    assert_eq!(state.remove_absent(now + GRACE), vec![id(1)]);
    assert_eq!(state.car(id(1)), None);
    assert_ne!(state.sign_on(crew(2)).0, number);
}

#[test]
fn a_lost_car_with_passengers_is_waited_for_longer() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    let now = Instant::now();
    state.sign_on(crew(1));
    state.apply_update(id(1), &brief(5, CarState::OnTrip), Instant::now(), SystemTime::now());
    state.disconnect(id(1), now);
    assert_eq!(state.remove_absent(now + GRACE * 2), vec![]);
    assert_eq!(state.remove_absent(now + Duration::from_secs(300)), vec![id(1)]);
}

#[test]
fn a_car_known_through_reports_is_off_duty_and_leaves_after_a_minute_of_silence() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    let now = Instant::now();
    state.report(&[report(7, at(-33.9, 151.2))], now, SystemTime::now());
    assert_eq!(state.car(id(7)).expect("it appeared").state, CarState::OffDuty);
    assert_eq!(state.nearest_free(at(-33.9, 151.2), 1), vec![]);
    state.remove_absent(now + Duration::from_secs(59));
    assert!(state.car(id(7)).is_some());
    // It never signed on, so it has no longer grace time and is not returned.
    assert_eq!(state.remove_absent(now + Duration::from_secs(60)), vec![]);
    assert_eq!(state.car(id(7)), None);
}

#[test]
fn only_a_connected_free_car_on_duty_can_be_asked() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    let here = at(60.17, 24.94);
    state.sign_on(crew(1));
    assert_eq!(state.nearest_free(here, 1), vec![], "its position is not known");
    state.report(&[report(1, here)], Instant::now(), SystemTime::now());
    assert_eq!(state.nearest_free(here, 1), vec![FreeCar { crew: crew(1), at: here }]);
    state.set_duty(id(1), false);
    assert_eq!(state.nearest_free(here, 1), vec![], "on a break");
    state.set_duty(id(1), true);
    state.apply_update(id(1), &brief(2, CarState::Offered), Instant::now(), SystemTime::now());
    assert_eq!(state.nearest_free(here, 1), vec![], "it has an offer");
    state.apply_update(id(1), &brief(3, CarState::Free), Instant::now(), SystemTime::now());
    state.disconnect(id(1), Instant::now());
    assert_eq!(state.nearest_free(here, 1), vec![], "not connected");
}

#[test]
fn the_place_of_a_car_at_the_pole_stays_the_truth() {
    let mut state = FleetState::new(GRACE, DrivableDistance::default());
    state.sign_on(crew(1));
    state.report(&[report(1, at(89.9, 10.0))], Instant::now(), SystemTime::now());
    assert_eq!(state.car(id(1)).and_then(|car| car.at), Some(at(89.9, 10.0)));
}
