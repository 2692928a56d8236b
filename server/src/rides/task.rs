//! The one owner of every ride that is not over.
//!
//! It takes what has queued up as one batch: decides all of it, appends all of it to the journal at once, and only
//! then tells anyone. While one batch is on its way to the disk, the next is decided on top of it, and follows it
//! before anyone is told. A busy server so pays for one write a batch, not one a command, and its disk never waits.

use std::{future::ready, mem, sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{
    RideError, RideLog,
    board::Board,
    draft::{Draft, Drafted},
    handle::opened_by,
    journal::{Answer, Journal, JournalError, RequestKey, Requests},
    machine::Command,
    model::{Booking, Crew, Ride},
    open::OpenRideLimit,
};

/// Everything that reaches the task.
pub(super) enum Input {
    Change(Change, Reply),
    Question(Question),
}

pub(super) type Reply = oneshot::Sender<Result<Ride, RideError>>;

/// Everything that can change a ride.
pub(super) enum Change {
    Book { request: RequestKey, booking: Arc<Booking>, limits: Vec<OpenRideLimit> },
    StartOffStreet { crew: Crew, booking: Arc<Booking>, since: SystemTime },
    Command(RideId, Command),
}

/// Everything the task can be asked. Answered at once, as the journal has it.
pub(super) enum Question {
    Watch(RideId, oneshot::Sender<Option<watch::Receiver<Arc<RideLog>>>>),
    RideOf(CarId, oneshot::Sender<Option<Ride>>),
}

pub(super) struct Owner {
    journal: Arc<dyn Journal>,
    board: Board,
    opened: mpsc::Sender<RideId>,
    /// Rides that `opened` has to hear of yet.
    unsaid: Vec<RideId>,
}

/// Changes that are decided together, kept together or not at all, and then answered.
#[derive(Default)]
struct Batch {
    asked: Vec<(Change, Reply)>,
    /// One for each that was asked.
    outcomes: Vec<Result<Ride, RideError>>,
    drafted: Drafted,
}

/// A batch that the journal was given.
struct Sent {
    batch: Batch,
    kept: Answer<'static, ()>,
}

impl Batch {
    /// Nothing of it happened, whatever was decided; what was refused stays refused.
    fn take_back(&mut self, error: &JournalError) {
        for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = Err(error.clone().into());
        }
    }

    fn answer(self) {
        for ((_, reply), outcome) in self.asked.into_iter().zip(self.outcomes) {
            // A caller who went away does not undo what happened.
            let _ = reply.send(outcome);
        }
    }
}

