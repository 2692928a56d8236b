//! The memory of rides: every event, in order, for ever.
//!
//! The one writer is the rides task; anyone may read. Kept behind a trait so that a file or a NATS stream can
//! stand where [`MemoryJournal`] stands, with the same promises.

mod memory;

use std::{future::Future, pin::Pin, sync::Arc};

use rides_proto::ids::RideId;

pub use memory::MemoryJournal;

use super::{
    RideLog,
    machine::Misfit,
    model::{Ride, RideEvent, RideState},
};

/// What a journal's methods return, so that the trait can be a `dyn` one.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send + 'a>>;

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
    /// It cannot be reached, or cannot write.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
}

/// A client's name for a booking, and what it booked under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// Made by the client, unique per booking it wants.
    pub id: String,
    /// The request's own bytes: the same id with another fingerprint is another request.
    pub fingerprint: Vec<u8>,
}

/// One event to append. Its own version names what it expects: a ride that stands at the version before.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// What happened.
    pub event: Arc<RideEvent>,
    /// The request that it answers, when it opens a ride.
    pub request: Option<RequestKey>,
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

    /// Appends all of `batch`. After an error nothing of it is kept.
    fn append<'a>(&'a self, batch: &'a [Entry]) -> Answer<'a, ()>;

    /// One ride; `None` when nobody opened it.
    fn ride<'a>(&'a self, ride: &'a RideId) -> Answer<'a, Option<Arc<RideLog>>>;

    /// Every ride that is not over, oldest first.
    fn unfinished(&self) -> Answer<'_, Vec<Arc<RideLog>>>;

    /// The ride that a request opened, and the request's fingerprint then.
    fn by_request<'a>(&'a self, id: &'a str) -> Answer<'a, Option<(RideId, Vec<u8>)>>;

    /// At most `limit` rides that `filter` matches, newest first, from the last one placed below `below`.
    fn page<'a>(&'a self, filter: &'a Filter, below: Option<u64>, limit: usize) -> Answer<'a, Vec<Placed>>;
}
