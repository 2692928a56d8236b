//! The orders that cars get when something happens to their ride.

use rides_proto::ids::{CarId, RideId};

use crate::{
    fleet::{Brief, Closed, Fleet, Offer, Order},
    positions::CarState,
    rides::{
        RideError, Rides,
        model::{Happening, Loss, OfferEnd, Ride, RideEvent, RideState},
    },
};

/// Returns the brief for `event`, given the ride before and after it. An event concerns at most one car.
pub(super) fn notice(before: &Ride, event: &RideEvent, after: &Ride) -> Option<(CarId, Brief)> {
    let freed = |order| Some((before.held_by()?, brief(after, CarState::Free, order)));
    match &event.what {
        Happening::Requested(_) | Happening::PickedUpOffStreet { .. } | Happening::Expired => None,
        Happening::OfferEnded { .. } | Happening::Unassigned { .. } | Happening::Cancelled { .. } => {
            freed(farewell(before, &event.what))
        }
        Happening::Completed { .. } => freed(Some(Order::Update(after.clone()))),
        Happening::Offered { .. } | Happening::Assigned(_) => standing(after),
        Happening::Arrived | Happening::Started => {
            let (car, brief) = standing(after)?;
            let begins = matches!(event.what, Happening::Started);
            Some((car, Brief { begins, order: Some(Order::Update(after.clone())), ..brief }))
        }
    }
}

/// Returns the brief that puts the car of a ride into the state of the ride, for example after a reconnect. `None` if
/// the ride has no car.
pub(super) fn standing(ride: &Ride) -> Option<(CarId, Brief)> {
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
    Some((car, brief(ride, state, Some(order))))
}

fn brief(ride: &Ride, state: CarState, order: Option<Order>) -> Brief {
    Brief { ride: ride.id.clone(), version: ride.version, state, begins: false, order }
}

/// Returns the order for a car that loses its ride or its offer. `None` if the driver has declined the offer.
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

/// Tells a car that signs on about the ride that it has or is offered, and returns the id of the ride. Does nothing
/// for a car without a ride.
pub async fn take_up(rides: &Rides, fleet: &Fleet, car: CarId) -> Result<Option<RideId>, RideError> {
    let Some((car, brief)) = rides.ride_of(car).await?.as_ref().and_then(standing) else { return Ok(None) };
    let ride = brief.ride.clone();
    fleet.brief(car, brief).await?;
    Ok(Some(ride))
}

/// Tells the fleet that a ride has begun off the street. Its car is on a trip from now on, and the driver, if
/// connected, gets an order.
pub async fn begin(fleet: &Fleet, ride: &Ride) -> Result<(), Closed> {
    let Some((car, brief)) = standing(ride) else { return Ok(()) };
    fleet.brief(car, Brief { begins: true, ..brief }).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
