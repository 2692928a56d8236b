//! The end of a trip, and its distance, duration and fare. `Rides.End` and `Fleet.Drive` share it.

use std::time::SystemTime;

use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};

use crate::{
    fleet::{Fleet, PositionReport},
    rides::{
        RideError, Rides,
        charge::{Charge, FareLimits, whole_metres},
        machine::{self, Command},
        model::{Ride, RideState},
    },
};

/// The distance from the planned dropoff, in metres, within which a trip counts as driven to its end. Cars may stop
/// around the corner.
const NEAR_M: f64 = 250.0;

/// Ends a trip. Returns the same ride again if the trip had already ended.
///
/// - `car` is the car that ends the trip, or `None` if the caller may end the trip of any car.
/// - `at` is the place where the trip ended. `None` stands for the last known position of the car.
/// - `ended` is the time by the driver's clock.
///
/// The distance is the first of these that exists: the fleet's meter, the plan, the straight line from the pickup. It
/// is at most as far as a car can drive in the time of the trip. If the meter has a gap and the trip ended at its
/// planned dropoff, the distance is at least that of the plan.
pub async fn end_trip(
    rides: &Rides,
    fleet: &Fleet,
    id: &RideId,
    car: Option<CarId>,
    at: Option<LatLng>,
    ended: SystemTime,
) -> Result<Ride, RideError> {
    let ride = rides.get(id).await?;
    let (Charge { figures, metered_fare }, at) = match ride.state {
        RideState::OnTrip => measure(rides.fares(), fleet, &ride, at, ended).await?,
        // A repeated call gets the same ride, and any other is refused.
        _ => (Charge { figures: ride.figures, metered_fare: None }, ride.booking.pickup.at),
    };
    rides.command(id, Command::DropOff { car, figures, metered_fare, at }).await
}

/// Returns the charge of a trip, and the place where it ended.
async fn measure(
    fares: FareLimits,
    fleet: &Fleet,
    ride: &Ride,
    at: Option<LatLng>,
    ended: SystemTime,
) -> Result<(Charge, LatLng), RideError> {
    let booking = &ride.booking;
    let view = match ride.current_car() {
        Some(car) => {
            if let Some(at) = at {
                // So that the meter counts the way to the place where the trip ended.
                fleet.report(vec![PositionReport { car, at, heading_deg: None, time: ended }]).await?;
            }
            fleet.car(car).await?
        }
        None => None,
    };
    let planned_end = booking.dropoff.as_ref().unwrap_or(&booking.pickup).at;
    let at = at.or(view.as_ref().and_then(|view| view.at)).unwrap_or(planned_end);
    let view = view.filter(|view| view.ride.as_ref() == Some(&ride.id));
    let (metered, has_gap) = view.map_or((None, false), |view| (view.meter_m, view.meter_has_gap));
    let planned = booking.dropoff.as_ref().map(|_| f64::from(booking.plan.distance_m));
    let duration = machine::trip_time(ride, ended, SystemTime::now());
    let distance_m = match (metered, planned) {
        // The plan has the part of the way that the meter has missed.
        (Some(metered), Some(planned)) if has_gap && at.distance_m(planned_end) <= NEAR_M => {
            metered.max(planned)
        }
        (Some(metered), _) => metered,
        (None, Some(planned)) => planned,
        (None, None) => fares.unmetered_distance(booking.pickup.at.distance_m(at), duration),
    };
    let charge = fares.charge(booking, distance_m, duration);
    if charge.figures.distance_m < whole_metres(distance_m) {
        tracing::warn!(
            ride = %ride.id,
            reported_m = distance_m.round(),
            charged_m = charge.figures.distance_m,
            "the positions of a trip were further apart than a car could have driven"
        );
    }
    Ok((charge, at))
}