impl Owner {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        unfinished: Vec<Arc<RideLog>>,
        opened: mpsc::Sender<RideId>,
    ) -> Self {
        let unsaid = unfinished.iter().map(|log| log.ride.id.clone()).collect();
        Self { journal, board: Board::of(unfinished), opened, unsaid }
    }

    /// Decides at most `limit` changes in one batch.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Input>, limit: usize) {
        self.say_opened().await;
        while let Some(asked) = self.receive(&mut inbox, limit).await {
            let mut batch = Batch::default();
            self.decide(&mut batch, asked, None).await;
            let mut sent = self.send(batch);
            while let Some(batch) = sent {
                sent = self.keep(batch, &mut inbox, limit).await;
            }
        }
    }

    /// At most `limit` changes, as soon as there are any. Questions that come before are answered. `None`: nobody is
    /// left to ask. Nothing is lost when it is dropped.
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

    /// Adds to a batch that comes after `before`.
    async fn decide(&self, batch: &mut Batch, asked: Vec<(Change, Reply)>, before: Option<&Drafted>) {
        let now = SystemTime::now();
        let earlier = self.earlier(&asked).await;
        let mut draft = Draft::on(&self.board, before, &mut batch.drafted);
        for (change, _) in &asked {
            batch.outcomes.push(decide(&mut draft, self.journal.as_ref(), &earlier, change, now).await);
        }
        batch.asked.extend(asked);
    }

    /// Hands a batch to the journal, unless it is empty.
    fn send(&self, mut batch: Batch) -> Option<Sent> {
        if batch.asked.is_empty() {
            return None;
        }
        let entries = mem::take(&mut batch.drafted.entries);
        let kept = if entries.is_empty() { Box::pin(ready(Ok(()))) } else { self.journal.append(entries) };
        Some(Sent { batch, kept })
    }

    /// Append, publish, acknowledge: in this order, and no step before the one before it. Returns the next batch, as
    /// far as it was asked for meanwhile: the journal has it before this one is told to the many who wait for it.
    async fn keep(&mut self, sent: Sent, inbox: &mut mpsc::Receiver<Input>, limit: usize) -> Option<Sent> {
        let Sent { mut batch, kept } = sent;
        let (kept, mut next) = self.meanwhile(kept, &batch.drafted, inbox, limit).await;
        if let Err(error) = &kept {
            batch.take_back(error);
            // It was decided on top of what did not happen.
            let asked = mem::take(&mut next).asked;
            self.decide(&mut next, asked, None).await;
        }
        let next = self.send(next);
        if kept.is_ok() {
            self.publish(mem::take(&mut batch.drafted));
        }
        batch.answer();
        self.say_opened().await;
        next
    }

    /// Decides the next batch until it is known whether the one before it is kept.
    async fn meanwhile(
        &self,
        mut kept: Answer<'static, ()>,
        before: &Drafted,
        inbox: &mut mpsc::Receiver<Input>,
        limit: usize,
    ) -> (Result<(), JournalError>, Batch) {
        let mut next = Batch::default();
        loop {
            let room = limit - next.asked.len();
            tokio::select! {
                biased;
                kept = &mut kept => return (kept, next),
                Some(asked) = self.receive(inbox, room), if room > 0 => {
                    self.decide(&mut next, asked, Some(before)).await;
                }
            }
        }
    }

    fn publish(&mut self, Drafted { opened, changes, .. }: Drafted) {
        self.unsaid.extend(opened);
        self.board.commit(changes);
    }

    /// What the journal knows of requests: asked once for all of them.
    async fn earlier(&self, changes: &[(Change, Reply)]) -> Result<Requests, JournalError> {
        let request = |(change, _): &(Change, Reply)| match change {
            Change::Book { request, .. } => Some(request.clone()),
            _ => None,
        };
        let requests: Vec<RequestKey> = changes.iter().filter_map(request).collect();
        if requests.is_empty() { Ok(Requests::new()) } else { self.journal.by_requests(&requests).await }
    }

    fn answer(&self, question: Question) {
        match question {
            Question::Watch(id, reply) => {
                let _ = reply.send(self.board.watch(&id));
            }
            Question::RideOf(car, reply) => {
                let log = self.board.ride_of(car).and_then(|id| self.board.ride(id));
                let _ = reply.send(log.map(|log| log.ride.clone()));
            }
        }
    }

    async fn say_opened(&mut self) {
        for id in self.unsaid.drain(..) {
            if self.opened.send(id).await.is_err() {
                tracing::debug!("nobody looks after rides any more");
            }
        }
    }
}

async fn decide(
    draft: &mut Draft<'_>,
    journal: &dyn Journal,
    earlier: &Result<Requests, JournalError>,
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

/// On the board, or over and only in the journal.
async fn find(draft: &Draft<'_>, journal: &dyn Journal, id: &RideId) -> Result<Arc<RideLog>, RideError> {
    match draft.ride(id) {
        Some(log) => Ok(log),
        None => journal.ride(id).await?.ok_or(RideError::NotFound),
    }
}

/// Ids sort by the time they were made, which keeps a journal's index compact.
fn new_id() -> RideId {
    RideId::new(Uuid::now_v7().to_string())
}

#[cfg(test)]
mod tests;
