//! The memory of rides: every event, in order, for ever.
//!
//! The one writer is the rides task; anyone may read. Kept behind a trait so that a NATS stream can stand where
//! [`SqliteJournal`] stands, with the same promises.

mod memory;
pub mod sqlite;

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use prost_types::Timestamp;
use rides_proto::ids::RideId;

pub use memory::MemoryJournal;
pub use sqlite::SqliteJournal;

use super::{
    RideLog,
    machine::Misfit,
    model::{Ride, RideEvent, RideState},
};

/// What a journal's methods return, so that the trait can be a `dyn` one.
pub type Answer<'a, T> = Later<'a, Result<T, JournalError>>;

/// A future in a box.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the journal knows of earlier requests: by a request's id, the ride that it opened and its fingerprint.
pub type Requests = HashMap<RequestId, (RideId, Vec<u8>)>;

/// Why a journal does not do what was asked.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum JournalError {
    /// An event does not follow what is there: another writer was faster, or the journal is broken.
    #[error("ride {ride}: {misfit}")]
    Misfit {
        /// Whose event.
        ride: RideId,
        /// How it fails to follow.
        misfit: Misfit,
    },
    /// It has no room. It takes events again once there is some.
    #[error("the disk is full")]
    Full,
    /// It cannot be reached, or cannot write, now.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// It can never write again: what it wrote last may be lost, and only a new start can tell.
    #[error("the journal has failed: {0}")]
    Failed(String),
    /// It holds something that nobody wrote like this.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// It is closed: the server is going down.
    #[error("the journal is closed")]
    Closed,
}

/// The id of a request. Each caller has ids of their own, so that no caller can use up the id of another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestId {
    /// The subject of the caller's token, or the rider that the caller claims to be.
    pub caller: String,
    /// Made by the client, unique per booking it wants.
    pub id: String,
}

/// A client's name for a booking, and what it booked under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// By which the booking is known when it is sent again.
    pub id: RequestId,
    /// The request's own bytes: the same id with another fingerprint is another request.
    pub fingerprint: Vec<u8>,
}

/// One event to append. Its own version names what it expects: a ride that stands at the version before.
///
/// It is written out when it is made, where there are many threads, and not by the one that writes.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    event: Arc<RideEvent>,
    request: Option<RequestKey>,
    /// When it happened, as RFC 3339 in UTC.
    time: String,
    /// What happened, as JSON.
    what: String,
}

impl Entry {
    /// What happened, and the request that it answers when it opens a ride.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn new(event: Arc<RideEvent>, request: Option<RequestKey>) -> Result<Self, JournalError> {
        let what = serde_json::to_string(&event.what)
            .map_err(|error| JournalError::Unavailable(format!("an event cannot be written: {error}")))?;
        let time = Timestamp::from(event.time).to_string();
        Ok(Self { event, request, time, what })
    }

    /// What happened.
    pub fn event(&self) -> &Arc<RideEvent> {
        &self.event
    }
}

/// Which rides a list is of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only this rider's.
    pub rider: Option<String>,
    /// Only rides in one of these states. Empty: any.
    pub states: Vec<RideState>,
}

impl Filter {
    /// Whether the list has `ride`.
    pub fn matches(&self, ride: &Ride) -> bool {
        self.rider.as_ref().is_none_or(|rider| *rider == ride.booking.rider)
            && (self.states.is_empty() || self.states.contains(&ride.state))
    }
}

/// A ride and its place in the order in which rides were opened, from 0.
#[derive(Clone, PartialEq, Debug)]
pub struct Placed {
    /// Never changes and is never given twice.
    pub place: u64,
    /// As of its last event.
    pub ride: Ride,
}

/// Where events are kept. What [`Journal::append`] has answered is kept, and seen by every read after it.
pub trait Journal: Send + Sync + 'static {
    /// A UUID that is another one for every new or restored journal: versions of another epoch mean nothing.
    fn epoch(&self) -> &str;

    /// Hands `batch` over at once, behind what was handed over before; all of it is kept when that is answered.
    /// After an error nothing of it is.
    fn append(&self, batch: Vec<Entry>) -> Answer<'static, ()>;

    /// One ride; `None` when nobody opened it.
    fn ride<'a>(&'a self, ride: &'a RideId) -> Answer<'a, Option<Arc<RideLog>>>;

    /// Every ride that is not over, oldest first.
    fn unfinished(&self) -> Answer<'_, Vec<Arc<RideLog>>>;

    /// What is known of those of these requests that opened a ride.
    fn by_requests<'a>(&'a self, requests: &'a [RequestKey]) -> Answer<'a, Requests>;

    /// At most `limit` rides that `filter` matches, newest first, from the last one placed below `below`.
    fn page<'a>(&'a self, filter: &'a Filter, below: Option<u64>, limit: usize) -> Answer<'a, Vec<Placed>>;

    /// Waits until it can never write again, and says why. As long as it can, this does not end.
    fn failed(&self) -> Later<'_, JournalError>;

    /// Writes what it was given before, and closes. It takes nothing after that.
    fn close(&self) -> Later<'_, ()>;
}

#[cfg(test)]
mod tests;
