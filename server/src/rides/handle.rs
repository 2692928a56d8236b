//! The handle by which the rest of the server uses the rides.

use std::{sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    RideLog,
    charge::FareLimits,
    journal::{Journal, JournalError, RequestKey},
    list::{BadPageToken, ListPage, ListQuery},
    machine::{Command, OutOfSequence, Refusal},
    model::{Booking, CarAndDriver, Ride},
    open_ride_limits::OpenRideLimit,
    task::{Change, Input, RideQuery, RidesTask},
};

/// The most changes in one batch.
const BATCH: usize = 256;

/// The reason why a call of [`Rides`] failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RideError {
    /// No ride has this id.
    #[error("there is no such ride")]
    NotFound,
    /// The rules forbid the command.
    #[error(transparent)]
    Refused(Refusal),
    /// The request id was used for a different booking.
    #[error("this request_id was used before for a different booking: choose a new one")]
    KeyReused,
    /// A holder has reached its limit of open rides.
    #[error("{0}")]
    TooManyOpen(OpenRideLimit),
    /// The page token belongs to another list.
    #[error(transparent)]
    BadPageToken(#[from] BadPageToken),
    /// The journal did not store the event, so the change did not take effect.
    #[error(transparent)]
    Journal(JournalError),
    /// An event is not the next one of its ride.
    #[error(transparent)]
    OutOfSequence(#[from] OutOfSequence),
    /// The rides task has ended, because the server is shutting down.
    #[error("the server is shutting down")]
    Closed,
}

impl From<JournalError> for RideError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Closed => Self::Closed,
            other => Self::Journal(other),
        }
    }
}

impl From<Refusal> for RideError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchRide => Self::NotFound,
            other => Self::Refused(other),
        }
    }
}

/// Returns the ride that `request` opened, from the `known` entry of its request id. Fails if the id belongs to a
/// different booking.
pub(super) fn opened_by<'a>(
    request: &RequestKey,
    known: Option<&'a (RideId, Vec<u8>)>,
) -> Result<Option<&'a RideId>, RideError> {
    match known {
        Some((ride, fingerprint)) if *fingerprint == request.fingerprint => Ok(Some(ride)),
        Some(_) => Err(RideError::KeyReused),
        None => Ok(None),
    }
}

/// A handle to all rides. Cheap to clone. The task behind it ends when the last handle is dropped.
#[derive(Clone)]
pub struct Rides {
    inputs: mpsc::Sender<Input>,
    journal: Arc<dyn Journal>,
    fares: FareLimits,
}

impl Rides {
    /// Starts the task, with the rides of the journal that are not over.
    ///
    /// The task sends the id of each ride to `opened`: of the unfinished ones at the start, and of new ones later.
    /// The task waits for the receiver. So the receiver must never wait for a call of [`Rides`].
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn spawn(
        journal: Arc<dyn Journal>,
        opened: mpsc::Sender<RideId>,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        Self::spawn_in_batches(journal, opened, BATCH).await
    }

    /// Starts the task as [`Self::spawn`] does, with at most `batch` changes in one append. With 1, each change has a
    /// commit of its own, which is slow.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn spawn_in_batches(
        journal: Arc<dyn Journal>,
        opened: mpsc::Sender<RideId>,
        batch: usize,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        let unfinished = journal.unfinished().await?;
        let (inputs, inbox) = mpsc::channel(1024);
        let owner = RidesTask::new(Arc::clone(&journal), unfinished, opened);
        let task = tokio::spawn(owner.run(inbox, batch));
        Ok((Self { inputs, journal, fares: FareLimits::default() }, task))
    }

    /// Replaces the limits of fares.
    #[must_use]
    pub fn with_fares(self, fares: FareLimits) -> Self {
        Self { fares, ..self }
    }

    /// Returns the limits of fares.
    pub fn fares(&self) -> FareLimits {
        self.fares
    }

    /// Returns the id of the journal, a UUID. Versions of rides are valid only within one epoch.
    pub fn epoch(&self) -> &str {
        self.journal.epoch()
    }

    /// Books a ride. If the same request booked one before, returns that ride as it is now.
    pub async fn book(&self, request: RequestKey, booking: Booking) -> Result<Ride, RideError> {
        self.book_with_limits(Vec::new(), request, booking).await
    }

    /// Books a ride as [`Self::book`] does. Fails if the ride would be new and one of `limits` is reached.
    pub async fn book_with_limits(
        &self,
        limits: Vec<OpenRideLimit>,
        request: RequestKey,
        booking: Booking,
    ) -> Result<Ride, RideError> {
        self.change(Change::Book { request, booking: Arc::new(booking), limits }).await
    }

    /// Returns the ride that the same request booked before, as it is now. `None` if it booked none.
    pub async fn ride_of_request(&self, request: &RequestKey) -> Result<Option<Ride>, RideError> {
        let known = self.journal.by_requests(std::slice::from_ref(request)).await?;
        match opened_by(request, known.get(&request.id))? {
            Some(ride) => self.get(ride).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens a ride that is already on its trip. `since` is the start of the trip by the driver's clock.
    pub async fn start_off_street(
        &self,
        crew: CarAndDriver,
        booking: Booking,
        since: SystemTime,
    ) -> Result<Ride, RideError> {
        self.change(Change::StartOffStreet { crew, booking: Arc::new(booking), since }).await
    }

    /// Decides one command, and returns the ride after it. The ride is unchanged if the command took effect before.
    /// Returns after the event is in the journal.
    pub async fn command(&self, ride: &RideId, command: Command) -> Result<Ride, RideError> {
        self.change(Change::Command(ride.clone(), command)).await
    }

    /// Returns a ride as it is now.
    pub async fn get(&self, ride: &RideId) -> Result<Ride, RideError> {
        Ok(self.watch(ride).await?.borrow().ride.clone())
    }

    /// Returns a receiver of a ride's log. The current value has all past events, and later values have the new ones,
    /// so that there is no gap between them. The channel closes after the last event of the ride.
    pub async fn watch(&self, ride: &RideId) -> Result<watch::Receiver<Arc<RideLog>>, RideError> {
        let live = self.ask(|reply| Input::Question(RideQuery::Watch(ride.clone(), reply))).await?;
        match live {
            Some(feed) => Ok(feed),
            None => {
                let log = self.journal.ride(ride).await?.ok_or(RideError::NotFound)?;
                Ok(watch::Sender::new(log).subscribe())
            }
        }
    }

    /// Returns the ride that a car has, or has an offer for.
    pub async fn ride_of(&self, car: CarId) -> Result<Option<Ride>, RideError> {
        self.ask(|reply| Input::Question(RideQuery::RideOf(car, reply))).await
    }

    /// Returns one page of rides, newest first.
    pub async fn list(&self, query: &ListQuery) -> Result<ListPage, RideError> {
        let below = query.below(self.epoch())?;
        let found = self.journal.page(&query.filter, below, query.page_size + 1).await?;
        Ok(query.page(self.epoch(), found))
    }

    async fn change(&self, change: Change) -> Result<Ride, RideError> {
        self.ask(|reply| Input::Change(change, reply)).await?
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, RideError> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).await.map_err(|_| RideError::Closed)?;
        answer.await.map_err(|_| RideError::Closed)
    }
}
