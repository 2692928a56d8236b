//! A ride with its whole history, as one value.

use std::sync::Arc;

use super::{
    machine::{self, Misfit},
    model::{Ride, RideEvent},
};

/// A ride and everything that happened to it, oldest first. Shared with watchers as one value, so that what
/// was and what comes can have no gap between them.
#[derive(Clone, PartialEq, Debug)]
pub struct RideLog {
    /// As of the last event.
    pub ride: Ride,
    /// From version 1; never empty.
    pub events: Vec<Arc<RideEvent>>,
}

impl RideLog {
    /// The log (`None`: of a ride not opened yet) with one more event.
    pub fn followed_by(log: Option<&Self>, event: Arc<RideEvent>) -> Result<Self, Misfit> {
        let ride = machine::evolve(log.map(|log| log.ride.clone()), &event)?;
        let past = log.map_or(&[][..], |log| &log.events);
        let events = past.iter().cloned().chain([event]).collect();
        Ok(Self { ride, events })
    }

    /// The log that these events make; `None` without any.
    pub fn replay(events: Vec<Arc<RideEvent>>) -> Result<Option<Self>, Misfit> {
        let ride = events.iter().try_fold(None, |ride, event| machine::evolve(ride, event).map(Some))?;
        Ok(ride.map(|ride| Self { ride, events }))
    }

    /// What happened after `version`.
    pub fn after(&self, version: u64) -> &[Arc<RideEvent>] {
        let seen = usize::try_from(version).unwrap_or(usize::MAX).min(self.events.len());
        &self.events[seen..]
    }
}
