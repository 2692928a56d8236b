//! How the rest of the server talks to the rides.

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
    machine::{Command, Misfit, Refusal},
    model::{Booking, Crew, Ride},
    open::OpenRideLimit,
    task::{Change, Input, Owner, Question},
};

/// Most inputs decided in one batch.
const BATCH: usize = 256;

/// Why nothing came of it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RideError {
    /// Nobody opened this ride.
    #[error("there is no such ride")]
    NotFound,
    /// The rules forbid it.
    #[error(transparent)]
    Refused(Refusal),
    /// The request id has been used for another booking.
    #[error("this request_id was used before, for another booking")]
    KeyReused,
    /// One more open ride is more than allowed.
    #[error("{0}")]
    TooManyOpen(OpenRideLimit),
    /// No list gave out this page token.
    #[error(transparent)]
    BadPageToken(#[from] BadPageToken),
    /// The journal did not keep it, so it did not happen.
    #[error(transparent)]
    Journal(JournalError),
    /// An event does not follow its ride.
    #[error(transparent)]
    Broken(#[from] Misfit),
    /// The rides task is gone: the server is going down.
    #[error("rides are closed: the server is going down")]
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

/// The ride that `request` opened, where this is `known` of its id.
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

/// A handle on all rides; cheap to clone. The task behind it ends when the last handle is dropped.
#[derive(Clone)]
pub struct Rides {
    inputs: mpsc::Sender<Input>,
    journal: Arc<dyn Journal>,
    fares: FareLimits,
}

impl Rides {
    /// Takes up every ride of the journal that is not over, and starts the task that owns them.
    ///
    /// `opened` hears of each ride that someone must look after: taken up now, or opened later. Whoever reads
    /// it must never wait for the rides: the rides wait for it.
    pub async fn spawn(
        journal: Arc<dyn Journal>,
        opened: mpsc::Sender<RideId>,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        Self::spawn_in_batches(journal, opened, BATCH).await
    }

    /// The same, with at most `batch` decisions in one append. 1: a commit for each, which is slow.
    pub async fn spawn_in_batches(
        journal: Arc<dyn Journal>,
        opened: mpsc::Sender<RideId>,
        batch: usize,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        let unfinished = journal.unfinished().await?;
        let (inputs, inbox) = mpsc::channel(1024);
        let owner = Owner::new(Arc::clone(&journal), unfinished, opened);
        let task = tokio::spawn(owner.run(inbox, batch));
        Ok((Self { inputs, journal, fares: FareLimits::default() }, task))
    }

    /// The same, with other limits of fares.
    #[must_use]
    pub fn with_fares(self, fares: FareLimits) -> Self {
        Self { fares, ..self }
    }

    /// The most that a trip costs.
    pub fn fares(&self) -> FareLimits {
        self.fares
    }

    /// Names the journal: versions of rides mean something only together with it. A UUID.
    pub fn epoch(&self) -> &str {
        self.journal.epoch()
    }

    /// Books a ride, or answers the ride that the same request booked before, as it is now.
    pub async fn book(&self, request: RequestKey, booking: Booking) -> Result<Ride, RideError> {
        self.book_within(Vec::new(), request, booking).await
    }

    /// The same, unless one of `limits` is reached and the ride is new.
    pub async fn book_within(
        &self,
        limits: Vec<OpenRideLimit>,
        request: RequestKey,
        booking: Booking,
    ) -> Result<Ride, RideError> {
        self.change(Change::Book { request, booking: Arc::new(booking), limits }).await
    }

    /// The ride that the same request booked before, as it is now; `None` if it booked none.
    pub async fn booked(&self, request: &RequestKey) -> Result<Option<Ride>, RideError> {
        let known = self.journal.by_requests(std::slice::from_ref(request)).await?;
        match opened_by(request, known.get(&request.id))? {
            Some(ride) => self.get(ride).await.map(Some),
            None => Ok(None),
        }
    }

    /// Opens a ride that is on its way already. `since` is when it began, by the driver's clock.
    pub async fn start_off_street(
        &self,
        crew: Crew,
        booking: Booking,
        since: SystemTime,
    ) -> Result<Ride, RideError> {
        self.change(Change::StartOffStreet { crew, booking: Arc::new(booking), since }).await
    }

    /// Decides one command. The answer is the ride after it, or as it was when the command had taken effect
    /// before. By the time of the answer the journal has it.
    pub async fn command(&self, ride: &RideId, command: Command) -> Result<Ride, RideError> {
        self.change(Change::Command(ride.clone(), command)).await
    }

    /// One ride as it is now.
    pub async fn get(&self, ride: &RideId) -> Result<Ride, RideError> {
        Ok(self.log(ride).await?.borrow().ride.clone())
    }

    /// One ride's whole past and whatever comes, in one: there is no gap between the two. After the last
    /// event of a ride the feed is closed.
    pub async fn log(&self, ride: &RideId) -> Result<watch::Receiver<Arc<RideLog>>, RideError> {
        let live = self.ask(|reply| Input::Question(Question::Watch(ride.clone(), reply))).await?;
        match live {
            Some(feed) => Ok(feed),
            None => {
                let log = self.journal.ride(ride).await?.ok_or(RideError::NotFound)?;
                Ok(watch::Sender::new(log).subscribe())
            }
        }
    }

    /// The ride that binds a car: one it has, or is offered.
    pub async fn ride_of(&self, car: CarId) -> Result<Option<Ride>, RideError> {
        self.ask(|reply| Input::Question(Question::RideOf(car, reply))).await
    }

    /// One page of rides, newest first.
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
