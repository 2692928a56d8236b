//! Conversions from the types of the server to the generated messages.

use std::time::Duration;

use rides_proto::{convert::pack_path, v1};

use crate::rides::{
    fare::CURRENCY,
    machine,
    model::{
        Actor, Cents, EventKind, OfferEndReason, Ride, RideEvent, RideState, RideType, Stop, TripSummary,
        UnassignReason,
    },
};

/// Converts a duration. One that is too long for the message becomes the longest that it can hold.
pub fn duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 999_999_999 };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}

/// Converts an amount of money.
pub fn money(amount: Cents) -> v1::Money {
    v1::Money { currency: CURRENCY.into(), minor_units: amount.0.into() }
}

/// Converts a type of ride.
pub fn ride_type(kind: RideType) -> v1::RideType {
    match kind {
        RideType::Regular => v1::RideType::Regular,
        RideType::Pool => v1::RideType::Pool,
    }
}

/// Converts the state of a ride.
pub fn ride_state(state: RideState) -> v1::RideState {
    match state {
        RideState::Requested => v1::RideState::Requested,
        RideState::Offered => v1::RideState::Offered,
        RideState::Assigned => v1::RideState::Assigned,
        RideState::Arrived => v1::RideState::Arrived,
        RideState::OnTrip => v1::RideState::OnTrip,
        RideState::Completed => v1::RideState::Completed,
        RideState::Cancelled => v1::RideState::Cancelled,
        RideState::Expired => v1::RideState::Expired,
    }
}

/// Converts an actor.
pub fn actor(actor: Actor) -> v1::Actor {
    match actor {
        Actor::Rider => v1::Actor::Rider,
        Actor::Driver => v1::Actor::Driver,
        Actor::Dispatcher => v1::Actor::Dispatcher,
    }
}

/// Converts the reason for the end of an offer that was not accepted.
pub fn offer_end(why: OfferEndReason) -> v1::OfferEnd {
    match why {
        OfferEndReason::Declined => v1::OfferEnd::Declined,
        OfferEndReason::TimedOut => v1::OfferEnd::TimedOut,
        OfferEndReason::CarLost => v1::OfferEnd::CarLost,
    }
}

/// Converts a ride, with its route. See [`listed`] for one without.
pub fn ride(ride: &Ride) -> v1::Ride {
    let route = Some(&ride.booking.route).filter(|route| !route.is_empty());
    v1::Ride { route: route.map(|route| pack_path(route)), ..listed(ride) }
}

/// Converts a ride without its route, for `Rides.List`.
pub fn listed(ride: &Ride) -> v1::Ride {
    let booking = &ride.booking;
    let (car_id, driver_id) =
        ride.crew.as_ref().map_or_else(Default::default, |crew| (crew.car.get(), crew.driver.clone()));
    let name = |stop: &Stop| stop.name.clone();
    let (cancelled_by, cancel_reason) = match &ride.cancelled {
        Some((by, reason)) => (actor(*by), reason.clone()),
        None => Default::default(),
    };
    v1::Ride {
        ride_id: ride.id.to_string(),
        version: ride.version,
        state: ride_state(ride.state).into(),
        r#type: ride_type(booking.kind).into(),
        rider_id: booking.rider.clone(),
        passenger_ids: booking.passengers.clone(),
        pickup: Some(booking.pickup.at.into()),
        dropoff: booking.dropoff.as_ref().map(|stop| stop.at.into()),
        pickup_name: name(&booking.pickup),
        dropoff_name: booking.dropoff.as_ref().map(name).unwrap_or_default(),
        car_id,
        driver_id,
        fare: Some(money(ride.figures.fare)),
        distance_m: ride.figures.distance_m,
        duration: Some(duration(ride.figures.duration)),
        route: None,
        requested_at: Some(ride.requested_at.into()),
        updated_at: Some(ride.updated_at.into()),
        cancelled_by: cancelled_by.into(),
        cancel_reason,
    }
}

/// Converts an event of a ride.
pub fn ride_event(event: &RideEvent) -> v1::RideEvent {
    v1::RideEvent {
        ride_id: event.ride.to_string(),
        version: event.version,
        time: Some(event.time.into()),
        event: Some(happening(event)),
    }
}

fn happening(event: &RideEvent) -> v1::ride_event::Event {
    use v1::ride_event::Event;
    match &event.what {
        EventKind::Requested(_) => Event::Requested(v1::Requested { ride: opened(event) }),
        EventKind::Offered { crew, offer } => Event::Offered(v1::Offered {
            car_id: crew.car.get(),
            driver_id: crew.driver.clone(),
            pickup_eta: Some(duration(offer.pickup_eta)),
            expires_at: Some(offer.expires_at.into()),
        }),
        EventKind::OfferEnded { car, why } => {
            Event::OfferEnded(v1::OfferEnded { car_id: car.get(), why: offer_end(*why).into() })
        }
        EventKind::Assigned(crew) => {
            Event::Assigned(v1::Assigned { car_id: crew.car.get(), driver_id: crew.driver.clone() })
        }
        EventKind::Unassigned { car, why } => {
            let reason = match why {
                UnassignReason::GaveBack(reason) => reason.clone(),
                UnassignReason::CarLost => "the connection to the car was lost".to_owned(),
            };
            Event::Unassigned(v1::Unassigned { car_id: car.get(), reason })
        }
        EventKind::Arrived => Event::Arrived(v1::Arrived {}),
        EventKind::Started => Event::Started(v1::Started { ride: None }),
        EventKind::PickedUpOffStreet { .. } => Event::Started(v1::Started { ride: opened(event) }),
        EventKind::Completed {
            figures: TripSummary { distance_m, duration: took, fare },
            metered_fare,
            at,
        } => Event::Completed(v1::Completed {
            distance_m: *distance_m,
            duration: Some(duration(*took)),
            fare: Some(money(*fare)),
            location: Some((*at).into()),
            metered_fare: metered_fare.map(money),
        }),
        EventKind::Cancelled { by, reason } => {
            Event::Cancelled(v1::Cancelled { by: actor(*by).into(), reason: reason.clone() })
        }
        EventKind::Expired => Event::Expired(v1::Expired {}),
    }
}

/// Returns the ride after `event`, its first. `None` if `event` is not a first event.
fn opened(event: &RideEvent) -> Option<v1::Ride> {
    machine::evolve(None, event).ok().as_ref().map(ride)
}
