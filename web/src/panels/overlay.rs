//! The overlay of the map and the movements of its camera. Both are derived from signals, so that they cannot
//! differ from the panels.

use std::sync::Arc;

use leptos::prelude::*;
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::RideId,
};

use crate::{
    map::{Move, Overlay, Padding, Target},
    model::{FollowedRide, Place, RemoteData, RideState},
};

use super::{draft::PlaceRole, ui::Ui};

/// Returns the pins, the routes and the car to ring: those of the followed ride, or else of the draft and its quote.
pub(super) fn overlay(ui: Ui) -> Memo<Overlay> {
    Memo::new(move |_| {
        ui.store.followed.with(|followed| match followed {
            Some(followed) => of_ride(followed),
            None => of_draft(
                ui.place(PlaceRole::Pickup).as_ref(),
                ui.place(PlaceRole::Dropoff).as_ref(),
                ui.store.quote.with(|quote| ready(quote).map(|quote| quote.route.clone())),
            ),
        })
    })
}

/// The target that the camera was last told to show.
#[derive(Clone, PartialEq)]
enum CameraTarget {
    Nothing,
    Quote(Bounds),
    /// A ride, the part of it to show, the value of [`Ui::looks`], and the padding. If one of them changes, the
    /// camera moves to the ride again.
    Ride(RideId, RidePart, u32, Padding),
}

/// A part of a ride for the camera to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RidePart {
    /// The route with the pickup and the drop-off.
    Way,
    /// The pickup and the car on its way there.
    Pickup,
}

/// Returns the movements of the camera. It moves to each new route, and to the pickup and the car when the
/// position of an assigned car is known.
pub(super) fn camera_moves(ui: Ui, padding: ReadSignal<Padding>) -> Memo<Option<Move>> {
    let sight = Memo::new(move |_| {
        let ride = ui.store.followed.with(|followed| followed.as_ref().map(|f| (f.ride.id.clone(), part(f))));
        match ride {
            Some((ride, Some(part))) => CameraTarget::Ride(ride, part, ui.show_requests.get(), padding.get()),
            Some((_, None)) => CameraTarget::Nothing,
            None => ui.store.quote.with(|quote| {
                ready(quote)
                    .and_then(|quote| Bounds::around(quote.route.iter().copied()))
                    .map_or(CameraTarget::Nothing, CameraTarget::Quote)
            }),
        }
    });
    Memo::new(move |last: Option<&Option<Move>>| {
        let last = last.copied().flatten();
        let bounds = match sight.get() {
            CameraTarget::Nothing => None,
            CameraTarget::Quote(bounds) => Some(bounds),
            CameraTarget::Ride(_, part, ..) => ui.store.followed.with_untracked(|followed| {
                followed.as_ref().and_then(|f| Bounds::around(points_to_show(f, part)))
            }),
        };
        match bounds {
            None => last,
            Some(bounds) => {
                Some(Move { seq: last.map_or(1, |last| last.seq + 1), target: Target::Fit(bounds) })
            }
        }
    })
}

fn of_ride(followed: &FollowedRide) -> Overlay {
    let progress = followed.progress.as_ref();
    Overlay {
        pickup: point(followed.ride.pickup.as_ref()),
        dropoff: point(followed.ride.dropoff.as_ref()),
        route: Arc::new(followed.ride.route.clone()),
        way_to_car: progress.map(|progress| progress.route.clone()).unwrap_or_default(),
        followed: progress.map(|progress| progress.car),
    }
}

fn of_draft(pickup: Option<&Place>, dropoff: Option<&Place>, route: Option<Vec<LatLng>>) -> Overlay {
    Overlay {
        pickup: point(pickup),
        dropoff: point(dropoff),
        route: Arc::new(route.unwrap_or_default()),
        ..Overlay::default()
    }
}

/// Returns the part of a ride to show now, or `None` if nothing of the ride has a position.
fn part(followed: &FollowedRide) -> Option<RidePart> {
    let ride = &followed.ride;
    match ride.state {
        RideState::Assigned if followed.progress.is_some() => Some(RidePart::Pickup),
        _ => (ride.pickup.is_some() || ride.dropoff.is_some() || !ride.route.is_empty())
            .then_some(RidePart::Way),
    }
}

/// Returns the points that must be in view for a part of a ride.
fn points_to_show(followed: &FollowedRide, part: RidePart) -> Vec<LatLng> {
    let ride = &followed.ride;
    let (way, end) = match (part, &followed.progress) {
        (RidePart::Pickup, Some(progress)) => (&*progress.route, Some(progress.at)),
        _ => (&ride.route, point(ride.dropoff.as_ref())),
    };
    let mut sights = way.clone();
    sights.extend(point(ride.pickup.as_ref()));
    sights.extend(end);
    sights
}

fn point(place: Option<&Place>) -> Option<LatLng> {
    place.map(|place| place.at)
}

fn ready<T>(remote: &RemoteData<T>) -> Option<&T> {
    match remote {
        RemoteData::Ready(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::ids::CarNumber;

    use super::*;
    use crate::model::{Progress, Ride};

    fn place(lat: f64) -> Place {
        Place { name: String::new(), at: LatLng::new(lat, 24.9).expect("on Earth") }
    }

    #[test]
    fn a_draft_shows_its_pins_before_there_is_a_quote() {
        let shown = of_draft(Some(&place(60.1)), None, None);
        assert_eq!((shown.pickup, shown.dropoff), (Some(place(60.1).at), None));
        assert!(shown.route.is_empty() && shown.followed.is_none());
    }

    #[test]
    fn a_followed_ride_shows_its_car_and_both_ways() {
        let followed = followed();
        let shown = of_ride(&followed);
        assert_eq!(shown.followed, Some(CarNumber(17)));
        assert_eq!((shown.route.len(), shown.way_to_car.len()), (2, 1));
    }

    #[test]
    fn both_ends_are_in_sight_though_the_route_stops_short_of_them() {
        let mut followed = followed();
        followed.ride.state = RideState::OnTrip;
        assert_eq!(part(&followed), Some(RidePart::Way));
        let sight = Bounds::around(points_to_show(&followed, RidePart::Way)).expect("a route");
        assert!(sight.contains(place(60.1).at) && sight.contains(place(60.4).at));
    }

    /// PAGE-5
    #[test]
    fn the_car_that_comes_and_the_pickup_are_in_sight() {
        let mut followed = followed();
        assert_eq!(part(&followed), Some(RidePart::Pickup));
        let sight = Bounds::around(points_to_show(&followed, RidePart::Pickup)).expect("a car");
        assert!(sight.contains(place(60.0).at) && sight.contains(place(60.1).at));
        assert!(!sight.contains(place(60.4).at), "the view is close enough to distinguish the two");
        followed.progress = None;
        assert_eq!(part(&followed), Some(RidePart::Way), "the position of the car is unknown");
    }

    fn followed() -> FollowedRide {
        let ride = Ride {
            pickup: Some(place(60.1)),
            dropoff: Some(place(60.4)),
            car_id: Some(17),
            route: vec![place(60.2).at, place(60.3).at],
            ..Ride::bare("r", 3, RideState::Assigned)
        };
        let route = Arc::new(vec![place(60.0).at]);
        let progress =
            Progress { car: CarNumber(17), at: place(60.0).at, eta_s: 60, remaining_m: 500, route };
        FollowedRide { ride, timeline: vec![], head: 0, progress: Some(progress), resumed: None }
    }
}
