//! A journal that exists only as long as the process.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use rides_proto::ids::RideId;
use uuid::Uuid;

use super::{
    Entry, Filter, Journal, JournalError, JournalFuture, KnownRequests, Later, ListedRide, RequestKey,
};
use crate::rides::RideLog;

/// A journal in memory. Each instance has a new epoch.
pub struct MemoryJournal {
    epoch: String,
    kept: RwLock<Stored>,
}

#[derive(Default)]
struct Stored {
    rides: HashMap<RideId, Arc<RideLog>>,
    /// The rides in the order in which they were opened. The place of a ride is its index.
    order: Vec<RideId>,
    requests: KnownRequests,
}

impl MemoryJournal {
    /// Makes an empty journal.
    pub fn new() -> Self {
        Self { epoch: Uuid::new_v4().to_string(), kept: RwLock::default() }
    }

    /// Locks the data for reading. Each write under the lock is complete or has no effect, so a poisoned lock is safe
    /// to use.
    fn kept(&self) -> RwLockReadGuard<'_, Stored> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Stored {
    /// Returns the rides that `batch` changes, as they are after it. Fails if an event is not the next one of its
    /// ride.
    fn changed_by(&self, batch: &[Entry]) -> Result<HashMap<RideId, Arc<RideLog>>, JournalError> {
        let mut touched: HashMap<RideId, Arc<RideLog>> = HashMap::new();
        for Entry { event, .. } in batch {
            let log = touched.get(&event.ride).or_else(|| self.rides.get(&event.ride));
            let log = RideLog::with_event(log.map(Arc::as_ref), Arc::clone(event))
                .map_err(|misfit| JournalError::OutOfSequence { ride: event.ride.clone(), misfit })?;
            touched.insert(event.ride.clone(), Arc::new(log));
        }
        Ok(touched)
    }

    fn append(&mut self, batch: Vec<Entry>) -> Result<(), JournalError> {
        let touched = self.changed_by(&batch)?;
        for Entry { event, request, .. } in batch {
            if event.version == 1 {
                self.order.push(event.ride.clone());
            }
            if let Some(RequestKey { id, fingerprint }) = request {
                self.requests.insert(id, (event.ride.clone(), fingerprint));
            }
        }
        self.rides.extend(touched);
        Ok(())
    }

    fn page(&self, filter: &Filter, below: Option<u64>, limit: usize) -> Vec<ListedRide> {
        let end = below.map_or(usize::MAX, |place| usize::try_from(place).unwrap_or(usize::MAX));
        let older = self.order[..end.min(self.order.len())].iter().enumerate().rev();
        older
            .filter_map(|(place, id)| Some((place, &self.rides.get(id)?.ride)))
            .filter(|(_, ride)| filter.matches(ride))
            .take(limit)
            .map(|(place, ride)| ListedRide { list_position: place as u64, ride: ride.clone() })
            .collect()
    }
}

impl Journal for MemoryJournal {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn append(&self, batch: Vec<Entry>) -> JournalFuture<'static, ()> {
        let appended = self.kept.write().unwrap_or_else(PoisonError::into_inner).append(batch);
        ready(appended)
    }

    fn ride<'a>(&'a self, ride: &'a RideId) -> JournalFuture<'a, Option<Arc<RideLog>>> {
        ready(Ok(self.kept().rides.get(ride).cloned()))
    }

    fn unfinished(&self) -> JournalFuture<'_, Vec<Arc<RideLog>>> {
        let kept = self.kept();
        let logs = kept.order.iter().filter_map(|id| kept.rides.get(id));
        ready(Ok(logs.filter(|log| !log.ride.state.is_over()).cloned().collect()))
    }

    fn by_requests<'a>(&'a self, requests: &'a [RequestKey]) -> JournalFuture<'a, KnownRequests> {
        let kept = self.kept();
        let known = requests
            .iter()
            .filter_map(|RequestKey { id, .. }| Some((id.clone(), kept.requests.get(id)?.clone())));
        ready(Ok(known.collect()))
    }

    fn page<'a>(
        &'a self,
        filter: &'a Filter,
        below: Option<u64>,
        limit: usize,
    ) -> JournalFuture<'a, Vec<ListedRide>> {
        ready(Ok(self.kept().page(filter, below, limit)))
    }

    fn failed(&self) -> Later<'_, JournalError> {
        Box::pin(future::pending())
    }

    fn close(&self) -> Later<'_, ()> {
        Box::pin(future::ready(()))
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<T, JournalError>) -> JournalFuture<'a, T> {
    Box::pin(future::ready(answer))
}
