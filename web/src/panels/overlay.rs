//! What the map shows on top of the city, and where it moves to: derived, never synced.

use std::sync::Arc;

use leptos::prelude::*;
use rides_proto::geo::{Bounds, LatLng};

use crate::{
    map::{Move, Overlay, Target},
    model::{FollowedRide, Place, Quote, Remote},
};

use super::{draft::Draft, ui::Ui};

/// Pins, routes and the car to ring: of the followed ride, or else of the draft and its quote.
pub(super) fn overlay(ui: Ui) -> Signal<Overlay> {
    Memo::new(move |_| {
        ui.store.followed.with(|followed| match followed {
            Some(followed) => of_ride(followed),
            None => ui.store.quote.with(|quote| ui.draft.with(|draft| of_draft(draft, ready(quote)))),
        })
    })
    .into()
}

/// Shows all of a route whenever there is a new one to see, or when a person asks to see it again.
pub(super) fn moves(ui: Ui) -> Signal<Option<Move>> {
    let sight = Memo::new(move |_| {
        let bounds = ui.store.followed.with(|followed| match followed {
            Some(followed) => Bounds::around(sights(followed)),
            None => ui.store.quote.with(|quote| Bounds::around(ready(quote)?.route.iter().copied())),
        })?;
        Some((bounds, ui.looks.get()))
    });
    Memo::new(move |last: Option<&Option<Move>>| {
        let last = last.copied().flatten();
        let Some((bounds, _)) = sight.get() else { return last };
        Some(Move { seq: last.map_or(1, |last| last.seq + 1), target: Target::Fit(bounds) })
    })
    .into()
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
