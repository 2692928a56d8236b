//! The simulated fleet and its riders: gRPC clients of the public port, like any other.
//!
//! Nothing here touches the server's state. `motion` and `driver` are pure and decide what a car does;
//! `cars` and `riders` carry that over the wire.

mod cars;
mod credentials;
mod driver;
mod motion;
mod riders;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use self::credentials::Credentials;
use crate::city::City;
pub use crate::remote::Server;
use crate::remote::backoff;

/// Cars, and riders, on one connection: well under the streams that servers commonly allow on one.
const CLIENTS_PER_CONNECTION: u32 = 100;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// How many cars drive.
    pub cars: u32,
    /// The id of the first car; the others count up from it.
    pub first_car: i64,
    /// New bookings a minute, on average.
    pub riders_per_minute: f64,
    /// How much faster than life everything happens.
    pub speed: f64,
    /// The same seed makes the same decisions.
    pub seed: u64,
    /// What cars and riders show.
    pub credentials: Credentials,
}

/// Simulates until `shutdown`, then signs every car off. A server that is away is tried again for as long
/// as it takes.
pub async fn run(server: &Server, options: &SimOptions, city: &Arc<City>, shutdown: CancellationToken) {
    let connections = || -> Vec<Channel> {
        let count = options.cars / CLIENTS_PER_CONNECTION + 1;
        (0..count).map(|_| server.connect()).collect()
    };
    let mut tasks = JoinSet::new();
    let for_cars = connections();
    for (index, channel) in (0..options.cars).zip(for_cars.iter().cycle()) {
        tasks.spawn(cars::drive(index, channel.clone(), options.clone(), city.clone(), shutdown.clone()));
    }
    tasks.spawn(riders::book(connections(), options.clone(), city.clone(), shutdown));
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done {
            tracing::error!(%error, "a simulated client stopped");
        }
    }
}
