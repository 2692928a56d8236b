//! A ride with its whole history, as one value.

use std::sync::Arc;

use super::{
    machine::{self, OutOfSequence},
    model::{Ride, RideEvent},
};

/// A ride and all of its events, oldest first. Watchers get it as one value, so that there is no gap between past and
/// future events.
#[derive(Clone, PartialEq, Debug)]
pub struct RideLog {
    /// The ride after its last event.
    pub ride: Ride,
    /// The events from version 1. Never empty.
    pub events: Vec<Arc<RideEvent>>,
}

impl RideLog {
    /// Returns `wal` with one more event. `None` stands for a ride without events. Fails if the event is not the next
    /// one of the ride.
    pub fn with_event(log: Option<&Self>, event: Arc<RideEvent>) -> Result<Self, OutOfSequence> {
        let ride = machine::evolve(log.map(|log| log.ride.clone()), &event)?;
        let past = log.map_or(&[][..], |log| &log.events);
        let events = past.iter().cloned().chain([event]).collect();
        Ok(Self { ride, events })
    }

    /// Returns the log of `events`, or `None` if there are none. Fails if an event is not the next one of the ride.
    pub fn replay(events: Vec<Arc<RideEvent>>) -> Result<Option<Self>, OutOfSequence> {
        let ride = events.iter().try_fold(None, |ride, event| machine::evolve(ride, event).map(Some))?;
        Ok(ride.map(|ride| Self { ride, events }))
    }

    /// Returns the events after `version`.
    pub fn after(&self, version: u64) -> &[Arc<RideEvent>] {
        let seen = usize::try_from(version).unwrap_or(usize::MAX).min(self.events.len());
        &self.events[seen..]
    }
}
