//! The client of a simulated car: one `Fleet.Drive` stream, which is opened again when it breaks.

use std::{sync::Arc, time::Duration};

use rand::{SeedableRng as _, rngs::SmallRng};
use rides_proto::v1::{self, drive_request as up, drive_response::Message as Down};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

use super::{Credentials, SimOptions, backoff, driver::Driver, motion::Pose};
use crate::{city::City, server_connection::DriveSender};

/// The interval between two positions.
const REPORT_EVERY: Duration = Duration::from_millis(250);

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
        // The cars are spread over the interval, so that their positions do not arrive in bursts.
        phase: REPORT_EVERY * index / options.cars.max(1),
        credentials: options.credentials,
    };
    let mut attempt = 0;
    while !shutdown.is_cancelled() {
        let mut signed_on = false;
        match car.work(channel.clone(), &mut signed_on, &shutdown).await {
            Ok(()) => return,
            Err(status) if status.code() == Code::Aborted => {
                tracing::warn!(car = car.id, "a simulated car stopped, because its id signed on elsewhere");
                return;
            }
            Err(status) => {
                attempt = if signed_on { 1 } else { attempt + 1 };
                // Only the first car logs it, because all cars share the server.
                if index == 0 && attempt == 1 {
                    tracing::warn!(%status, "simulated cars failed to reach the server; retrying");
                }
                tracing::debug!(car = car.id, attempt, %status, "a simulated car lost its stream");
                tokio::select! {
                    () = tokio::time::sleep(backoff(attempt, &status, &mut rng)) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }
}

/// A car with the connection to its server.
struct Car {
    id: i64,
    driver: Driver,
    began: Instant,
    /// The ratio of simulated time to real time.
    speed: f64,
    /// The delay of the first position after sign-on.
    phase: Duration,
    credentials: Credentials,
}

impl Car {
    /// Returns the simulated seconds since the start of the car.
    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * self.speed
    }

    /// Opens one stream and serves it to its end. Returns `Ok` at shutdown, after the sign-off. Sets `signed_on` when
    /// the server has accepted the sign-on.
    async fn work(
        &mut self,
        channel: Channel,
        signed_on: &mut bool,
        shutdown: &CancellationToken,
    ) -> Result<(), Status> {
        let at = self.driver.pose(self.now()).at;
        let driver_id = format!("sim-{}", self.id);
        let sign_on = up::SignOn { car_id: self.id, driver_id: driver_id.clone(), location: Some(at.into()) };
        let (outbox, requests) = DriveSender::new(sign_on);
        let request = self.credentials.of_driver(requests, &driver_id, self.id).await?;
        let mut client = v1::fleet_client::FleetClient::new(channel);
        let mut line = tokio::select! {
            answers = client.drive(request) => outbox.open(answers?.into_inner()),
            () = shutdown.cancelled() => return Ok(()),
        };
        let mut reports = interval_at(Instant::now() + self.phase, REPORT_EVERY);
        reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = reports.tick() => {
                    let now = self.now();
                    let (pose, said) = self.driver.step(now);
                    line.send(position(pose, self.speed)).await;
                    for message in said {
                        line.send(message).await;
                    }
                }
                answer = line.receive() => if let Some(message) = answer?.message {
                    *signed_on |= matches!(message, Down::SignedOn(_));
                    let now = self.now();
                    self.driver.handle(message, now);
                },
                () = shutdown.cancelled() => return line.sign_off().await,
            }
        }
    }
}

fn position(pose: Pose, speed: f64) -> up::Message {
    up::Message::Position(up::Position {
        location: Some(pose.at.into()),
        heading_deg: Some(pose.heading_deg),
        speed_mps: Some(pose.speed_mps * speed),
        time: None,
    })
}
