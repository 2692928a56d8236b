//! The task that owns every ride that is not over.
//!
//! The task takes all queued changes as one batch, decides them, and appends their events to the journal together.
//! Then it publishes them and replies. While the journal stores one batch, the task decides the next one on top of
//! it, and appends it before it publishes the first. So a busy server pays for one commit per batch, and its disk
//! never waits.

use std::{future::ready, mem, sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{
    RideError, RideLog,
    active_rides::ActiveRides,
    batch_builder::{BatchBuilder, StagedBatch},
    handle::opened_by,
    journal::{Journal, JournalError, JournalFuture, KnownRequests, RequestKey},
    machine::Command,
    model::{Booking, CarAndDriver, Ride},
    open_ride_limits::OpenRideLimit,
};

/// The messages to the task.
pub(super) enum Input {
    Change(Change, Reply),
    Question(RideQuery),
}

/// The channel for the result of a change.
pub(super) type Reply = oneshot::Sender<Result<Ride, RideError>>;

/// The changes of rides.
pub(super) enum Change {
    Book { request: RequestKey, booking: Arc<Booking>, limits: Vec<OpenRideLimit> },
    StartOffStreet { crew: CarAndDriver, booking: Arc<Booking>, since: SystemTime },
    Command(RideId, Command),
}

/// The queries. The task replies at once, without the changes that are not in the journal yet.
pub(super) enum RideQuery {
    Watch(RideId, oneshot::Sender<Option<watch::Receiver<Arc<RideLog>>>>),
    RideOf(CarId, oneshot::Sender<Option<Ride>>),
}

/// The state of the task.
pub(super) struct RidesTask {
    journal: Arc<dyn Journal>,
    board: ActiveRides,
    opened: mpsc::Sender<RideId>,
    /// The rides that are not yet sent to `opened`.
    unannounced: Vec<RideId>,
}

/// Changes that are decided together, and stored together or not at all.
#[derive(Default)]
struct Batch {
    asked: Vec<(Change, Reply)>,
    /// The result of each change, in the order of `asked`.
    outcomes: Vec<Result<Ride, RideError>>,
    drafted: StagedBatch,
}

/// A batch that is being appended to the journal.
struct AppendingBatch {
    batch: Batch,
    append: JournalFuture<'static, ()>,
}

impl Batch {
    /// Replaces the successful results with `error`. Refused changes stay refused.
    fn fail_all(&mut self, error: &JournalError) {
        for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = Err(error.clone().into());
        }
    }

    fn answer(self) {
        for ((_, reply), outcome) in self.asked.into_iter().zip(self.outcomes) {
            // A caller that is gone does not undo the change.
            let _ = reply.send(outcome);
        }
    }
}

