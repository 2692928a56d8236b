//! Tests of the orders that a car gets from the offer to the end of its ride.

use std::sync::Arc;

use rides_proto::ids::RideId;

use super::*;
use crate::rides::{
    RideLog,
    machine::{self, Command, Decision},
    model::{Actor, TripSummary},
    testing::{booking, car, crew, noon, offer, place},
};

/// Returns what cars are told while `commands` are applied to a new booking: one entry per event after it.
fn told(commands: &[Command]) -> Vec<Option<(CarId, CarState, String)>> {
    let book = Command::Book(Arc::new(booking("ada")));
    let mut log: Option<RideLog> = None;
    let mut told = Vec::new();
    for command in [book].iter().chain(commands) {
        let before = log.as_ref().map(|log| log.ride.clone());
        let decision = machine::decide(before.as_ref(), command).expect("allowed");
        let Decision::Event(what) = decision else { panic!("repeated: {command:?}") };
        let version = before.as_ref().map_or(0, |ride| ride.version) + 1;
        let event = Arc::new(RideEvent { ride: RideId::new("r"), version, time: noon(), what });
        let next = RideLog::with_event(log.as_ref(), Arc::clone(&event)).expect("follows");
        if let Some(before) = before {
            let notice = brief_for_event(&before, &event, &next.ride);
            told.push(notice.map(|(car, brief)| {
                assert_eq!((brief.ride, brief.version), (event.ride.clone(), event.version));
                assert_eq!(brief.begins_trip, brief.state == CarState::OnTrip, "the meter starts once");
                (car, brief.state, order_name(brief.order))
            }));
        }
        log = Some(next);
    }
    told
}

fn order_name(order: Option<Order>) -> String {
    match order {
        None => "nothing".into(),
        Some(Order::Offer(_)) => "offer".into(),
        Some(Order::OfferWithdrawn { reason, .. }) => format!("offer withdrawn: {reason}"),
        Some(Order::Assignment(_)) => "assignment".into(),
        Some(Order::RideWithdrawn { reason, .. }) => format!("ride withdrawn: {reason}"),
        Some(Order::Update(ride)) => format!("update: {:?}", ride.state),
        Some(Order::Superseded) => "superseded".into(),
    }
}

fn offer_to(n: u8) -> Command {
    Command::Offer { crew: crew(n), offer: offer(noon()) }
}

#[test]
fn a_car_is_told_of_its_ride_from_offer_to_end() {
    let drop_off =
        Command::DropOff { car: None, figures: TripSummary::default(), metered_fare: None, at: place(5) };
    let ride = [
        offer_to(1),
        Command::Accept { car: car(1) },
        Command::Arrive { car: car(1) },
        Command::PickUp { car: car(1) },
        drop_off,
    ];
    let expected = [
        (CarState::Offered, "offer"),
        (CarState::ToPickup, "assignment"),
        (CarState::AtPickup, "update: Arrived"),
        (CarState::OnTrip, "update: OnTrip"),
        (CarState::Free, "update: Completed"),
    ];
    assert_eq!(told(&ride), expected.map(|(state, order)| Some((car(1), state, order.to_owned()))));
}

#[test]
fn a_car_that_loses_a_ride_is_free_and_hears_why() {
    let cancel = |reason: &str| Command::Cancel { by: Actor::Rider, car: None, reason: reason.into() };
    let timed_out = Command::EndOffer { car: car(1), why: OfferEndReason::TimedOut };
    let accept = Command::Accept { car: car(1) };
    for (commands, expected) in [
        (vec![offer_to(1), timed_out], "offer withdrawn: the offer was not answered in time"),
        (vec![offer_to(1), Command::Decline { car: car(1) }], "nothing"),
        (vec![offer_to(1), cancel("")], "offer withdrawn: the ride was cancelled"),
        (vec![offer_to(1), accept.clone(), cancel("a tram")], "ride withdrawn: a tram"),
        (
            vec![offer_to(1), accept, Command::Unassign { car: car(1) }],
            "ride withdrawn: the connection to the car was lost",
        ),
    ] {
        let last = told(&commands).pop().flatten();
        assert_eq!(last, Some((car(1), CarState::Free, expected.to_owned())));
    }
}

#[test]
fn a_ride_without_a_car_tells_nobody() {
    assert_eq!(told(&[Command::Expire]), [None]);
}
