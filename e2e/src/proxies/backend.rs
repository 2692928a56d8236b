//! The server behind the proxies. Its cars move and take no rides, so that a ride waits until a test cancels it.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use futures_util::{StreamExt as _, stream};
use rides_proto::v1::{BookRequest, CancelRequest, Location, TrackRequest, rides_client::RidesClient};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::interval};
use tokio_stream::wrappers::IntervalStream;
use tonic::transport::Channel;

use crate::server::{ANY_PORT, RidesServer, channel, request_with_token, token};

/// The number of cars that move.
const CARS: i64 = 20;

/// The time between two positions of a car: one tick of the server.
const STEP: Duration = Duration::from_millis(250);

/// The centre of the cars' circles, and the pickup of rides.
const CENTRE: Location = Location { lat: 60.1695, lng: 24.9405 };
const ELSEWHERE: Location = Location { lat: 60.1665, lng: 24.9475 };

/// A running server that requires tokens. It is killed when it is dropped, and its cars stop.
pub struct Backend {
    server: RidesServer,
    token: String,
    cars: Option<JoinHandle<Result<()>>>,
    _data: TempDir,
}

impl Backend {
    /// Starts a server with the flags that `docs/deploy.md` recommends behind a proxy, and with `flags`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(flags: &[&str], log: &Path) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let data_dir = data.path().to_str().context("the path of the data directory is not UTF-8")?;
        let own = ["--cars", "0", "--auth", "required", "--data-dir", data_dir];
        let flags: Vec<String> = own.iter().chain(flags).map(ToString::to_string).collect();
        let server = RidesServer::start(ANY_PORT, &flags, log).await?;
        let token = token(data.path(), &["--role", "dispatcher", "--subject", "eve"]).await?;
        Ok(Self { server, token, cars: None, _data: data })
    }

    /// Starts cars that report their positions until the server is dropped.
    #[must_use]
    pub fn with_cars(mut self) -> Self {
        self.cars = Some(tokio::spawn(drive(self.address(), self.token.clone())));
        self
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns a dispatcher's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Books a ride without the proxy, and returns its id.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn book(&self) -> Result<String> {
        let request = BookRequest {
            request_id: format!("{:032x}", fastrand::u128(..)),
            pickup: Some(CENTRE),
            dropoff: Some(ELSEWHERE),
            rider_id: "aino".to_owned(),
            ..Default::default()
        };
        let booked =
            self.rides().await?.book(request_with_token(request, Some(&self.token))?).await?.into_inner();
        Ok(booked.ride.context("a Book response without a ride")?.ride_id)
    }

    /// Cancels a ride without the proxy.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn cancel(&self, ride_id: &str) -> Result<()> {
        let request = CancelRequest { ride_id: ride_id.to_owned(), ..Default::default() };
        self.rides().await?.cancel(request_with_token(request, Some(&self.token))?).await?;
        Ok(())
    }

    async fn rides(&self) -> Result<RidesClient<Channel>> {
        Ok(RidesClient::new(channel(self.address()).await?))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(cars) = &self.cars {
            cars.abort();
        }
    }
}

/// Reports positions until the task is aborted.
async fn drive(server: SocketAddr, token: String) -> Result<()> {
    let steps = IntervalStream::new(interval(STEP)).enumerate();
    let positions = steps.flat_map(|(step, _)| stream::iter((1..=CARS).map(move |car| position(car, step))));
    RidesClient::new(channel(server).await?).track(request_with_token(positions, Some(&token))?).await?;
    Ok(())
}

/// Returns the position of a car on its circle around the centre.
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
pub(super) fn position(car_id: i64, step: usize) -> TrackRequest {
    let angle = car_id as f64 + step as f64 / 40.0;
    let (north, east) = angle.sin_cos();
    let location = Location { lat: CENTRE.lat + 0.004 * north, lng: CENTRE.lng + 0.008 * east };
    TrackRequest { car_id, time: None, location: Some(location) }
}
