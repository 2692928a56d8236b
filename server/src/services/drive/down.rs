//! The way down to a driver: a short queue, with a place kept for the last word.

use std::time::SystemTime;

use rides_proto::{
    ids::RideId,
    v1::{
        self, DriveResponse,
        drive_response::{self as down, Message},
    },
};
use tokio::{
    sync::mpsc::{self, OwnedPermit, error::TrySendError},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    fleet::{OUTBOX, Offer, Order},
    services::{convert, status},
};

pub(super) type Responses = ReceiverStream<Result<DriveResponse, Status>>;

pub(super) struct Down {
    queue: mpsc::Sender<Result<DriveResponse, Status>>,
    /// The status must find room even when the driver reads nothing. `None` once it is said, or there is none to say.
    last_word: Option<OwnedPermit<Result<DriveResponse, Status>>>,
    last_sent: Instant,
}

impl Down {
    pub(super) fn open() -> (Self, Responses) {
        let (queue, responses) = mpsc::channel(OUTBOX + 1);
        let last_word = queue.clone().try_reserve_owned().expect("a new channel has room");
        let down = Self { queue, last_word: Some(last_word), last_sent: Instant::now() };
        (down, ReceiverStream::new(responses))
    }

    /// Ends the stream; what is queued still goes out before.
    pub(super) fn end(mut self, ending: Result<(), Status>) {
        self.say_last(ending);
    }

    fn say_last(&mut self, ending: Result<(), Status>) {
        if let (Some(last_word), Err(status)) = (self.last_word.take(), ending) {
            last_word.send(Err(status));
        }
    }

    /// Once the driver's connection is gone.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    pub(super) fn last_sent(&self) -> Instant {
        self.last_sent
    }

    pub(super) fn signed_on(&mut self, car_number: u32, ride: Option<RideId>) -> Result<(), Status> {
        let ride_id = ride.map(|ride| ride.to_string()).unwrap_or_default();
        self.send(Message::SignedOn(down::SignedOn { car_number, ride_id }))
    }

    /// Tells the driver; [`Order::Superseded`] is a status and not a message.
    pub(super) fn order(&mut self, order: Order) -> Result<(), Status> {
        let message = match order {
            Order::Offer(offer) => Message::Offer(wire_offer(&offer)),
            Order::OfferWithdrawn { ride, reason } => {
                Message::OfferWithdrawn(down::OfferWithdrawn { ride_id: ride.to_string(), reason })
            }
            Order::Assignment(ride) => {
                Message::Assignment(down::Assignment { ride: Some(convert::ride(&ride)) })
            }
            Order::RideWithdrawn { ride, reason } => {
                Message::RideWithdrawn(down::RideWithdrawn { ride_id: ride.to_string(), reason })
            }
            Order::Update(ride) => Message::Update(down::RideUpdate { ride: Some(convert::ride(&ride)) }),
            Order::Superseded => return Err(signed_on_elsewhere()),
        };
        self.send(message)
    }

    /// Answers a message that could not be applied.
    pub(super) fn refused(&mut self, ride_id: &str, why: &Status) -> Result<(), Status> {
        self.send(Message::Refused(down::Refused {
            ride_id: ride_id.to_owned(),
            code: why.code().into(),
            reason: why.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
            message: why.message().to_owned(),
        }))
    }

    pub(super) fn heartbeat(&mut self) -> Result<(), Status> {
        self.send(Message::Heartbeat(v1::Heartbeat { time: Some(SystemTime::now().into()) }))
    }

    /// Never waits: a driver who does not read is cut, not queued for.
    fn send(&mut self, message: Message) -> Result<(), Status> {
        self.last_sent = Instant::now();
        let response = DriveResponse { message: Some(message) };
        self.queue.try_send(Ok(response)).map_err(|unsent| match unsent {
            TrySendError::Full(_) => not_reading(),
            TrySendError::Closed(_) => gone(),
        })
    }
}

/// Whoever was to end it has panicked, which is on stderr already. A stream that just stops would read as OK.
impl Drop for Down {
    fn drop(&mut self) {
        self.say_last(Err(status::failed()));
    }
}

/// The end of a driver who is not there to hear it.
pub(super) fn gone() -> Status {
    Status::cancelled("the driver is gone")
}

/// The end of a driver who lets messages pile up.
pub(super) fn not_reading() -> Status {
    let text = format!("{OUTBOX} messages were waiting to be read");
    status::too_slow("DRIVER_TOO_SLOW", text)
}

fn signed_on_elsewhere() -> Status {
    let message = "the car has signed on with a newer connection";
    status::with_reason(Code::Aborted, "SIGNED_ON_ELSEWHERE", message)
}

fn wire_offer(Offer { ride, pickup_eta, expires_at }: &Offer) -> down::Offer {
    let booking = &ride.booking;
    let dropoff = booking.dropoff.as_ref();
    down::Offer {
        ride_id: ride.id.as_str().to_owned(),
        pickup: Some(booking.pickup.at.into()),
        dropoff: dropoff.map(|stop| stop.at.into()),
        pickup_name: booking.pickup.name.clone(),
        dropoff_name: dropoff.map(|stop| stop.name.clone()).unwrap_or_default(),
        r#type: convert::ride_type(booking.kind).into(),
        fare: Some(convert::money(ride.figures.fare)),
        pickup_eta: Some(convert::duration(*pickup_eta)),
        expires_at: Some((*expires_at).into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_no_good_end() {
        let (down, mut responses) = Down::open();
        let task = tokio::spawn(async move {
            let _down = down;
            panic!("on purpose");
        });
        let last = responses.next().await.expect("the last word").expect_err("a status");
        assert_eq!(last.code(), Code::Internal);
        assert!(responses.next().await.is_none());
        assert!(task.await.is_err());
    }

    #[tokio::test]
    async fn a_good_end_says_nothing_more() {
        let (down, mut responses) = Down::open();
        down.end(Ok(()));
        assert!(responses.next().await.is_none());
    }

    #[tokio::test]
    async fn who_reads_nothing_is_told_so_at_last() {
        let (mut down, mut responses) = Down::open();
        let ending = loop {
            if let Err(status) = down.heartbeat() {
                break status;
            }
        };
        down.end(Err(ending));
        for _ in 0..OUTBOX {
            assert!(responses.next().await.is_some_and(|response| response.is_ok()));
        }
        let last = responses.next().await.expect("the last word").expect_err("a status");
        assert_eq!(last.code(), Code::ResourceExhausted);
        assert!(responses.next().await.is_none());
    }
}
