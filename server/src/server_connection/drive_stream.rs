//! The client side of a `Fleet.Drive` stream.

use std::time::Duration;

use rides_proto::v1::{
    DriveRequest, DriveResponse,
    drive_request::{Message, SignOff, SignOn},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// The capacity of the queue of requests.
const OUTBOX: usize = 16;
/// The timeout for the server's end of the stream after a sign-off.
const SIGN_OFF_TIMEOUT: Duration = Duration::from_secs(2);

/// The request side of a stream that is not open yet.
pub struct DriveSender(mpsc::Sender<DriveRequest>);

impl DriveSender {
    /// Returns the sender with `sign_on` queued, and the stream of requests for the call.
    pub fn new(sign_on: SignOn) -> (Self, ReceiverStream<DriveRequest>) {
        let (outbox, requests) = mpsc::channel(OUTBOX);
        // This cannot fail: the queue is empty.
        outbox.try_send(request(Message::SignOn(sign_on))).ok();
        (Self(outbox), ReceiverStream::new(requests))
    }

    /// Adds the response side when the call is open.
    pub fn open(self, responses: Streaming<DriveResponse>) -> DriveStream {
        DriveStream { outbox: self.0, answers: responses }
    }
}

/// An open stream between a car and the server.
pub struct DriveStream {
    outbox: mpsc::Sender<DriveRequest>,
    answers: Streaming<DriveResponse>,
}

impl DriveStream {
    /// Sends a request, and waits for room in the queue. If the stream is closed, the request is dropped, and
    /// [`Self::hear`] returns the reason.
    pub async fn send(&self, message: Message) {
        self.outbox.send(request(message)).await.ok();
    }

    /// Returns the next response.
    ///
    /// # Errors
    /// The status that ended the stream, or UNAVAILABLE if the server ended it with OK.
    pub async fn receive(&mut self) -> Result<DriveResponse, Status> {
        self.answers.message().await?.ok_or_else(|| Status::unavailable("the server ended the stream"))
    }

    /// Signs off, and waits until the server has ended the stream, for at most `SIGN_OFF_TIMEOUT`.
    ///
    /// # Errors
    /// The status, if the stream ended with an error.
    pub async fn sign_off(mut self) -> Result<(), Status> {
        self.send(Message::SignOff(SignOff {})).await;
        let end = async {
            while self.answers.message().await?.is_some() {}
            Ok(())
        };
        timeout(SIGN_OFF_TIMEOUT, end).await.unwrap_or(Ok(()))
    }
}

fn request(message: Message) -> DriveRequest {
    DriveRequest { message: Some(message) }
}
