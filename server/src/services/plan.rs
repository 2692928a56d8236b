//! The plan of a trip before it begins: its route, distance, duration and fare.

use rides_proto::geo::LatLng;

use super::bad_request::{BadRequest, all, invalid_because};
use crate::{
    city::{City, MAX_WALK_M, Snapped},
    rides::{
        charge::whole_metres,
        fare::fare,
        model::{RideType, Stop, TripSummary},
    },
};

/// The distance below which pickup and dropoff are the same place, in metres.
const SAME_PLACE_M: f64 = 1.0;

/// The plan of a trip.
pub(super) struct Plan {
    /// The place on a street where the car stops for the rider.
    pub(super) pickup: Snapped,
    pub(super) dropoff: Snapped,
    pub(super) figures: TripSummary,
    pub(super) route: Vec<LatLng>,
}

/// Plans a trip between the streets nearest to two points. Fails if a point is further than [`MAX_WALK_M`] from every
/// street, if both are the same place, or if no route leads from one to the other.
pub(super) fn plan(city: &City, pickup: LatLng, dropoff: LatLng, kind: RideType) -> Result<Plan, BadRequest> {
    let (pickup, dropoff) = all((on_map(city, "pickup", pickup), on_map(city, "dropoff", dropoff)))?;
    if pickup.at.distance_m(dropoff.at) < SAME_PLACE_M {
        return Err(invalid_because(
            "dropoff",
            "SAME_PLACE",
            "is the same place on the street as the pickup",
        ));
    }
    let route = city
        .route(&pickup, &dropoff)
        .ok_or_else(|| invalid_because("dropoff", "NO_ROUTE", "cannot be reached by car from the pickup"))?;
    let distance_m = whole_metres(route.distance_m);
    let figures =
        TripSummary { distance_m, duration: route.duration, fare: fare(distance_m, route.duration, kind) };
    let route = route.line.into_iter().map(LatLng::rounded).collect();
    Ok(Plan { pickup, dropoff, figures, route })
}

pub(super) fn stop(snapped: Snapped) -> Stop {
    Stop { at: snapped.at, name: snapped.street }
}

fn on_map(city: &City, field: &str, point: LatLng) -> Result<Snapped, BadRequest> {
    let snapped = city.snap(point);
    if snapped.snap_distance_m > MAX_WALK_M {
        let text = format!("is further than {MAX_WALK_M} m from any street of the map");
        return Err(invalid_because(field, "OFF_MAP", text));
    }
    Ok(snapped)
}
