//! A car that a test drives by hand over gRPC, so that the test decides when each event of a ride happens.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rides_proto::v1::{
    DriveRequest, DriveResponse, Location, RideState,
    drive_request::{self as up, Message as Up},
    drive_response::{Message as Down, Offer},
    fleet_client::FleetClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::server::{channel, request_with_token};

/// The time within which the server must send the next message to the driver.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The client side of a `Fleet.Drive` stream. Dropping it closes the stream without a sign-off.
pub struct Driver {
    up: mpsc::Sender<DriveRequest>,
    down: Streaming<DriveResponse>,
    /// The id of the ride that the driver was offered or has. Empty before the first offer.
    ride: String,
}

impl Driver {
    /// Signs a car on in the middle of the city, without a token.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn signs_on(server: SocketAddr, car_id: i64) -> Result<Self> {
        Self::signs_on_with(server, car_id, None).await
    }

    /// Signs a car on as the driver `driver-CAR_ID`, with that driver's token if there is one.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn signs_on_with(server: SocketAddr, car_id: i64, token: Option<&str>) -> Result<Self> {
        Self::signs_on_as(server, car_id, format!("driver-{car_id}"), token).await
    }

    /// Signs a car on as the driver `driver_id`.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn signs_on_as(
        server: SocketAddr,
        car_id: i64,
        driver_id: String,
        token: Option<&str>,
    ) -> Result<Self> {
        let (up, requests) = mpsc::channel(8);
        let mut client = FleetClient::new(channel(server).await?);
        let stream = request_with_token(ReceiverStream::new(requests), token)?;
        let down = client.drive(stream).await?.into_inner();
        let mut driver = Self { up, down, ride: String::new() };
        let location = Some(Location { lat: 60.17, lng: 24.94 });
        driver.send(Up::SignOn(up::SignOn { car_id, driver_id, location })).await?;
        match driver.next_message().await? {
            Down::SignedOn(_) => Ok(driver),
            other => bail!("the first message is not signed_on: {other:?}"),
        }
    }

    /// Returns the id of the ride that the driver was offered or has.
    pub fn ride(&self) -> &str {
        &self.ride
    }

    /// Waits for an offer, and reports the pickup as the car's position at once.
    ///
    /// # Errors
    /// When another message comes.
    pub async fn is_offered(&mut self) -> Result<()> {
        let Down::Offer(Offer { ride_id, pickup, .. }) = self.next_message().await? else {
            bail!("the driver got no offer")
        };
        self.ride = ride_id;
        self.send(Up::Position(up::Position { location: pickup, ..Default::default() })).await
    }

    /// Declines the offer. Dispatch then offers the ride to another car.
    ///
    /// # Errors
    /// When the stream has ended.
    pub async fn declines(&self) -> Result<()> {
        self.send(Up::Decline(up::DeclineOffer { ride_id: self.ride.clone() })).await
    }

    /// Accepts the offer, and waits for the assignment.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn accepts(&mut self) -> Result<()> {
        self.send(Up::Accept(up::AcceptOffer { ride_id: self.ride.clone() })).await?;
        self.has_ride().await
    }

    /// Waits for an assignment: after accepting an offer, or after signing on again.
    ///
    /// # Errors
    /// When another message comes.
    pub async fn has_ride(&mut self) -> Result<()> {
        let Down::Assignment(assignment) = self.next_message().await? else {
            bail!("the driver got no assignment")
        };
        self.ride = assignment.ride.context("an assignment without a ride")?.ride_id;
        Ok(())
    }

    /// Gives the ride back to dispatch.
    ///
    /// # Errors
    /// When the stream has ended.
    pub async fn gives_back(&self) -> Result<()> {
        let reason = "a flat tyre".to_owned();
        self.send(Up::GiveBack(up::GiveBack { ride_id: self.ride.clone(), reason })).await
    }

    /// Reports that the car is at the pickup.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn arrives(&mut self) -> Result<()> {
        self.send(Up::Arrive(up::Arrive { ride_id: self.ride.clone() })).await?;
        self.hears_of(RideState::Arrived).await
    }

    /// Begins the trip.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn picks_up(&mut self) -> Result<()> {
        self.send(Up::PickUp(up::PickUp { ride_id: self.ride.clone() })).await?;
        self.hears_of(RideState::OnTrip).await
    }

    /// Ends the trip. The car does not move: the trip ends where it began.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drops_off(&mut self) -> Result<()> {
        self.send(Up::DropOff(up::DropOff { ride_id: self.ride.clone() })).await?;
        self.hears_of(RideState::Completed).await
    }

    async fn send(&self, message: Up) -> Result<()> {
        self.up.send(DriveRequest { message: Some(message) }).await.context("the driver's stream has ended")
    }

    /// Returns the next message that is not a heartbeat.
    async fn next_message(&mut self) -> Result<Down> {
        let message = async {
            loop {
                let response = self.down.message().await?.context("the driver's stream has ended")?;
                match response.message.context("an empty message")? {
                    Down::Heartbeat(_) => {}
                    message => return Ok(message),
                }
            }
        };
        timeout(MESSAGE_TIMEOUT, message).await.context("the driver got no message in time")?
    }

    async fn hears_of(&mut self, state: RideState) -> Result<()> {
        let message = self.next_message().await?;
        let Down::Update(update) = &message else { bail!("no update: {message:?}") };
        let is = update.ride.as_ref().map(|ride| ride.state());
        ensure!(is == Some(state), "the ride is {is:?}, not {state:?}");
        Ok(())
    }
}
