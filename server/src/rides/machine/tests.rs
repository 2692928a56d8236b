use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use rides_proto::ids::RideId;

use super::*;
use crate::rides::{
    RideLog,
    testing::{any_command, booking, car, crew, noon, offer, place},
};

const FIGURES: TripSummary = TripSummary {
    distance_m: 700,
    duration: Duration::from_secs(100),
    fare: crate::rides::model::Cents(800),
};

/// Applies a command as the task does, and returns the decision.
fn apply(log: &mut Option<RideLog>, command: &Command) -> Result<Decision, Refusal> {
    let ride = log.as_ref().map(|log| &log.ride);
    let decision = decide(ride, command)?;
    if let Decision::Event(what) = decision.clone() {
        let version = ride.map_or(0, |ride| ride.version) + 1;
        let event = RideEvent { ride: RideId::new("r"), version, time: noon(), what };
        let next = RideLog::with_event(log.as_ref(), Arc::new(event))
            .expect("an event of a decision is the next one");
        *log = Some(next);
    }
    Ok(decision)
}

/// Returns a ride in `state`. Car 1 has it in the states in which a car has it, and car 9 has declined it before.
fn ride_in(state: Option<RideState>) -> Option<RideLog> {
    let mut log = None;
    let offer = offer(noon());
    let cancel = Command::Cancel { by: Actor::Rider, car: None, reason: String::new() };
    let path: [Command; 7] = [
        Command::Book(Arc::new(booking("ada"))),
        Command::Offer { crew: crew(9), offer },
        Command::Decline { car: car(9) },
        Command::Offer { crew: crew(1), offer },
        Command::Accept { car: car(1) },
        Command::Arrive { car: car(1) },
        Command::PickUp { car: car(1) },
    ];
    let drop_off = Command::DropOff { car: None, figures: FIGURES, metered_fare: None, at: place(5) };
    let (steps, last) = match state {
        None => (0, None),
        Some(RideState::Requested) => (3, None),
        Some(RideState::Offered) => (4, None),
        Some(RideState::Assigned) => (5, None),
        Some(RideState::Arrived) => (6, None),
        Some(RideState::OnTrip) => (7, None),
        Some(RideState::Completed) => (7, Some(drop_off)),
        Some(RideState::Cancelled) => (5, Some(cancel)),
        Some(RideState::Expired) => (3, Some(Command::Expire)),
    };
    for command in path[..steps].iter().chain(&last) {
        let came = apply(&mut log, command);
        assert!(matches!(came, Ok(Decision::Event(_))), "{command:?}: {came:?}");
    }
    assert_eq!(log.as_ref().map(|log| log.ride.state), state);
    log
}

/// Returns the sign for a decision in the tables below.
fn sign(came: &Result<Decision, Refusal>) -> char {
    match came {
        Ok(Decision::Event(_)) => '+',
        Ok(Decision::NoChange) => '=',
        Err(Refusal::WrongState(_)) => 'w',
        Err(Refusal::NotYours) => 'n',
        Err(Refusal::PassedOver) => 'p',
        Err(Refusal::NoSuchRide) => '?',
        Err(other) => panic!("no other refusal depends on one ride alone: {other:?}"),
    }
}

const STATES: [Option<RideState>; 9] = [
    None,
    Some(RideState::Requested),
    Some(RideState::Offered),
    Some(RideState::Assigned),
    Some(RideState::Arrived),
    Some(RideState::OnTrip),
    Some(RideState::Completed),
    Some(RideState::Cancelled),
    Some(RideState::Expired),
];