impl RidesTask {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        unfinished: Vec<Arc<RideLog>>,
        opened: mpsc::Sender<RideId>,
    ) -> Self {
        let unsaid = unfinished.iter().map(|log| log.ride.id.clone()).collect();
        Self { journal, board: ActiveRides::of(unfinished), opened, unannounced: unsaid }
    }

    /// Runs until all handles are dropped. A batch has at most `limit` changes.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Input>, limit: usize) {
        self.announce_opened().await;
        while let Some(asked) = self.receive(&mut inbox, limit).await {
            let mut batch = Batch::default();
            self.decide(&mut batch, asked, None).await;
            let mut sent = self.send(batch);
            while let Some(batch) = sent {
                sent = self.finish(batch, &mut inbox, limit).await;
            }
        }
    }

    /// Waits for changes, and returns at most `limit` of them. Replies to queries meanwhile. `None` if all handles
    /// are dropped.
    ///
    /// Cancel safe: while it waits, it holds no change.
    async fn receive(&self, inbox: &mut mpsc::Receiver<Input>, limit: usize) -> Option<Vec<(Change, Reply)>> {
        let (mut inputs, mut changes) = (Vec::new(), Vec::new());
        while inbox.recv_many(&mut inputs, limit).await > 0 {
            for input in inputs.drain(..) {
                match input {
                    Input::Change(change, reply) => changes.push((change, reply)),
                    Input::Question(question) => self.answer(question),
                }
            }
            if !changes.is_empty() {
                return Some(changes);
            }
        }
        None
    }

    /// Decides `asked`, and adds the results to `batch`. `before` is the batch that is being appended.
    async fn decide(&self, batch: &mut Batch, asked: Vec<(Change, Reply)>, before: Option<&StagedBatch>) {
        let now = SystemTime::now();
        let earlier = self.known_requests(&asked).await;
        let mut draft = BatchBuilder::on(&self.board, before, &mut batch.drafted);
        for (change, _) in &asked {
            batch.outcomes.push(decide(&mut draft, self.journal.as_ref(), &earlier, change, now).await);
        }
        batch.asked.extend(asked);
    }

    /// Starts the append of a batch, unless it is empty.
    fn send(&self, mut batch: Batch) -> Option<AppendingBatch> {
        if batch.asked.is_empty() {
            return None;
        }
        let entries = mem::take(&mut batch.drafted.entries);
        let kept = if entries.is_empty() { Box::pin(ready(Ok(()))) } else { self.journal.append(entries) };
        Some(AppendingBatch { batch, append: kept })
    }

    /// Waits for the append of a batch, publishes its events and replies, in this order. If the append fails, publishes
    /// nothing and replies with the error. Returns the next batch, if there were changes meanwhile. Its append starts
    /// before the first batch is published to its many receivers.
    async fn finish(
        &mut self,
        sent: AppendingBatch,
        inbox: &mut mpsc::Receiver<Input>,
        limit: usize,
    ) -> Option<AppendingBatch> {
        let AppendingBatch { mut batch, append: kept } = sent;
        let (kept, mut next) = self.decide_during_append(kept, &batch.drafted, inbox, limit).await;
        if let Err(error) = &kept {
            batch.fail_all(error);
            // The next batch was decided on top of events that did not take effect.
            let asked = mem::take(&mut next).asked;
            self.decide(&mut next, asked, None).await;
        }
        let next = self.send(next);
        if kept.is_ok() {
            self.publish(mem::take(&mut batch.drafted));
        }
        batch.answer();
        self.announce_opened().await;
        next
    }

    /// Decides the next batch until the append of the one before it has ended.
    async fn decide_during_append(
        &self,
        mut kept: JournalFuture<'static, ()>,
        before: &StagedBatch,
        inbox: &mut mpsc::Receiver<Input>,
        limit: usize,
    ) -> (Result<(), JournalError>, Batch) {
        let mut next = Batch::default();
        loop {
            let room = limit - next.asked.len();
            tokio::select! {
                // An append that has ended comes first, so that its callers do not wait for further decisions.
                biased;
                kept = &mut kept => return (kept, next),
                Some(asked) = self.receive(inbox, room), if room > 0 => {
                    self.decide(&mut next, asked, Some(before)).await;
                }
            }
        }
    }

    fn publish(&mut self, StagedBatch { opened, changes, .. }: StagedBatch) {
        self.unannounced.extend(opened);
        self.board.commit(changes);
    }

    /// Returns what the journal knows of the requests of all changes, with one query.
    async fn known_requests(&self, changes: &[(Change, Reply)]) -> Result<KnownRequests, JournalError> {
        let request = |(change, _): &(Change, Reply)| match change {
            Change::Book { request, .. } => Some(request.clone()),
            _ => None,
        };
        let requests: Vec<RequestKey> = changes.iter().filter_map(request).collect();
        if requests.is_empty() { Ok(KnownRequests::new()) } else { self.journal.by_requests(&requests).await }
    }

    fn answer(&self, question: RideQuery) {
        match question {
            RideQuery::Watch(id, reply) => {
                let _ = reply.send(self.board.watch(&id));
            }
            RideQuery::RideOf(car, reply) => {
                let log = self.board.ride_of(car).and_then(|id| self.board.ride(id));
                let _ = reply.send(log.map(|log| log.ride.clone()));
            }
        }
    }

    async fn announce_opened(&mut self) {
        for id in self.unannounced.drain(..) {
            if self.opened.send(id).await.is_err() {
                tracing::debug!("the receiver of opened rides was dropped");
            }
        }
    }
}

async fn decide(
    draft: &mut BatchBuilder<'_>,
    journal: &dyn Journal,
    earlier: &Result<KnownRequests, JournalError>,
    change: &Change,
    now: SystemTime,
) -> Result<Ride, RideError> {
    match change {
        Change::Book { request, booking, limits } => {
            let earlier = earlier.as_ref().map_err(JournalError::clone)?;
            let known = draft.by_request(&request.id).or_else(|| earlier.get(&request.id));
            match opened_by(request, known)?.cloned() {
                Some(ride) => Ok(find(draft, journal, &ride).await?.ride.clone()),
                None => draft.book(new_id(), booking, limits, request.clone(), now),
            }
        }
        Change::StartOffStreet { crew, booking, since } => {
            let (crew, booking) = (crew.clone(), booking.clone());
            draft.open(new_id(), &Command::StartOffStreet { booking, crew, since: *since }, None, now)
        }
        Change::Command(id, command) => {
            let log = find(draft, journal, id).await?;
            draft.decide(&log, command, now)
        }
    }
}

/// Returns a ride from the board. A ride that is over is read from the journal.
async fn find(
    draft: &BatchBuilder<'_>,
    journal: &dyn Journal,
    id: &RideId,
) -> Result<Arc<RideLog>, RideError> {
    match draft.ride(id) {
        Some(log) => Ok(log),
        None => journal.ride(id).await?.ok_or(RideError::NotFound),
    }
}

/// Returns a UUID of version 7. These ids sort by time, which keeps the index of the journal compact.
fn new_id() -> RideId {
    RideId::new(Uuid::now_v7().to_string())
}

#[cfg(test)]
mod tests;
