//! The progress of a ride's car towards the pickup or the dropoff.

use std::sync::Arc;

use rides_proto::{convert::pack_path, geo::LatLng, v1};

use super::convert::duration;
use crate::{
    city::{City, Snapped},
    fleet::{Fleet, FleetClosed},
    rides::{
        charge::whole_metres,
        model::{Ride, RideState},
    },
};

/// The progress of the car of one ride, for one viewer.
pub(super) struct Tracker {
    city: Arc<City>,
    fleet: Fleet,
    /// The last destination of the car, and the same place on the street. Kept so that it is snapped only once.
    target: Option<(LatLng, Snapped)>,
    /// The last route that was sent to the viewer.
    sent: Vec<LatLng>,
}

impl Tracker {
    pub(super) fn new(city: Arc<City>, fleet: Fleet) -> Self {
        Self { city, fleet, target: None, sent: Vec::new() }
    }

    /// Returns the progress of the car now. Returns `None` if no car is under way, or if its position is unknown.
    pub(super) async fn progress(&mut self, ride: &Ride) -> Result<Option<v1::Progress>, FleetClosed> {
        let (true, Some(car)) = (is_under_way(ride), ride.current_car()) else { return Ok(None) };
        let Some(view) = self.fleet.car(car).await? else { return Ok(None) };
        let Some(at) = view.at else { return Ok(None) };
        let mut progress =
            v1::Progress { car: Some(at.into()), car_number: view.number.0, ..v1::Progress::default() };

        let route = target(ride).and_then(|target| {
            let to = self.snapped(target);
            self.city.route(&self.city.snap(at), &to)
        });
        if let Some(route) = route {
            progress.eta = Some(duration(route.duration));
            progress.remaining_m = whole_metres(route.distance_m);
            if !is_rest_of(&self.sent, &route.line) {
                progress.route = Some(pack_path(&route.line));
                self.sent = route.line;
            }
        }
        Ok(Some(progress))
    }

    fn snapped(&mut self, target: LatLng) -> Snapped {
        match &self.target {
            Some((point, snapped)) if *point == target => snapped.clone(),
            _ => self.target.insert((target, self.city.snap(target))).1.clone(),
        }
    }
}

/// Returns `true` if the ride's car is on its way to the pickup or the dropoff.
pub(super) fn is_under_way(ride: &Ride) -> bool {
    matches!(ride.state, RideState::Assigned | RideState::OnTrip)
}

/// Returns the destination of the car, or `None` for a trip without a planned dropoff.
fn target(ride: &Ride) -> Option<LatLng> {
    match ride.state {
        RideState::Assigned => Some(ride.booking.pickup.at),
        _ => ride.booking.dropoff.as_ref().map(|stop| stop.at),
    }
}

/// Returns `true` if `route` without its first point is a suffix of `known`, that is, if the car has followed `known`.
fn is_rest_of(known: &[LatLng], route: &[LatLng]) -> bool {
    route.split_first().is_some_and(|(_, rest)| !known.is_empty() && known.ends_with(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rides::testing::{city, on_streets, place};

    #[test]
    fn a_route_is_new_when_the_car_left_the_one_before() {
        let known: Vec<_> = (0..4).map(place).collect();
        let here = place(9);
        assert!(!is_rest_of(&[], &known));
        assert!(is_rest_of(&known, &known));
        assert!(is_rest_of(&known, &[here, place(2), place(3)]));
        assert!(is_rest_of(&known, &[here, place(3)]));
        assert!(!is_rest_of(&known, &[here, place(7), place(3)]));
        assert!(!is_rest_of(&known, &[here, place(2)]), "another destination");
    }

    #[test]
    fn a_car_that_keeps_to_its_way_has_no_new_one() {
        let (city, ends) = (city(), on_streets(2));
        let to = city.snap(ends[1]);
        let known = city.route(&city.snap(ends[0]), &to).expect("connected").line;
        let steps: Vec<_> = known.windows(2).map(|pair| pair[0].lerp(pair[1], 0.5)).collect();
        let kept = steps
            .iter()
            .filter(|at| {
                city.route(&city.snap(**at), &to).is_some_and(|route| is_rest_of(&known, &route.line))
            })
            .count();
        assert!(kept * 10 >= steps.len() * 9, "{kept} of {}", steps.len());
    }
}