#[test]
fn every_command_in_every_state() {
    let offer_to = |n| Command::Offer { crew: crew(n), offer: offer(noon()) };
    let drop_off = |car| Command::DropOff { car, figures: FIGURES, metered_fare: None, at: place(5) };
    // Columns: not opened, Requested, Offered, Assigned, Arrived, OnTrip, Completed, Cancelled, Expired. Car 1 has
    // the ride, car 2 never had it, car 9 has declined it.
    let table = [
        (Command::Book(Arc::new(booking("bob"))), "+wwwwwwww"),
        (
            Command::StartOffStreet { booking: Arc::new(booking("")), crew: crew(2), since: noon() },
            "+wwwwwwww",
        ),
        (offer_to(1), "?+=wwwwww"),
        (offer_to(2), "?+wwwwwww"),
        (offer_to(9), "?pwwwwwww"),
        (Command::EndOffer { car: car(1), why: OfferEndReason::TimedOut }, "?w+wwwwww"),
        (Command::EndOffer { car: car(2), why: OfferEndReason::CarLost }, "?wnnnnwww"),
        (Command::EndOffer { car: car(9), why: OfferEndReason::TimedOut }, "?========"),
        (Command::Accept { car: car(1) }, "?w+====ww"),
        (Command::Accept { car: car(2) }, "?wnnnnnww"),
        (Command::Decline { car: car(1) }, "?w+wwwwww"),
        (Command::Decline { car: car(2) }, "?wnnnnwww"),
        (Command::Decline { car: car(9) }, "?========"),
        (Command::Arrive { car: car(1) }, "?ww+===ww"),
        (Command::Arrive { car: car(2) }, "?wnnnnnww"),
        (Command::PickUp { car: car(1) }, "?www+==ww"),
        (Command::PickUp { car: car(2) }, "?wnnnnnww"),
        (drop_off(None), "?wwww+=ww"),
        (drop_off(Some(car(1))), "?wwww+=ww"),
        (drop_off(Some(car(2))), "?wwwwnnww"),
        (Command::GiveBack { car: car(1), reason: String::new() }, "?ww++wwww"),
        (Command::GiveBack { car: car(2), reason: String::new() }, "?wnnnnwww"),
        (Command::Unassign { car: car(1) }, "?ww++wwww"),
        (Command::Unassign { car: car(2) }, "?wnnnnwww"),
        (Command::Cancel { by: Actor::Driver, car: None, reason: String::new() }, "?++++ww=w"),
        (Command::Cancel { by: Actor::Driver, car: Some(car(1)), reason: String::new() }, "?n+++ww=w"),
        (Command::Cancel { by: Actor::Driver, car: Some(car(2)), reason: String::new() }, "?nnnnww=w"),
        (Command::Expire, "?+wwwwww="),
        (Command::EndOffer { car: car(1), why: OfferEndReason::CarLost }, "?w+wwwwww"),
    ];
    for (command, expected) in table {
        let came: String = STATES.iter().map(|state| sign(&apply(&mut ride_in(*state), &command))).collect();
        assert_eq!(came, expected, "{command:?}");
    }
}

/// L13 in docs/failures.md: the clock does not matter. An offer is open until dispatch ends it.
#[test]
fn an_answer_after_the_offers_time_stands_as_long_as_nobody_ended_the_offer() {
    let mut log = ride_in(Some(RideState::Offered));
    let late = noon() + Duration::from_secs(3600);
    assert!(log.as_ref().and_then(|log| log.ride.offer).is_some_and(|offer| offer.expires_at < late));
    let accept = Command::Accept { car: car(1) };
    assert_eq!(sign(&apply(&mut log.clone(), &accept)), '+');
    apply(&mut log, &Command::EndOffer { car: car(1), why: OfferEndReason::TimedOut })
        .expect("the car has an offer");
    assert_eq!(sign(&apply(&mut log, &accept)), 'w');
}

#[test]
fn a_lost_car_may_have_the_ride_again_and_one_that_gave_it_back_may_not() {
    let again = Command::Offer { crew: crew(1), offer: offer(noon()) };
    let unheard = Command::EndOffer { car: car(1), why: OfferEndReason::CarLost };
    for (state, loss) in
        [(RideState::Assigned, Command::Unassign { car: car(1) }), (RideState::Offered, unheard)]
    {
        let mut lost = ride_in(Some(state));
        apply(&mut lost, &loss).expect("the car has the ride");
        assert_eq!(sign(&apply(&mut lost, &again)), '+');
    }

    let mut given_back = ride_in(Some(RideState::Arrived));
    apply(&mut given_back, &Command::GiveBack { car: car(1), reason: "flat tyre".into() })
        .expect("the car has arrived");
    assert_eq!(sign(&apply(&mut given_back, &again)), 'p');
}

#[test]
fn a_completed_ride_has_the_figures_as_driven() {
    let log = ride_in(Some(RideState::Completed)).expect("the ride is opened");
    assert_eq!((log.ride.figures, log.ride.booking.plan), (FIGURES, booking("ada").plan));
    assert_eq!(log.ride.current_car(), None);
}

