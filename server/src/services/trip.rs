//! The end of a trip, with its figures as driven: the same from `Rides.End` and from a car's own stream.

use std::time::SystemTime;

use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};

use crate::{
    fleet::{Fleet, Report},
    rides::{
        RideError, Rides,
        charge::{Charge, FareLimits, whole_metres},
        machine::{self, Command},
        model::{Ride, RideState},
    },
};

/// A trip that ends at most this far from its planned end ends there, in metres: cars stop around the corner.
const NEAR_M: f64 = 250.0;

/// Ends a trip, or answers as before when it had ended.
///
/// `car`: whose stream says so; `None` for a caller who need not be the car. `at`: where; `None` is the car's
/// last known position. `ended`: by the driver's clock. The distance is the fleet's taximeter's; where that
/// has not seen the whole trip, the plan's, or as the crow flies where there was no plan; and never more than a car can
/// drive in the time of the trip. A meter with a gap reads at least the plan's if the trip ended where it was planned to.
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
        // Answered as before, or refused.
        _ => (Charge { figures: ride.figures, metered_fare: None }, ride.booking.pickup.at),
    };
    rides.command(id, Command::DropOff { car, figures, metered_fare, at }).await
}

/// What the trip came to, and where it ended.
async fn measure(
    fares: FareLimits,
    fleet: &Fleet,
    ride: &Ride,
    at: Option<LatLng>,
    ended: SystemTime,
) -> Result<(Charge, LatLng), RideError> {
    let booking = &ride.booking;
    let view = match ride.held_by() {
        Some(car) => {
            if let Some(at) = at {
                // The last stretch counts too.
                fleet.report(vec![Report { car, at, heading_deg: None, time: ended }]).await?;
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
        // The leg that was left out counts, too.
        (Some(metered), Some(planned)) if has_gap && at.distance_m(planned_end) <= NEAR_M => {
            metered.max(planned)
        }
        (Some(metered), _) => metered,
        (None, Some(planned)) => planned,
        (None, None) => fares.unmetered(booking.pickup.at.distance_m(at), duration),
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
