//! The implementation of `Rides.Watch`: a stream of the events of one ride, which can be resumed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use rides_proto::v1::{
    self,
    watch_response::{Message, Opened},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::Status;

use super::{
    bad_request::BadRequest,
    convert::ride_event,
    fields,
    progress::{self, Tracker},
};
use crate::rides::{RideError, RideLog};

/// The interval between two messages with the progress of the car.
const PROGRESS: Duration = Duration::from_secs(1);
/// The interval without other messages after which the viewer gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The point in the events of a ride at which a stream starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ResumePoint {
    /// `true` if the stream continues an earlier one.
    resumed: bool,
    /// The version of the last event that the viewer already has.
    after: u64,
}

impl ResumePoint {
    /// Reads the cursor of a request. The stream resumes after it if it is of the server's `epoch` and not beyond
    /// `head`, the newest version. Otherwise the stream has all events of the ride. Fails if the request's epoch is
    /// malformed.
    pub(super) fn new(request: &v1::WatchRequest, epoch: &str, head: u64) -> Result<Self, BadRequest> {
        fields::epoch("epoch", &request.epoch)?;
        let resumed = request.epoch == epoch && request.after_version <= head;
        Ok(Self { resumed, after: if resumed { request.after_version } else { 0 } })
    }
}

/// The stream of one ride to one viewer.
///
/// Messages are made when the transport asks for them, so a slow viewer needs no queue: events stay in the ride's
/// log, and progress is always current.
pub(super) struct RideViewer {
    feed: watch::Receiver<Arc<RideLog>>,
    tracker: Tracker,
    opened: Option<Opened>,
    /// The version of the last event that was sent.
    seen: u64,
    next_progress: Instant,
    next_heartbeat: Instant,
}

impl RideViewer {
    /// Makes a stream that begins at `start`, and whose first message has `epoch` and `head`.
    pub(super) fn new(
        feed: watch::Receiver<Arc<RideLog>>,
        tracker: Tracker,
        epoch: &str,
        head: u64,
        start: ResumePoint,
    ) -> Self {
        let opened = Opened { epoch: epoch.to_owned(), resumed: start.resumed, head_version: head };
        let now = Instant::now();
        Self {
            feed,
            tracker,
            opened: Some(opened),
            seen: start.after,
            next_progress: now,
            next_heartbeat: now + HEARTBEAT,
        }
    }

    /// Returns the stream of messages. It ends with OK after the last event of the ride.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<v1::WatchResponse, Status>> + Send {
        stream::try_unfold(self, |mut viewer| async move {
            let Some(message) = viewer.next().await? else { return Ok(None) };
            viewer.next_heartbeat = Instant::now() + HEARTBEAT;
            Ok(Some((v1::WatchResponse { message: Some(message) }, viewer)))
        })
    }

    async fn next(&mut self) -> Result<Option<Message>, Status> {
        if let Some(opened) = self.opened.take() {
            return Ok(Some(Message::Opened(opened)));
        }
        loop {
            let log = Arc::clone(&self.feed.borrow_and_update());
            if let Some(event) = log.after(self.seen).first() {
                self.seen = event.version;
                return Ok(Some(Message::Event(ride_event(event))));
            }
            if log.ride.state.is_over() {
                return Ok(None);
            }
            tokio::select! {
                changed = self.feed.changed() => changed.map_err(|_| RideError::Closed)?,
                () = sleep_until(self.next_progress), if progress::is_under_way(&log.ride) => {
                    self.next_progress = Instant::now() + PROGRESS;
                    if let Some(progress) = self.tracker.progress(&log.ride).await? {
                        return Ok(Some(Message::Progress(progress)));
                    }
                }
                () = sleep_until(self.next_heartbeat) => {
                    let time = Some(SystemTime::now().into());
                    return Ok(Some(Message::Heartbeat(v1::Heartbeat { time })));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_counts_in_its_own_epoch_only() {
        let (ours, other) = ("0b8f1a52-6f3c-4d2e-9f55-0a3a1f0c7e11", "6c1e2c5a-94cf-4f0e-8a3c-5b1f1f3b2d22");
        let start = |epoch: &str, after_version| {
            let request = v1::WatchRequest { ride_id: "r".into(), epoch: epoch.into(), after_version };
            ResumePoint::new(&request, ours, 5).map_err(|bad| Status::from(bad).code())
        };
        let whole = Ok(ResumePoint { resumed: false, after: 0 });
        for (epoch, after, expected) in [
            ("", 0, whole),
            ("", 3, whole),
            (ours, 0, Ok(ResumePoint { resumed: true, after: 0 })),
            (ours, 5, Ok(ResumePoint { resumed: true, after: 5 })),
            (ours, 6, whole),
            (ours, u64::MAX, whole),
            (other, 3, whole),
            ("yesterday", 3, Err(tonic::Code::InvalidArgument)),
        ] {
            assert_eq!(start(epoch, after), expected, "{epoch} {after}");
        }
    }
}