#[test]
fn an_event_that_does_not_follow_is_a_misfit() {
    let log = ride_in(Some(RideState::Offered)).expect("the ride is opened");
    let event = |version, what| RideEvent { ride: RideId::new("r"), version, time: noon(), what };
    for (ride, event) in [
        (Some(log.ride.clone()), event(6, EventKind::Arrived)),
        (Some(log.ride.clone()), event(4, EventKind::Arrived)),
        (Some(log.ride.clone()), event(5, EventKind::Requested(Arc::new(booking("bob"))))),
        (Some(Ride { id: RideId::new("other"), ..log.ride }), event(5, EventKind::Arrived)),
        (None, event(1, EventKind::Arrived)),
    ] {
        let found = event.version;
        let at = ride.as_ref().map_or(0, |ride| ride.version);
        assert_eq!(evolve(ride, &event), Err(OutOfSequence { at, found }));
    }
}

#[test]
fn a_drivers_clock_makes_no_trip_negative_or_endless() {
    let ride = ride_in(Some(RideState::OnTrip)).expect("the ride is opened").ride;
    let (second, now) = (Duration::from_secs(1), noon() + Duration::from_secs(60));
    assert_eq!(trip_time(&ride, noon() + second, now), second);
    assert_eq!(trip_time(&ride, noon() - second, now), Duration::ZERO);
    assert_eq!(trip_time(&ride, now + second, now), Duration::from_secs(60));
}

/// BAD-3 in docs/failures.md: the driver of a ride off the street reports the start of the trip.
#[test]
fn a_start_counts_as_at_most_five_minutes_late() {
    let ride = ride_in(Some(RideState::OnTrip)).expect("the ride is opened").ride;
    for (late, counted) in [(0, 60), (299, 359), (300, 360), (301, 360), (86_400, 360)] {
        let ride = Ride { started_at: Some(ride.requested_at - Duration::from_secs(late)), ..ride.clone() };
        let ended = ride.requested_at + Duration::from_secs(60);
        assert_eq!(trip_time(&ride, ended, ended), Duration::from_secs(counted), "{late} s");
    }
}

proptest! {
    #[test]
    fn whatever_comes_a_ride_keeps_its_rules(commands in prop::collection::vec(any_command(), 1..60)) {
        let mut log = None;
        for command in &commands {
            let before = log.clone();
            let came = apply(&mut log, command);
            let happened = matches!(came, Ok(Decision::Event(_)));
            prop_assert_eq!(happened, log != before, "only an event changes a ride");

            let Some(RideLog { ride, events }) = &log else { continue };
            prop_assert!(events.iter().map(|event| event.version).eq(1..=ride.version), "no gap in versions");
            if let Some(RideLog { ride: before, .. }) = before {
                prop_assert!(!(before.state.is_over() && happened), "a final state has no further event");
                let held = before.current_car().zip(ride.current_car());
                prop_assert!(held.is_none_or(|(a, b)| a == b), "a ride does not change its car in one step");
            }
            let needs_car = matches!(
                ride.state,
                RideState::Offered | RideState::Assigned | RideState::Arrived | RideState::OnTrip
            );
            prop_assert_eq!(ride.current_car().is_some(), needs_car);
            prop_assert_eq!(ride.offer.is_some(), ride.state == RideState::Offered);
            prop_assert!(ride.current_car().is_none_or(|car| !ride.passed_over.contains(&car)));
            if happened {
                let again = decide(Some(ride), command);
                prop_assert!(again != came, "a repeat causes no second event");
                // Riders and drivers may send a command again. Commands that open a ride have a key, and dispatch
                // checks the state first.
                if !matches!(
                    command,
                    Command::Book(_)
                        | Command::StartOffStreet { .. }
                        | Command::Offer { .. }
                        | Command::EndOffer { .. }
                        | Command::Unassign { .. }
                ) {
                    prop_assert_eq!(again, Ok(Decision::NoChange));
                }
            }
        }
        let events = log.as_ref().map(|log| log.events.clone()).unwrap_or_default();
        prop_assert_eq!(RideLog::replay(events), Ok(log));
    }
}
