//! The simulated fleet and its riders, which are ordinary gRPC clients of the public port.
//!
//! Nothing here uses the state of the server. `motion` and `driver` are pure and decide the behaviour of a car.
//! `cars` and `riders` make the calls.

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
pub use crate::server_connection::Server;
use crate::server_connection::backoff;

/// The number of cars, or of riders, per connection. It is well below the usual limits of concurrent HTTP/2 streams.
const CLIENTS_PER_CONNECTION: u32 = 100;

/// The options of a simulation.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// The number of cars.
    pub cars: u32,
    /// The id of the first car. The ids of the others follow it.
    pub first_car: i64,
    /// The average number of bookings per simulated minute.
    pub riders_per_minute: f64,
    /// The ratio of simulated time to real time.
    pub speed: f64,
    /// The seed of all random decisions.
    pub seed: u64,
    /// The tokens of cars and riders.
    pub credentials: Credentials,
}

/// Simulates until `shutdown`, and then signs off all cars. If the server is unavailable, cars retry without a limit.
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
            tracing::error!(%error, "a simulated client panicked");
        }
    }
}
