//! What states are called: for people, and (slugs) for styles and tests.

use crate::{
    format,
    model::{CarState, Place, RideState, RideType},
};

/// While a call is made once more.
pub(super) const RETRYING: &str = "No answer. Trying again…";

/// Until something may be tried again.
pub(super) fn again_in(seconds: u32) -> String {
    format!("Try again in {seconds} s")
}

/// The state, for `data-state`.
pub(super) fn slug(state: RideState) -> &'static str {
    match state {
        RideState::Requested => "requested",
        RideState::Offered => "offered",
        RideState::Assigned => "assigned",
        RideState::Arrived => "arrived",
        RideState::OnTrip => "on-trip",
        RideState::Completed => "completed",
        RideState::Cancelled => "cancelled",
        RideState::Expired => "expired",
    }
}

/// The state in a word or two.
pub(super) fn state(state: RideState) -> &'static str {
    match state {
        RideState::Requested => "Requested",
        RideState::Offered => "Offered",
        RideState::Assigned => "Assigned",
        RideState::Arrived => "Arrived",
        RideState::OnTrip => "On trip",
        RideState::Completed => "Completed",
        RideState::Cancelled => "Cancelled",
        RideState::Expired => "Expired",
    }
}

/// The meaning of the state, for the person who rides or for anyone else.
pub(super) fn headline(state: RideState, is_mine: bool) -> &'static str {
    match (state, is_mine) {
        (RideState::Requested, _) => "Looking for a car",
        (RideState::Offered, _) => "Asking a driver",
        (RideState::Assigned, true) => "Your car is on its way",
        (RideState::Assigned, false) => "The car is on its way",
        (RideState::Arrived, true) => "Your car is here",
        (RideState::Arrived, false) => "The car waits at the pickup",
        (RideState::OnTrip, true) => "Enjoy the ride",
        (RideState::OnTrip, false) => "On the way to the drop-off",
        (RideState::Completed, true) => "You have arrived",
        (RideState::Completed, false) => "This ride is over",
        (RideState::Cancelled, _) => "This ride was cancelled",
        (RideState::Expired, _) => "No car could take it",
    }
}

/// The kind of ride.
pub(super) fn kind(kind: RideType) -> &'static str {
    match kind {
        RideType::Regular => "Regular",
        RideType::Pool => "Pool",
    }
}

/// A place by its street, or by its coordinates where no street is near.
pub(super) fn place(place: &Place) -> String {
    if place.name.is_empty() { format::coordinates(place.at) } else { place.name.clone() }
}

/// A place that may be unknown, as with rides off the street.
pub(super) fn place_or(known: Option<&Place>, otherwise: &str) -> String {
    known.map_or_else(|| otherwise.to_owned(), place)
}

/// What a car is doing: its slug and its name.
pub(super) fn car_state(state: CarState) -> (&'static str, &'static str) {
    match state {
        CarState::Free => ("free", "Free"),
        CarState::Offered => ("offered", "Offered"),
        CarState::ToPickup => ("to-pickup", "To pickup"),
        CarState::AtPickup => ("at-pickup", "At pickup"),
        CarState::OnTrip => ("on-trip", "On trip"),
        CarState::OffDuty => ("off-duty", "Off duty"),
    }
}
