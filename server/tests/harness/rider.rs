//! A rider over gRPC or gRPC-Web: `rider.books("key").await`.

use rides_proto::v1::{self, RideEvent, watch_response::Message};
use tonic::Status;

use super::{
    places::place,
    soon,
    wire::{Messages, Wire},
};

/// A client of `rides.v1.Rides` with the calls that a rider makes.
#[derive(Clone, Debug)]
pub(crate) struct Rider(pub(crate) Wire);

/// A valid booking from place 1 to place 2 with this request id.
pub(crate) fn booking(request_id: &str) -> v1::BookRequest {
    v1::BookRequest {
        request_id: request_id.into(),
        pickup: Some(place(1)),
        dropoff: Some(place(2)),
        rider_id: "ada".into(),
        ..Default::default()
    }
}

impl Rider {
    pub(crate) async fn quote(&self, request: v1::QuoteRequest) -> Result<v1::QuoteResponse, Status> {
        self.0.ask("/rides.v1.Rides/Quote", request).await
    }

    pub(crate) async fn book(&self, request: v1::BookRequest) -> Result<v1::Ride, Status> {
        let answer: v1::BookResponse = self.0.ask("/rides.v1.Rides/Book", request).await?;
        Ok(answer.ride.unwrap())
    }

    /// Books a ride from place 1 to place 2. The booking must succeed.
    pub(crate) async fn books(&self, request_id: &str) -> v1::Ride {
        self.book(booking(request_id)).await.unwrap()
    }

    pub(crate) async fn cancel(&self, ride_id: &str) -> Result<v1::Ride, Status> {
        let request = v1::CancelRequest { ride_id: ride_id.into(), by: 0, reason: "a tram came".into() };
        let answer: v1::CancelResponse = self.0.ask("/rides.v1.Rides/Cancel", request).await?;
        Ok(answer.ride.unwrap())
    }

    pub(crate) async fn get(&self, ride_id: &str) -> Result<v1::Ride, Status> {
        let request = v1::GetRequest { ride_id: ride_id.into() };
        let answer: v1::GetResponse = self.0.ask("/rides.v1.Rides/Get", request).await?;
        Ok(answer.ride.unwrap())
    }

    pub(crate) async fn list(&self, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
        self.0.ask("/rides.v1.Rides/List", request).await
    }

    pub(crate) async fn start(&self, request: v1::StartRequest) -> Result<String, Status> {
        let answer: v1::StartResponse = self.0.ask("/rides.v1.Rides/Start", request).await?;
        Ok(answer.id)
    }

    pub(crate) async fn end(&self, request: v1::EndRequest) -> Result<v1::EndResponse, Status> {
        self.0.ask("/rides.v1.Rides/End", request).await
    }

    /// Watches a ride from its first event.
    pub(crate) async fn watches(&self, ride_id: &str) -> RideSubscription {
        self.resumes(ride_id, "", 0).await.unwrap()
    }

    /// Watches a ride from the event after version `after`.
    pub(crate) async fn resumes(
        &self,
        ride_id: &str,
        epoch: &str,
        after: u64,
    ) -> Result<RideSubscription, Status> {
        let request = v1::WatchRequest { ride_id: ride_id.into(), epoch: epoch.into(), after_version: after };
        let mut messages: Messages<v1::WatchResponse> = self.0.open("/rides.v1.Rides/Watch", request).await?;
        match messages.next().await.expect("the stream ended without a message")?.message {
            Some(Message::Opened(opened)) => Ok(RideSubscription { opened, messages }),
            other => panic!("the first message is not `opened`: {other:?}"),
        }
    }
}

/// A `Rides.Watch` stream after its first message.
pub(crate) struct RideSubscription {
    pub(crate) opened: v1::watch_response::Opened,
    messages: Messages<v1::WatchResponse>,
}

impl RideSubscription {
    /// Returns the next message, or `None` if the stream has ended with OK.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.try_next().await.transpose().unwrap()
    }

    async fn try_next(&mut self) -> Option<Result<Message, Status>> {
        let response = self.messages.next().await?;
        Some(response.map(|response| response.message.expect("a response without a message")))
    }

    /// Returns the next event, without progress and heartbeats.
    pub(crate) async fn event(&mut self) -> Option<RideEvent> {
        soon("the next event", self.try_event()).await.transpose().unwrap()
    }

    /// Returns the next event or the error that ended the stream, for a server that may shut down.
    pub(crate) async fn try_event(&mut self) -> Option<Result<RideEvent, Status>> {
        loop {
            match self.try_next().await? {
                Ok(Message::Event(event)) => return Some(Ok(event)),
                Ok(Message::Progress(_) | Message::Heartbeat(_)) => {}
                Ok(Message::Opened(_)) => panic!("opened twice"),
                Err(status) => return Some(Err(status)),
            }
        }
    }

    /// Reads the stream to its end and returns its error.
    pub(crate) async fn expect_error(self) -> Status {
        self.messages.expect_error().await
    }

    /// Returns all events up to the end of the stream, which must be OK.
    pub(crate) async fn events(mut self) -> Vec<RideEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// The versions of all events up to the end of the stream.
    pub(crate) async fn versions(self) -> Vec<u64> {
        self.events().await.iter().map(|event| event.version).collect()
    }
}
