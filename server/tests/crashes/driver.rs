//! A driver that accepts every offer, arrives at once, and signs on again when its stream breaks.

use std::sync::Arc;

use rides_proto::v1::{
    DriveRequest, DriveResponse, Ride, RideState,
    drive_request::{AcceptOffer, Arrive, DropOff, Message as Up, PickUp, SignOn},
    drive_response::Message as Down,
    fleet_client::FleetClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{Ledger, StormReceiver};
use crate::harness::village::corner;

pub(crate) struct Driver {
    car_id: i64,
    channel: Channel,
    weather: StormReceiver,
    ledger: Arc<Ledger>,
}

/// Both halves of a stream.
struct Drive {
    up: mpsc::Sender<DriveRequest>,
    down: Streaming<DriveResponse>,
}

impl Driver {
    pub(crate) fn new(car_id: i64, channel: Channel, weather: StormReceiver, ledger: Arc<Ledger>) -> Self {
        Self { car_id, channel, weather, ledger }
    }

    /// Drives until the task is dropped.
    pub(crate) async fn drives(mut self) {
        loop {
            let (channel, car_id) = (&self.channel, self.car_id);
            match self.weather.retry_until_response(|| signs_on(channel, car_id)).await.outcome {
                Ok(drive) => self.works(drive).await,
                Err(status) => {
                    return self.ledger.record_broken("refused", format!("car {car_id}: {status}"));
                }
            }
        }
    }

    /// Responds to messages until the stream breaks.
    async fn works(&self, mut drive: Drive) {
        while let Ok(Some(response)) = drive.down.message().await {
            let Some(next) = response.message.and_then(|message| self.answers(message)) else { continue };
            if drive.up.send(DriveRequest { message: Some(next) }).await.is_err() {
                return;
            }
        }
    }

    fn answers(&self, message: Down) -> Option<Up> {
        match message {
            Down::Offer(offer) => Some(Up::Accept(AcceptOffer { ride_id: offer.ride_id })),
            Down::Assignment(assignment) => self.goes_on(&assignment.ride?),
            Down::Update(update) => self.goes_on(&update.ride?),
            _ => None,
        }
    }

    /// Returns the next command for a ride of this car.
    fn goes_on(&self, ride: &Ride) -> Option<Up> {
        self.ledger.record_response(0, ride);
        let ride_id = ride.ride_id.clone();
        match ride.state() {
            RideState::Assigned => Some(Up::Arrive(Arrive { ride_id })),
            RideState::Arrived => Some(Up::PickUp(PickUp { ride_id })),
            RideState::OnTrip => Some(Up::DropOff(DropOff { ride_id })),
            _ => None,
        }
    }
}

async fn signs_on(channel: &Channel, car_id: i64) -> Result<Drive, Status> {
    let (up, requests) = mpsc::channel(16);
    let driver_id = format!("driver-{car_id}");
    let sign_on = Up::SignOn(SignOn { car_id, driver_id, location: Some(corner(1, 1)) });
    // The channel has room for the first message, so that this does not wait.
    let _ = up.send(DriveRequest { message: Some(sign_on) }).await;
    let mut client = FleetClient::new(channel.clone());
    let down = client.drive(ReceiverStream::new(requests)).await?.into_inner();
    Ok(Drive { up, down })
}
