//! The draft of a ride that is being put together. Pure.

use rides_proto::geo::LatLng;

use crate::model::{Place, RideType};

/// One end of a ride.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PlaceRole {
    /// The place where the ride begins.
    Pickup,
    /// The place where the ride ends.
    Dropoff,
}

impl PlaceRole {
    pub(super) const BOTH: [Self; 2] = [Self::Pickup, Self::Dropoff];

    /// Returns the name that form fields and failures use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pickup => "pickup",
            Self::Dropoff => "dropoff",
        }
    }
}

/// A ride that is not booked yet.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Draft {
    pub(super) pickup: Option<Place>,
    pub(super) dropoff: Option<Place>,
    pub(super) kind: RideType,
}

impl Draft {
    pub(super) fn place(&self, end: PlaceRole) -> Option<&Place> {
        match end {
            PlaceRole::Pickup => self.pickup.as_ref(),
            PlaceRole::Dropoff => self.dropoff.as_ref(),
        }
    }

    pub(super) fn set(&mut self, end: PlaceRole, place: Option<Place>) {
        match end {
            PlaceRole::Pickup => self.pickup = place,
            PlaceRole::Dropoff => self.dropoff = place,
        }
    }

    /// Sets the pickup, or the drop-off if there is already a pickup, to a point from the map.
    pub(super) fn pick(&mut self, place: Place) {
        let end = if self.pickup.is_none() { PlaceRole::Pickup } else { PlaceRole::Dropoff };
        self.set(end, Some(place));
    }

    pub(super) fn swap(&mut self) {
        std::mem::swap(&mut self.pickup, &mut self.dropoff);
    }

    /// Returns the pickup and the drop-off once both are set.
    pub(super) fn points(&self) -> Option<(LatLng, LatLng)> {
        Some((self.pickup.as_ref()?.at, self.dropoff.as_ref()?.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat: f64) -> Place {
        Place { name: String::new(), at: LatLng::new(lat, 24.9).expect("on Earth") }
    }

    #[test]
    fn clicks_set_the_pickup_then_the_dropoff_then_move_it() {
        let mut draft = Draft::default();
        draft.pick(place(60.1));
        assert_eq!((draft.place(PlaceRole::Pickup), draft.points()), (Some(&place(60.1)), None));
        draft.pick(place(60.2));
        draft.pick(place(60.3));
        assert_eq!(draft.points(), Some((place(60.1).at, place(60.3).at)));
    }

    #[test]
    fn a_cleared_pickup_is_what_the_next_click_sets() {
        let mut draft = Draft { dropoff: Some(place(60.2)), ..Draft::default() };
        draft.pick(place(60.1));
        assert_eq!(draft.points(), Some((place(60.1).at, place(60.2).at)));
    }

    #[test]
    fn swapping_twice_changes_nothing() {
        let mut draft = Draft { pickup: Some(place(60.1)), ..Draft::default() };
        draft.swap();
        assert_eq!((draft.pickup.clone(), draft.dropoff.clone()), (None, Some(place(60.1))));
        draft.swap();
        assert_eq!(draft.pickup, Some(place(60.1)));
    }
}
