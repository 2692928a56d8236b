//! What a car is told when something happens to its ride.

use rides_proto::ids::CarId;

use crate::{
    fleet::{Fleet, Offer, Order},
    positions::CarState,
    rides::{
        RideError, Rides,
        model::{Happening, Loss, OfferEnd, Ride, RideEvent, RideState},
    },
};

/// For one car: what it does from now on, and what it hears.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Notice {
    pub(super) car: CarId,
    pub(super) state: CarState,
    pub(super) order: Option<Order>,
}

/// What `event` means to a car, given the ride before and after it. An event concerns one car at most.
pub(super) fn notice(before: &Ride, event: &RideEvent, after: &Ride) -> Option<Notice> {
    match &event.what {
        Happening::Requested(_) | Happening::PickedUpOffStreet { .. } | Happening::Expired => None,
        Happening::OfferEnded { .. } | Happening::Unassigned { .. } | Happening::Cancelled { .. } => {
            let car = before.held_by()?;
            Some(Notice { car, state: CarState::Free, order: farewell(before, &event.what) })
        }
        Happening::Completed { .. } => {
            let car = before.held_by()?;
            Some(Notice { car, state: CarState::Free, order: Some(Order::Update(after.clone())) })
        }
        Happening::Offered { .. } | Happening::Assigned(_) => standing(after),
        Happening::Arrived | Happening::Started => {
            let notice = standing(after)?;
            Some(Notice { order: Some(Order::Update(after.clone())), ..notice })
        }
    }
}

/// Where the car that a ride binds stands: what it would be told if it had just come back.
fn standing(ride: &Ride) -> Option<Notice> {
    let car = ride.held_by()?;
    let assignment = Order::Assignment(ride.clone());
    let (state, order) = match ride.state {
        RideState::Offered => {
            let offer = ride.offer?;
            let offer =
                Offer { ride: ride.clone(), pickup_eta: offer.pickup_eta, expires_at: offer.expires_at };
            (CarState::Offered, Order::Offer(offer))
        }
        RideState::Assigned => (CarState::ToPickup, assignment),
        RideState::Arrived => (CarState::AtPickup, assignment),
        RideState::OnTrip => (CarState::OnTrip, assignment),
        RideState::Requested | RideState::Completed | RideState::Cancelled | RideState::Expired => {
            return None;
        }
    };
    Some(Notice { car, state, order: Some(order) })
}

/// What the car hears that loses its ride, or the offer of it. A driver who declined knows.
fn farewell(before: &Ride, what: &Happening) -> Option<Order> {
    let reason = match what {
        Happening::OfferEnded { why: OfferEnd::Declined, .. } => return None,
        Happening::OfferEnded { why: OfferEnd::TimedOut, .. } => "the offer was not answered in time",
        Happening::OfferEnded { why: OfferEnd::CarLost, .. } => "the connection to the car was lost",
        Happening::Unassigned { why: Loss::CarLost, .. } => "the connection to the car was lost",
        Happening::Unassigned { why: Loss::GaveBack(_), .. } => "given back",
        Happening::Cancelled { reason, .. } if !reason.is_empty() => reason,
        _ => "the ride was cancelled",
    };
    let (ride, reason) = (before.id.clone(), reason.to_owned());
    Some(match before.state {
        RideState::Offered => Order::OfferWithdrawn { ride, reason },
        _ => Order::RideWithdrawn { ride, reason },
    })
}

/// To be called when a car signs on: it hears again of the ride it has, or is offered. A car without one
/// hears nothing.
pub async fn take_up(rides: &Rides, fleet: &Fleet, car: CarId) -> Result<(), RideError> {
    let Some(notice) = rides.ride_of(car).await?.as_ref().and_then(standing) else { return Ok(()) };
    let state = fleet.car(car).await?.map(|view| view.state);
    // Saying "on trip" a second time would put the meter back to zero.
    if state != Some(notice.state) {
        fleet.set_state(car, notice.state).await?;
    }
    if let Some(order) = notice.order {
        fleet.send(car, order).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
