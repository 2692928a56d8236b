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
        fare::fare,
        machine::{self, Command},
        model::{Figures, Ride, RideState},
    },
};

/// Ends a trip, or answers as before when it had ended.
///
/// `car`: whose stream says so; `None` for a caller who need not be the car. `at`: where; `None` is the car's
/// last known position. `ended`: by the driver's clock. The distance is the fleet's taximeter's; where that
/// has not seen the whole trip, the plan's, or as the crow flies where there was no plan.
pub async fn end_trip(
    rides: &Rides,
    fleet: &Fleet,
    id: &RideId,
    car: Option<CarId>,
    at: Option<LatLng>,
    ended: SystemTime,
) -> Result<Ride, RideError> {
    let ride = rides.get(id).await?;
    let (figures, at) = match ride.state {
        RideState::OnTrip => measure(fleet, &ride, at, ended).await?,
        // Answered as before, or refused.
        _ => (ride.figures, ride.booking.pickup.at),
    };
    rides.command(id, Command::DropOff { car, figures, at }).await
}

/// What the trip came to, and where it ended.
async fn measure(
    fleet: &Fleet,
    ride: &Ride,
    at: Option<LatLng>,
    ended: SystemTime,
) -> Result<(Figures, LatLng), RideError> {
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
    let metered = view.filter(|view| view.ride.as_ref() == Some(&ride.id)).and_then(|view| view.meter_m);
    let distance_m = metered.unwrap_or_else(|| match &booking.dropoff {
        Some(_) => booking.plan.distance_m.into(),
        None => booking.pickup.at.distance_m(at),
    });
    let distance_m = distance_m.round() as u32;
    let duration = machine::trip_time(ride, ended, SystemTime::now());
    Ok((Figures { distance_m, duration, fare: fare(distance_m, duration, booking.kind) }, at))
}
