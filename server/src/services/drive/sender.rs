//! The outgoing half of a driver's stream: a short queue, with one slot reserved for the final status.

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
    fleet::{ORDER_QUEUE, Offer, Order},
    services::{convert, status},
};

pub(super) type Responses = ReceiverStream<Result<DriveResponse, Status>>;

/// The sender of messages to one driver.
pub(super) struct DriverSender {
    queue: mpsc::Sender<Result<DriveResponse, Status>>,
    /// The slot for the final status, reserved so that it can be sent even if the driver reads nothing. `None` after
    /// the stream has ended.
    final_status_permit: Option<OwnedPermit<Result<DriveResponse, Status>>>,
    last_sent: Instant,
}

impl DriverSender {
    /// Makes a sender, and the stream of the messages that it sends.
    pub(super) fn open() -> (Self, Responses) {
        let (queue, responses) = mpsc::channel(ORDER_QUEUE + 1);
        let last_word = queue.clone().try_reserve_owned().expect("a new channel has room");
        let down = Self { queue, final_status_permit: Some(last_word), last_sent: Instant::now() };
        (down, ReceiverStream::new(responses))
    }

    /// Ends the stream. Messages in the queue are still sent before the status.
    pub(super) fn end(mut self, ending: Result<(), Status>) {
        self.send_final_status(ending);
    }

    fn send_final_status(&mut self, ending: Result<(), Status>) {
        if let (Some(last_word), Err(status)) = (self.final_status_permit.take(), ending) {
            last_word.send(Err(status));
        }
    }

    /// Returns when the driver's connection has closed.
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

    /// Sends an order of the fleet. [`Order::Superseded`] has no message: it fails with the final status of the stream.
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

    /// Tells the driver that a message of theirs was refused.
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

    /// Sends a message without waiting. Fails with the final status of the stream if the queue is full: a driver that
    /// does not read is disconnected.
    fn send(&mut self, message: Message) -> Result<(), Status> {
        self.last_sent = Instant::now();
        let response = DriveResponse { message: Some(message) };
        self.queue.try_send(Ok(response)).map_err(|unsent| match unsent {
            TrySendError::Full(_) => not_reading(),
            TrySendError::Closed(_) => gone(),
        })
    }
}

/// Ends the stream with INTERNAL if [`Down::end`] was not called, because the task has panicked. A stream that ends
/// without a status would read as OK. The panic itself is in the log.
impl Drop for DriverSender {
    fn drop(&mut self) {
        self.send_final_status(Err(status::failed()));
    }
}

/// Makes the final status of a stream whose connection has closed.
pub(super) fn gone() -> Status {
    Status::cancelled("the driver's connection has closed")
}

/// Makes the final status of a stream whose driver does not read.
pub(super) fn not_reading() -> Status {
    let text = format!("the driver does not read: {ORDER_QUEUE} messages are waiting; open a new stream");
    status::too_slow("DRIVER_TOO_SLOW", text)
}

fn signed_on_elsewhere() -> Status {
    let message = "the car has signed on with a newer stream";
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
        let (down, mut responses) = DriverSender::open();
        let task = tokio::spawn(async move {
            let _down = down;
            panic!("on purpose");
        });
        let last = responses.next().await.expect("the final status").expect_err("a status");
        assert_eq!(last.code(), Code::Internal);
        assert!(responses.next().await.is_none());
        assert!(task.await.is_err());
    }

    #[tokio::test]
    async fn a_good_end_says_nothing_more() {
        let (down, mut responses) = DriverSender::open();
        down.end(Ok(()));
        assert!(responses.next().await.is_none());
    }

    #[tokio::test]
    async fn who_reads_nothing_is_told_so_at_last() {
        let (mut down, mut responses) = DriverSender::open();
        let ending = loop {
            if let Err(status) = down.heartbeat() {
                break status;
            }
        };
        down.end(Err(ending));
        for _ in 0..ORDER_QUEUE {
            assert!(responses.next().await.is_some_and(|response| response.is_ok()));
        }
        let last = responses.next().await.expect("the final status").expect_err("a status");
        assert_eq!(last.code(), Code::ResourceExhausted);
        assert!(responses.next().await.is_none());
    }
}
