//! The one owner of every ride that is not over.
//!
//! It takes what has queued up as one batch: decides all of it, appends all of it to the journal at once, and
//! only then tells anyone. A busy server so pays for one write a batch, not one a command.

use std::{sync::Arc, time::SystemTime};

use rides_proto::ids::{CarId, RideId};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{
    RideError, RideLog,
    board::Board,
    draft::Draft,
    journal::{Journal, JournalError, RequestKey, Requests},
    machine::Command,
    model::{Booking, Crew, Ride},
};

/// Everything that reaches the task.
pub(super) enum Input {
    Change(Change, Reply),
    Question(Question),
}

pub(super) type Reply = oneshot::Sender<Result<Ride, RideError>>;

/// Everything that can change a ride.
pub(super) enum Change {
    Book { request: RequestKey, booking: Arc<Booking> },
    StartOffStreet { crew: Crew, booking: Arc<Booking>, since: SystemTime },
    Command(RideId, Command),
}

/// Everything the task can be asked. Answered as the journal has it, after the changes of the same batch.
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

type Ack = (Reply, Result<Ride, RideError>);

impl Owner {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        unfinished: Vec<Arc<RideLog>>,
        opened: mpsc::Sender<RideId>,
    ) -> Self {
        let unsaid = unfinished.iter().map(|log| log.ride.id.clone()).collect();
        Self { journal, board: Board::of(unfinished), opened, unsaid }
    }

    /// Takes at most `limit` inputs at a time.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Input>, limit: usize) {
        let mut batch = Vec::with_capacity(limit);
        self.say_opened().await;
        while inbox.recv_many(&mut batch, limit).await > 0 {
            self.turn(&mut batch).await;
        }
    }

    async fn turn(&mut self, batch: &mut Vec<Input>) {
        let (mut changes, mut questions) = (Vec::new(), Vec::new());
        for input in batch.drain(..) {
            match input {
                Input::Change(change, reply) => changes.push((change, reply)),
                Input::Question(question) => questions.push(question),
            }
        }
        if !changes.is_empty() {
            self.change(changes).await;
        }
        for question in questions {
            self.answer(question);
        }
    }

    /// Decide, append, publish, acknowledge: in this order, and no step before the one before it.
    async fn change(&mut self, changes: Vec<(Change, Reply)>) {
        let now = SystemTime::now();
        let earlier = self.earlier(&changes).await;
        let mut draft = Draft::on(&self.board);
        let mut acks: Vec<Ack> = Vec::with_capacity(changes.len());
        for (change, reply) in changes {
            acks.push((reply, decide(&mut draft, self.journal.as_ref(), &earlier, change, now).await));
        }
        let (entries, changes) = draft.finish();
        if !entries.is_empty() {
            match self.journal.append(&entries).await {
                Ok(()) => {
                    let opened = entries.iter().filter(|entry| entry.event.version == 1);
                    self.unsaid.extend(opened.map(|entry| entry.event.ride.clone()));
                    self.board.commit(changes);
                }
                Err(error) => take_back(&mut acks, &error),
            }
        }
        for (reply, outcome) in acks {
            // A caller who went away does not undo what happened.
            let _ = reply.send(outcome);
        }
        self.say_opened().await;
    }

    /// What the journal knows of the requests of a batch: asked once for all of them.
    async fn earlier(&self, changes: &[(Change, Reply)]) -> Result<Requests, JournalError> {
        let id = |(change, _): &(Change, Reply)| match change {
            Change::Book { request, .. } => Some(request.id.clone()),
            _ => None,
        };
        let ids: Vec<String> = changes.iter().filter_map(id).collect();
        if ids.is_empty() { Ok(Requests::new()) } else { self.journal.by_requests(&ids).await }
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

/// Nothing of the batch happened, whatever was decided; what was refused stays refused.
fn take_back(acks: &mut [Ack], error: &JournalError) {
    for (_, outcome) in acks.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
        *outcome = Err(error.clone().into());
    }
}

async fn decide(
    draft: &mut Draft<'_>,
    journal: &dyn Journal,
    earlier: &Result<Requests, JournalError>,
    change: Change,
    now: SystemTime,
) -> Result<Ride, RideError> {
    match change {
        Change::Book { request, booking } => {
            let earlier = earlier.as_ref().map_err(JournalError::clone)?;
            match draft.by_request(&request.id).or_else(|| earlier.get(&request.id)).cloned() {
                Some((ride, fingerprint)) if fingerprint == request.fingerprint => {
                    Ok(find(draft, journal, &ride).await?.ride.clone())
                }
                Some(_) => Err(RideError::KeyReused),
                None => draft.open(new_id(), &Command::Book(booking), Some(request), now),
            }
        }
        Change::StartOffStreet { crew, booking, since } => {
            draft.open(new_id(), &Command::StartOffStreet { booking, crew, since }, None, now)
        }
        Change::Command(id, command) => {
            let log = find(draft, journal, &id).await?;
            draft.decide(&log, &command, now)
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
