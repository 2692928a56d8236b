//! What the map shows on top of the city, and where it moves to: derived, never synced.

use std::sync::Arc;

use leptos::prelude::*;
use rides_proto::geo::{Bounds, LatLng};

use crate::{
    map::{Move, Overlay, Padding, Target},
    model::{FollowedRide, Place, Quote, Remote},
};

use super::{draft::Draft, ui::Ui};

/// Pins, routes and the car to ring: of the followed ride, or else of the draft and its quote.
pub(super) fn overlay(ui: Ui) -> Memo<Overlay> {
    Memo::new(move |_| {
        ui.store.followed.with(|followed| match followed {
            Some(followed) => of_ride(followed),
            None => ui.store.quote.with(|quote| ui.draft.with(|draft| of_draft(draft, ready(quote)))),
        })
    })
}

/// What the map was last asked to show.
#[derive(Clone, PartialEq)]
enum Sight {
    Nothing,
    Quote(Bounds),
    /// Again when the person asks for it, and when panels leave it more or less room.
    Ride(Bounds, u32, Padding),
}

/// Shows all of a route whenever there is a new one to see.
pub(super) fn moves(ui: Ui, padding: ReadSignal<Padding>) -> Memo<Option<Move>> {
    let sight = Memo::new(move |_| {
        let ride = ui.store.followed.with(|followed| followed.as_ref().map(|f| Bounds::around(sights(f))));
        match ride {
            Some(Some(bounds)) => Sight::Ride(bounds, ui.looks.get(), padding.get()),
            Some(None) => Sight::Nothing,
            None => ui.store.quote.with(|quote| {
                ready(quote)
                    .and_then(|quote| Bounds::around(quote.route.iter().copied()))
                    .map_or(Sight::Nothing, Sight::Quote)
            }),
        }
    });
    Memo::new(move |last: Option<&Option<Move>>| {
        let last = last.copied().flatten();
        match sight.get() {
            Sight::Nothing => last,
            Sight::Quote(bounds) | Sight::Ride(bounds, ..) => {
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

fn of_draft(draft: &Draft, quote: Option<&Quote>) -> Overlay {
    let route = quote.map(|quote| quote.route.clone()).unwrap_or_default();
    Overlay {
        pickup: point(draft.pickup.as_ref()),
        dropoff: point(draft.dropoff.as_ref()),
        route: Arc::new(route),
        ..Overlay::default()
    }
}

/// What must be in view to follow a ride: its way and both of its ends.
fn sights(followed: &FollowedRide) -> impl Iterator<Item = LatLng> + '_ {
    let ends = [followed.ride.pickup.as_ref(), followed.ride.dropoff.as_ref()];
    followed.ride.route.iter().copied().chain(ends.into_iter().filter_map(point))
}

fn point(place: Option<&Place>) -> Option<LatLng> {
    place.map(|place| place.at)
}

fn ready<T>(remote: &Remote<T>) -> Option<&T> {
    match remote {
        Remote::Ready(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::ids::CarNumber;

    use super::*;
    use crate::model::{Progress, Ride, RideState};

    fn place(lat: f64) -> Place {
        Place { name: String::new(), at: LatLng::new(lat, 24.9).expect("on Earth") }
    }

    #[test]
    fn a_draft_shows_its_pins_before_there_is_a_quote() {
        let draft = Draft { pickup: Some(place(60.1)), ..Draft::default() };
        let shown = of_draft(&draft, None);
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
        let followed = followed();
        let sight = Bounds::around(sights(&followed)).expect("a route");
        assert!(sight.contains(place(60.1).at) && sight.contains(place(60.4).at));
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
