//! The journal of rides, which stores every event in order and for ever.
//!
//! The rides task is the only writer, and any task may read. The trait allows for other stores with the same
//! guarantees, for example a NATS stream in place of [`SqliteJournal`].

mod memory;
pub mod sqlite;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use prost_types::Timestamp;
use rides_proto::ids::RideId;

pub use memory::MemoryJournal;
pub use sqlite::SqliteJournal;

use super::{
    RideLog,
    machine::OutOfSequence,
    model::{Ride, RideEvent, RideState},
};

/// The future that methods of [`Journal`] return. It is boxed so that the trait can be used as `dyn`.
pub type JournalFuture<'a, T> = Later<'a, Result<T, JournalError>>;

/// A boxed future.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The earlier requests by their ids: the ride that each one opened, and its fingerprint.
pub type KnownRequests = HashMap<RequestId, (RideId, Vec<u8>)>;

/// The reason why a call of a journal failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum JournalError {
    /// An event is not the next one of its ride. Another process wrote to the journal, or the journal is damaged.
    #[error("ride {ride}: {misfit}")]
    OutOfSequence {
        /// The ride of the event.
        ride: RideId,
        /// The expected and the found version.
        misfit: OutOfSequence,
    },
    /// The disk is full. The journal accepts events again when there is room.
    #[error("the disk is full")]
    Full,
    /// The journal cannot be read or written now.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The journal cannot be written until the server is restarted. The events that it was given last may be lost.
    #[error("the journal has failed: {0}")]
    Failed(String),
    /// The journal holds data that it did not write.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// The journal is closed, because the server is shutting down.
    #[error("the journal is closed")]
    Closed,
}

/// The id of a request. Each caller has its own ids, so that no caller can use up the ids of another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestId {
    /// The subject of the caller's token, or the rider that the caller claims to be.
    pub caller: String,
    /// An id that the client made, unique for each booking that it wants.
    pub id: String,
}

/// The id of a request, and a fingerprint of its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// The id, which is the same when the request is sent again.
    pub id: RequestId,
    /// The bytes of the request. The same id with another fingerprint is a different request.
    pub fingerprint: Vec<u8>,
}

/// An event to append. Its version states the expected version of the ride, which is one less.
///
/// An entry is encoded when it is made, because many threads make entries and only one writes them.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    event: Arc<RideEvent>,
    request: Option<RequestKey>,
    /// The time of the event, as RFC 3339 in UTC.
    time: String,
    /// The change, as JSON.
    json: String,
}

impl Entry {
    /// Encodes an event, and the request that it belongs to if it opens a ride.
    ///
    /// # Errors
    /// When the event cannot be encoded as JSON.
    pub fn new(event: Arc<RideEvent>, request: Option<RequestKey>) -> Result<Self, JournalError> {
        let what = serde_json::to_string(&event.what).map_err(|error| {
            JournalError::Unavailable(format!("an event cannot be encoded as JSON: {error}"))
        })?;
        let time = Timestamp::from(event.time).to_string();
        Ok(Self { event, request, time, json: what })
    }

    /// Returns the event.
    pub fn event(&self) -> &Arc<RideEvent> {
        &self.event
    }
}

/// The filter of a list of rides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only the rides of this rider.
    pub rider: Option<String>,
    /// Only rides in one of these states. Empty for all states.
    pub states: Vec<RideState>,
}

impl Filter {
    /// Returns `true` if the list has `ride`.
    pub fn matches(&self, ride: &Ride) -> bool {
        self.rider.as_ref().is_none_or(|rider| *rider == ride.booking.rider)
            && (self.states.is_empty() || self.states.contains(&ride.state))
    }
}

/// A ride and its place in the order in which rides were opened, from 0.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedRide {
    /// The place. It never changes, and no other ride gets it.
    pub list_position: u64,
    /// The ride after its last event.
    pub ride: Ride,
}

/// A store of events. After [`Journal::append`] has succeeded, the events are durable and all later reads see them.
pub trait Journal: Send + Sync + 'static {
    /// Returns the UUID of the journal. A new or restored journal has a new one. Versions from another epoch are not
    /// valid.
    fn epoch(&self) -> &str;

    /// Queues `batch` at once, behind all earlier batches. The returned future succeeds when all of it is durable. If
    /// it fails, nothing of the batch is stored. Only after [`JournalError::Failed`] this is not known until the next
    /// start.
    fn append(&self, batch: Vec<Entry>) -> JournalFuture<'static, ()>;

    /// Returns a ride, or `None` if no ride has this id.
    fn ride<'a>(&'a self, ride: &'a RideId) -> JournalFuture<'a, Option<Arc<RideLog>>>;

    /// Returns the rides that are not over, oldest first.
    fn unfinished(&self) -> JournalFuture<'_, Vec<Arc<RideLog>>>;

    /// Returns the rides that these requests opened. Requests that opened no ride are left out.
    fn by_requests<'a>(&'a self, requests: &'a [RequestKey]) -> JournalFuture<'a, KnownRequests>;

    /// Returns at most `limit` rides that match `filter`, newest first, with places below `below`.
    fn page<'a>(
        &'a self,
        filter: &'a Filter,
        below: Option<u64>,
        limit: usize,
    ) -> JournalFuture<'a, Vec<ListedRide>>;

    /// Waits until the journal can never be written again, and returns the reason. Pending while the journal works,
    /// and after it was closed.
    fn failed(&self) -> Later<'_, JournalError>;

    /// Writes the queued batches, and closes the journal. Later appends fail.
    fn close(&self) -> Later<'_, ()>;
}

#[cfg(test)]
mod tests;
