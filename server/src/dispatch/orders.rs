//! The orders that cars get when something happens to their ride.

use rides_proto::ids::{CarId, RideId};

use crate::{
    fleet::{CarUpdate, Fleet, FleetClosed, Offer, Order},
    positions::CarState,
    rides::{
        RideError, Rides,
        model::{EventKind, OfferEndReason, Ride, RideEvent, RideState, UnassignReason},
    },
};

/// Returns the brief for `event`, given the ride before and after it. An event concerns at most one car.
pub(super) fn brief_for_event(before: &Ride, event: &RideEvent, after: &Ride) -> Option<(CarId, CarUpdate)> {
    let freed = |order| Some((before.current_car()?, brief(after, CarState::Free, order)));
    match &event.what {
        EventKind::Requested(_) | EventKind::PickedUpOffStreet { .. } | EventKind::Expired => None,
        EventKind::OfferEnded { .. } | EventKind::Unassigned { .. } | EventKind::Cancelled { .. } => {
            freed(withdrawal(before, &event.what))
        }
        EventKind::Completed { .. } => freed(Some(Order::Update(after.clone()))),
        EventKind::Offered { .. } | EventKind::Assigned(_) => current_brief(after),
        EventKind::Arrived | EventKind::Started => {
            let (car, brief) = current_brief(after)?;
            let begins = matches!(event.what, EventKind::Started);
            Some((car, CarUpdate { begins_trip: begins, order: Some(Order::Update(after.clone())), ..brief }))
        }
    }
}

/// Returns the brief that puts the car of a ride into the state of the ride, for example after a reconnect. `None` if
/// the ride has no car.
pub(super) fn current_brief(ride: &Ride) -> Option<(CarId, CarUpdate)> {
    let car = ride.current_car()?;
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

fn brief(ride: &Ride, state: CarState, order: Option<Order>) -> CarUpdate {
    CarUpdate { ride: ride.id.clone(), version: ride.version, state, begins_trip: false, order }
}

/// Returns the order for a car that loses its ride or its offer. `None` if the driver has declined the offer.
fn withdrawal(before: &Ride, what: &EventKind) -> Option<Order> {
    let reason = match what {
        EventKind::OfferEnded { why: OfferEndReason::Declined, .. } => return None,
        EventKind::OfferEnded { why: OfferEndReason::TimedOut, .. } => "the offer was not answered in time",
        EventKind::OfferEnded { why: OfferEndReason::CarLost, .. } => "the connection to the car was lost",
        EventKind::Unassigned { why: UnassignReason::CarLost, .. } => "the connection to the car was lost",
        EventKind::Unassigned { why: UnassignReason::GaveBack(_), .. } => "given back",
        EventKind::Cancelled { reason, .. } if !reason.is_empty() => reason,
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
pub async fn resume_ride(rides: &Rides, fleet: &Fleet, car: CarId) -> Result<Option<RideId>, RideError> {
    let Some((car, brief)) = rides.ride_of(car).await?.as_ref().and_then(current_brief) else {
        return Ok(None);
    };
    let ride = brief.ride.clone();
    fleet.update_car(car, brief).await?;
    Ok(Some(ride))
}

/// Tells the fleet that a ride has begun off the street. Its car is on a trip from now on, and the driver, if
/// connected, gets an order.
pub async fn begin_off_street(fleet: &Fleet, ride: &Ride) -> Result<(), FleetClosed> {
    let Some((car, brief)) = current_brief(ride) else { return Ok(()) };
    fleet.update_car(car, CarUpdate { begins_trip: true, ..brief }).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
