//! A simulated car on the wire: one `Fleet.Drive` stream for its working day, opened again when it breaks.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use rides_proto::{
    geo::LatLng,
    ids::RideId,
    v1::{self, DriveRequest, DriveResponse, drive_request as up, drive_response as down},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{
    Credentials, SimOptions, backoff,
    driver::{Driver, Heard, Said, Stage},
};
use crate::city::City;

/// Positions go out this often.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// How long a car that signs off waits for the server to hear it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Drives car number `index` until `shutdown`.
pub(super) async fn drive(
    index: u32,
    channel: Channel,
    options: SimOptions,
    city: Arc<City>,
    shutdown: CancellationToken,
) {
    let mut rng = SmallRng::seed_from_u64(options.seed.wrapping_add(u64::from(index) + 1));
    let driver = Driver::new(city, SmallRng::from_rng(&mut rng), 0.0);
    let mut car = Car {
        id: options.first_car + i64::from(index),
        driver,
        began: Instant::now(),
        speed: options.speed,
        // Spread over the interval, so that positions come as a stream and not in bursts.
        phase: REPORT_EVERY * index / options.cars.max(1),
        credentials: options.credentials,
    };
    let mut attempt = 0;
    while !shutdown.is_cancelled() {
        let mut signed_on = false;
        match car.work(channel.clone(), &mut signed_on, &shutdown).await {
            Ok(()) => return,
            Err(status) if status.code() == Code::Aborted => {
                tracing::warn!(car = car.id, "signed on elsewhere; this car stops");
                return;
            }
            Err(status) => {
                attempt = if signed_on { 1 } else { attempt + 1 };
                // One car speaks for all: they share the server.
                if index == 0 && attempt == 1 {
                    tracing::warn!(%status, "no stream to the server; trying until there is one");
                }
                tracing::debug!(car = car.id, attempt, %status, "stream lost");
                tokio::select! {
                    () = tokio::time::sleep(backoff(attempt, &status, &mut rng)) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }
}

struct Car {
    id: i64,
    driver: Driver,
    began: Instant,
    speed: f64,
    phase: Duration,
    credentials: Credentials,
}

impl Car {
    /// Simulated seconds since this car's beginning.
    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * self.speed
    }

    /// One stream, from sign-on to its end. `Ok` when the car signed off; `signed_on` once it was let in.
    async fn work(
        &mut self,
        channel: Channel,
        signed_on: &mut bool,
        shutdown: &CancellationToken,
    ) -> Result<(), Status> {
        let (to_server, requests) = mpsc::channel(16);
        let at = self.driver.pose(self.now()).at;
        let driver_id = format!("sim-{}", self.id);
        let request = ReceiverStream::new(requests);
        let request = self.credentials.of_driver(request, &driver_id, self.id).await?;
        let sign_on = up::SignOn { car_id: self.id, driver_id, location: Some(at.into()) };
        say(&to_server, up::Message::SignOn(sign_on)).await?;
        let mut client = v1::fleet_client::FleetClient::new(channel);
        let mut answers = tokio::select! {
            answers = client.drive(request) => answers?.into_inner(),
            () = shutdown.cancelled() => return Ok(()),
        };
        let mut reports = interval_at(Instant::now() + self.phase, REPORT_EVERY);
        reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = reports.tick() => {
                    let now = self.now();
                    for said in self.driver.step(now) {
                        say(&to_server, message(said, self.speed)).await?;
                    }
                }
                answer = answers.message() => match answer? {
                    Some(answer) => {
                        let now = self.now();
                        if let Some(heard) = heard(answer) {
                            *signed_on |= heard == Heard::SignedOn;
                            self.driver.hear(heard, now);
                        }
                    }
                    None => return Err(Status::unavailable("the server ended the stream")),
                },
                () = shutdown.cancelled() => {
                    say(&to_server, up::Message::SignOff(up::SignOff {})).await?;
                    return heard_out(&mut answers).await;
                }
            }
        }
    }
}

/// Waits until the server has ended the stream, which it does when it has read the sign-off.
async fn heard_out(answers: &mut Streaming<DriveResponse>) -> Result<(), Status> {
    let end = async {
        while answers.message().await?.is_some() {}
        Ok(())
    };
    timeout(GOODBYE, end).await.unwrap_or(Ok(()))
}

async fn say(to_server: &mpsc::Sender<DriveRequest>, message: up::Message) -> Result<(), Status> {
    let request = DriveRequest { message: Some(message) };
    to_server.send(request).await.map_err(|_| Status::unavailable("the stream is closed"))
}

fn message(said: Said, speed: f64) -> up::Message {
    match said {
        Said::Position(pose) => up::Message::Position(up::Position {
            location: Some(pose.at.into()),
            heading_deg: Some(pose.heading_deg),
            speed_mps: Some(pose.speed_mps * speed),
            time: None,
        }),
        Said::Accept(ride) => up::Message::Accept(up::AcceptOffer { ride_id: ride.to_string() }),
        Said::Decline(ride) => up::Message::Decline(up::DeclineOffer { ride_id: ride.to_string() }),
        Said::Arrive(ride) => up::Message::Arrive(up::Arrive { ride_id: ride.to_string() }),
        Said::PickUp(ride) => up::Message::PickUp(up::PickUp { ride_id: ride.to_string() }),
        Said::DropOff(ride) => up::Message::DropOff(up::DropOff { ride_id: ride.to_string() }),
    }
}

/// What the driver makes of a message; nothing of heartbeats.
fn heard(answer: DriveResponse) -> Option<Heard> {
    match answer.message? {
        down::Message::SignedOn(_) => Some(Heard::SignedOn),
        down::Message::Offer(offer) => Some(Heard::Offer { ride: RideId::new(offer.ride_id) }),
        down::Message::Assignment(down::Assignment { ride }) => ride_heard(ride?),
        down::Message::Update(down::RideUpdate { ride }) => ride_heard(ride?),
        down::Message::OfferWithdrawn(gone) => Some(Heard::Gone { ride: RideId::new(gone.ride_id) }),
        down::Message::RideWithdrawn(gone) => Some(Heard::Gone { ride: RideId::new(gone.ride_id) }),
        down::Message::Refused(refused) => {
            tracing::debug!(ride = refused.ride_id, reason = refused.reason, "refused: {}", refused.message);
            Some(Heard::Gone { ride: RideId::new(refused.ride_id) })
        }
        down::Message::Heartbeat(_) => None,
    }
}

fn ride_heard(ride: v1::Ride) -> Option<Heard> {
    let stage = match ride.state() {
        v1::RideState::Assigned => Stage::ToPickup,
        v1::RideState::Arrived => Stage::AtPickup,
        v1::RideState::OnTrip => Stage::OnTrip,
        v1::RideState::Completed | v1::RideState::Cancelled | v1::RideState::Expired => Stage::Over,
        v1::RideState::Unspecified | v1::RideState::Requested | v1::RideState::Offered => return None,
    };
    let pickup = LatLng::try_from(ride.pickup?).ok()?;
    let dropoff = ride.dropoff.and_then(|location| LatLng::try_from(location).ok());
    Some(Heard::Ride { ride: RideId::new(ride.ride_id), stage, pickup, dropoff })
}
