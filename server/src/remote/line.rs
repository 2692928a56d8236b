//! A car's end of `Fleet.Drive`.

use std::time::Duration;

use rides_proto::v1::{
    DriveRequest, DriveResponse,
    drive_request::{Message, SignOff, SignOn},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// What may wait to be sent.
const OUTBOX: usize = 16;
/// How long a car that signs off waits for the server to hear it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is said on a line that is not open yet.
pub struct Outbox(mpsc::Sender<DriveRequest>);

impl Outbox {
    /// With the sign-on, and the requests that a call begins with.
    pub fn new(sign_on: SignOn) -> (Self, ReceiverStream<DriveRequest>) {
        let (outbox, requests) = mpsc::channel(OUTBOX);
        // There is room for one.
        outbox.try_send(request(Message::SignOn(sign_on))).ok();
        (Self(outbox), ReceiverStream::new(requests))
    }

    /// Once the call is open.
    pub fn open(self, answers: Streaming<DriveResponse>) -> Line {
        Line { outbox: self.0, answers }
    }
}

/// An open stream between a car and the server.
pub struct Line {
    outbox: mpsc::Sender<DriveRequest>,
    answers: Streaming<DriveResponse>,
}

impl Line {
    /// Says something once there is room. Why a stream is closed is the last of its answers.
    pub async fn say(&self, message: Message) {
        self.outbox.send(request(message)).await.ok();
    }

    /// What the server says next; or how it ended the stream, which is UNAVAILABLE even if it did so in peace.
    pub async fn hear(&mut self) -> Result<DriveResponse, Status> {
        self.answers.message().await?.ok_or_else(|| Status::unavailable("the server ended the stream"))
    }

    /// Says the last word, and waits until the server has ended the stream, which it does when it has read it.
    pub async fn sign_off(mut self) -> Result<(), Status> {
        self.say(Message::SignOff(SignOff {})).await;
        let end = async {
            while self.answers.message().await?.is_some() {}
            Ok(())
        };
        timeout(GOODBYE, end).await.unwrap_or(Ok(()))
    }
}

fn request(message: Message) -> DriveRequest {
    DriveRequest { message: Some(message) }
}
