//! The progress bar of a ride: a line with five stops.

use leptos::prelude::*;

use crate::model::{RideState, TimelineEntry};

const STOPS: [&str; 5] = ["Booked", "Car found", "At pickup", "On trip", "There"];

/// Returns the last stop that a ride in `state` has reached, or `None` if the state is not on the line.
fn stop(state: RideState) -> Option<usize> {
    match state {
        RideState::Requested | RideState::Offered => Some(0),
        RideState::Assigned => Some(1),
        RideState::Arrived => Some(2),
        RideState::OnTrip => Some(3),
        RideState::Completed => Some(4),
        RideState::Cancelled | RideState::Expired => None,
    }
}

/// Returns the last stop that a ride with this history has reached. A cancelled or expired ride stays at its
/// last stop.
fn reached(timeline: &[TimelineEntry]) -> usize {
    timeline.iter().rev().find_map(|entry| stop(entry.state)).unwrap_or(0)
}

pub(super) fn steps(timeline: &[TimelineEntry]) -> impl IntoView + use<> {
    let reached = reached(timeline);
    let stop = move |(index, name)| {
        view! {
            <li
                data-done=(index <= reached).then_some("")
                aria-current=(index == reached).then_some("step")
            >
                {name}
            </li>
        }
    };
    view! {
        <ol class="steps" aria-label="Progress" style:--reached=reached.to_string()>
            {STOPS.into_iter().enumerate().map(stop).collect_view()}
        </ol>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(states: &[RideState]) -> Vec<TimelineEntry> {
        let entry = |(index, state): (usize, &RideState)| TimelineEntry {
            version: index as u64 + 1,
            at: 0,
            text: String::new(),
            state: *state,
        };
        states.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn a_ride_stands_at_its_newest_stop() {
        use RideState::{Assigned, Cancelled, Completed, Expired, Offered, Requested};
        for (states, at) in [
            (&[][..], 0),
            (&[Requested, Offered, Assigned][..], 1),
            (&[Requested, Offered, Assigned, Requested][..], 0),
            (&[Requested, Offered, Assigned, Cancelled][..], 1),
            (&[Requested, Expired][..], 0),
            (&[Completed][..], 4),
        ] {
            assert_eq!(reached(&history(states)), at, "{states:?}");
        }
    }
}
