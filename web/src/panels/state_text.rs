//! The names of states, for people and (as slugs) for style sheets and tests.

use crate::{
    format,
    model::{CarState, Place, RideState, RideType},
};

/// The text while a call is sent again.
pub(super) const RETRYING: &str = "No answer. Trying again…";

/// Returns the text until a request may be sent again.
pub(super) fn again_in(seconds: u32) -> String {
    format!("Try again in {seconds} s")
}

/// Returns the slug of a state, for `data-state`.
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

/// Returns the name of a state.
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

/// Returns a sentence about the state, for the rider (`is_mine`) or for other viewers.
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

/// Returns the name of a kind of ride.
pub(super) fn kind(kind: RideType) -> &'static str {
    match kind {
        RideType::Regular => "Regular",
        RideType::Pool => "Pool",
    }
}

/// Returns the name of a place, or its coordinates if no street is near.
pub(super) fn place(place: &Place) -> String {
    if place.name.is_empty() { format::coordinates(place.at) } else { place.name.clone() }
}

/// Returns the name of a place, or `otherwise` if the place is unknown.
pub(super) fn place_or(known: Option<&Place>, otherwise: &str) -> String {
    known.map_or_else(|| otherwise.to_owned(), place)
}

/// Returns the slug and the name of a car's state.
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
