//! A car that the test drives: `car(7).at(place(1)).signs_on(&server).await`.

use rides_proto::v1::{
    self, DriveRequest, DriveResponse, Location, RideState,
    drive_request::{self as up, Message as Up},
    drive_response::{Message as Down, Offer, Refused},
    fleet_client::FleetClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{Running, soon};

/// Returns car `id`, which has not signed on. Its driver is `driver-{id}`.
pub(crate) fn car(id: i64) -> CarBuilder {
    CarBuilder { id, driver: format!("driver-{id}"), at: None, token: None }
}

/// A car that has not signed on.
pub(crate) struct CarBuilder {
    id: i64,
    driver: String,
    at: Option<Location>,
    token: Option<String>,
}

impl CarBuilder {
    pub(crate) fn at(self, at: Location) -> Self {
        Self { at: Some(at), ..self }
    }

    /// Sets the id of the driver.
    pub(crate) fn of(self, driver: &str) -> Self {
        Self { driver: driver.to_owned(), ..self }
    }

    pub(crate) fn showing(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    pub(crate) async fn signs_on(self, server: &Running) -> Car {
        let mut car = Car::connects_with(server, self.token).await;
        let Self { id: car_id, driver: driver_id, at: location, .. } = self;
        car.says(Up::SignOn(up::SignOn { car_id, driver_id, location })).await;
        match car.hears().await {
            Down::SignedOn(signed_on) => {
                car.number = signed_on.car_number;
                car.ride = signed_on.ride_id;
            }
            other => panic!("signed_on comes first: {other:?}"),
        }
        car
    }
}

/// The driver's end of a `Fleet.Drive` stream. Dropping it closes the connection without a sign-off.
pub(crate) struct Car {
    /// The number of the car in fleet frames.
    pub(crate) number: u32,
    /// The id of the ride that the car had when it signed on; empty if it had none.
    pub(crate) ride: String,
    up: mpsc::Sender<DriveRequest>,
    down: Streaming<DriveResponse>,
}

impl Car {
    /// Opens the stream without signing on.
    pub(crate) async fn connects(server: &Running) -> Self {
        Self::connects_with(server, None).await
    }

    /// Opens the stream with a token and without signing on.
    pub(crate) async fn connects_with(server: &Running, token: Option<String>) -> Self {
        let (up, requests) = mpsc::channel(64);
        let mut client = FleetClient::new(server.channel().await);
        let mut request = Request::new(ReceiverStream::new(requests));
        let bearer = token.map(|token| format!("Bearer {token}").parse().unwrap());
        bearer.map(|bearer| request.metadata_mut().insert("authorization", bearer));
        let down = soon("headers", client.drive(request)).await.unwrap().into_inner();
        Self { number: 0, ride: String::new(), up, down }
    }

    pub(crate) async fn says(&self, message: Up) {
        self.up.send(DriveRequest { message: Some(message) }).await.expect("the stream has ended");
    }

    /// Returns the next message that is not a heartbeat.
    pub(crate) async fn hears(&mut self) -> Down {
        let message = async {
            loop {
                let response = self.down.message().await.unwrap().expect("the stream has ended");
                match response.message.expect("a response without a message") {
                    Down::Heartbeat(_) => {}
                    message => return message,
                }
            }
        };
        soon("a message for the driver", message).await
    }

    /// Reads the stream to its end and returns its status.
    pub(crate) async fn ends(mut self) -> Result<(), Status> {
        let end = async {
            while self.down.message().await?.is_some() {}
            Ok(())
        };
        soon("the end of the stream", end).await
    }

    /// Closes the sending half without a sign-off, and returns the status of the stream.
    pub(crate) async fn half_closes(mut self) -> Result<(), Status> {
        self.up = mpsc::channel(1).0;
        self.ends().await
    }

    pub(crate) async fn is_offered(&mut self, ride_id: &str) -> Offer {
        match self.hears().await {
            Down::Offer(offer) if offer.ride_id == ride_id => offer,
            other => panic!("not offered: {other:?}"),
        }
    }

    /// Reads the withdrawal of the offer or of the ride, and returns its reason.
    pub(crate) async fn loses(&mut self, ride_id: &str) -> String {
        let (id, reason) = match self.hears().await {
            Down::OfferWithdrawn(offer) => (offer.ride_id, offer.reason),
            Down::RideWithdrawn(ride) => (ride.ride_id, ride.reason),
            other => panic!("nothing withdrawn: {other:?}"),
        };
        assert_eq!(id, ride_id);
        reason
    }

    /// Reads the assignment of the ride to the car.
    pub(crate) async fn is_assigned(&mut self, ride_id: &str) -> v1::Ride {
        match self.hears().await {
            Down::Assignment(assignment) => assignment.ride.filter(|ride| ride.ride_id == ride_id).unwrap(),
            other => panic!("not assigned: {other:?}"),
        }
    }

    pub(crate) async fn is_refused(&mut self) -> Refused {
        match self.hears().await {
            Down::Refused(refused) => refused,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) async fn declines(&self, ride_id: &str) {
        self.says(Up::Decline(up::DeclineOffer { ride_id: ride_id.into() })).await;
    }

    pub(crate) async fn says_accept(&self, ride_id: &str) {
        self.says(Up::Accept(up::AcceptOffer { ride_id: ride_id.into() })).await;
    }

    pub(crate) async fn accepts(&mut self, ride_id: &str) {
        self.says_accept(ride_id).await;
        assert_eq!(self.is_assigned(ride_id).await.state(), RideState::Assigned);
    }

    /// Reads the offer of the ride and accepts it.
    pub(crate) async fn takes(&mut self, ride_id: &str) {
        self.is_offered(ride_id).await;
        self.accepts(ride_id).await;
    }

    pub(crate) async fn arrives(&mut self, ride_id: &str) {
        self.says(Up::Arrive(up::Arrive { ride_id: ride_id.into() })).await;
        self.hears_of(RideState::Arrived).await;
    }

    pub(crate) async fn picks_up(&mut self, ride_id: &str) {
        self.says(Up::PickUp(up::PickUp { ride_id: ride_id.into() })).await;
        self.hears_of(RideState::OnTrip).await;
    }

    pub(crate) async fn says_drop_off(&self, ride_id: &str) {
        self.says(Up::DropOff(up::DropOff { ride_id: ride_id.into() })).await;
    }

    pub(crate) async fn drops_off(&mut self, ride_id: &str) {
        self.says_drop_off(ride_id).await;
        self.hears_of(RideState::Completed).await;
    }

    pub(crate) async fn gives_back(&self, ride_id: &str) {
        let reason = "a flat tyre".into();
        self.says(Up::GiveBack(up::GiveBack { ride_id: ride_id.into(), reason })).await;
    }

    pub(crate) async fn reports(&self, at: Location) {
        self.says(Up::Position(up::Position { location: Some(at), ..Default::default() })).await;
    }

    pub(crate) async fn signs_off(self) {
        self.says(Up::SignOff(up::SignOff {})).await;
        self.ends().await.unwrap();
    }

    /// Reads an update, and returns the version and the state of the ride.
    pub(crate) async fn is_updated(&mut self) -> (u64, RideState) {
        match self.hears().await {
            Down::Update(update) => update.ride.map(|ride| (ride.version, ride.state())).unwrap(),
            other => panic!("no update: {other:?}"),
        }
    }

    async fn hears_of(&mut self, state: RideState) {
        match self.hears().await {
            Down::Update(update) => assert_eq!(update.ride.map(|ride| ride.state()), Some(state)),
            other => panic!("no update: {other:?}"),
        }
    }
}
