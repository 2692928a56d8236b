//! Simulated riders. Each books a ride, watches it to its end, and sometimes cancels it.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use rides_proto::v1::{self, rides_client::RidesClient, watch_response::Message};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

use super::{Credentials, SimOptions, backoff};
use crate::city::City;

/// The minimum distance of a ride, in metres.
const SHORTEST_M: f64 = 350.0;
/// The probability that a rider cancels after some time.
const CANCELS: f64 = 0.05;
/// The probability that a rider books a pool ride.
const SHARES: f64 = 0.25;
/// The deadline of a booking.
const DEADLINE: Duration = Duration::from_secs(10);
/// The number of times that a rider retries while the server is unavailable.
const ATTEMPTS: u32 = 6;
/// The names of riders: common first names in Finland.
const NAMES: [&str; 24] = [
    "Aino", "Eino", "Helmi", "Väinö", "Lilja", "Onni", "Venla", "Leo", "Eevi", "Oliver", "Sofia", "Elias",
    "Olivia", "Toivo", "Linnea", "Noel", "Ellen", "Hugo", "Saga", "Oiva", "Alma", "Vilho", "Hilla", "Nooa",
];

/// Books rides at random times until `shutdown`. The times are a Poisson process. Before it, the rides of about one
/// minute are booked in quick succession, so that the page shows rides from the start.
pub(super) async fn book(
    connections: Vec<Channel>,
    options: SimOptions,
    city: Arc<City>,
    shutdown: CancellationToken,
) {
    if options.riders_per_minute <= 0.0 {
        return;
    }
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let mut riders = JoinSet::new();
    let mut connections = connections.into_iter().cycle();
    let per_second = options.riders_per_minute / 60.0 * options.speed;
    let mut at_once = (options.riders_per_minute.ceil() as u32).min(options.cars / 3);
    loop {
        let gap = if at_once > 0 { 0.25 } else { -(1.0 - rng.random::<f64>()).ln() / per_second };
        at_once = at_once.saturating_sub(1);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(gap)) => {}
            () = shutdown.cancelled() => return,
        }
        while riders.try_join_next().is_some() {}
        // At most as many rides at the same time as there are cars.
        if riders.len() < options.cars as usize
            && let Some(channel) = connections.next()
        {
            let wish = wish(&city, &mut rng);
            let rider = Rider {
                client: RidesClient::new(channel),
                speed: options.speed,
                credentials: options.credentials.clone(),
            };
            riders.spawn(rider.ride(wish, rng.random()));
        }
    }
}

/// Makes a random booking.
fn wish(city: &City, rng: &mut SmallRng) -> v1::BookRequest {
    let pickup = city.random_place(rng).at;
    // After 20 attempts any place is taken: the map may be smaller than the shortest ride.
    let dropoff = (0..20)
        .map(|_| city.random_place(rng).at)
        .find(|at| at.distance_m(pickup) >= SHORTEST_M)
        .unwrap_or_else(|| city.random_place(rng).at);
    let kind = if rng.random_bool(SHARES) { v1::RideType::Pool } else { v1::RideType::Regular };
    v1::BookRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        pickup: Some(pickup.into()),
        dropoff: Some(dropoff.into()),
        r#type: kind.into(),
        rider_id: NAMES.choose(rng).copied().unwrap_or_default().to_owned(),
        passenger_ids: Vec::new(),
    }
}

/// The client of one rider.
#[derive(Clone)]
struct Rider {
    client: RidesClient<Channel>,
    /// The ratio of simulated time to real time.
    speed: f64,
    credentials: Credentials,
}

impl Rider {
    async fn ride(mut self, wish: v1::BookRequest, whim: u64) {
        if let Err(status) = self.ride_to_the_end(wish, SmallRng::seed_from_u64(whim)).await {
            tracing::debug!(%status, "a simulated rider gave up");
        }
    }

    async fn ride_to_the_end(&mut self, wish: v1::BookRequest, mut rng: SmallRng) -> Result<(), Status> {
        let ride_id = self.book(wish, &mut rng).await?;
        let mut cursor = v1::WatchRequest { ride_id: ride_id.clone(), ..Default::default() };
        let patience = Duration::from_secs_f64(rng.random_range(5.0..60.0) / self.speed);
        let changes_mind = rng.random_bool(CANCELS);
        let give_up = tokio::time::sleep(patience);
        tokio::pin!(give_up);
        let mut cancelled = false;
        let mut attempt = 0;
        loop {
            let mut watcher = self.clone();
            let status = tokio::select! {
                ended = watcher.watch(&mut cursor, &mut attempt) => match ended {
                    Err(status) if status.code() == Code::Unavailable && attempt < ATTEMPTS => status,
                    ended => return ended,
                },
                () = &mut give_up, if changes_mind && !cancelled => {
                    cancelled = true;
                    self.cancel(&ride_id).await;
                    continue;
                }
            };
            attempt += 1;
            tokio::time::sleep(backoff(attempt, &status, &mut rng)).await;
        }
    }

    /// Follows the ride to its end in one stream. Starts at the cursor and advances it. Resets `attempt` when the
    /// stream opens.
    async fn watch(&mut self, cursor: &mut v1::WatchRequest, attempt: &mut u32) -> Result<(), Status> {
        let mut messages =
            self.client.watch(self.credentials.for_riders(cursor.clone()).await?).await?.into_inner();
        while let Some(message) = messages.message().await? {
            match message.message {
                Some(Message::Opened(opened)) => {
                    *attempt = 0;
                    cursor.epoch = opened.epoch;
                }
                Some(Message::Event(event)) => cursor.after_version = event.version,
                Some(Message::Progress(_) | Message::Heartbeat(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Books a ride and returns its id. Retries while the server is unavailable, which is safe because of the request
    /// id.
    async fn book(&mut self, wish: v1::BookRequest, rng: &mut SmallRng) -> Result<String, Status> {
        let mut attempt = 0;
        loop {
            let mut request = self.credentials.for_riders(wish.clone()).await?;
            request.set_timeout(DEADLINE);
            match self.client.book(request).await {
                Ok(answer) => return Ok(answer.into_inner().ride.unwrap_or_default().ride_id),
                Err(status) if status.code() == Code::Unavailable && attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(backoff(attempt, &status, rng)).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// Cancels the ride. Ignores errors.
    async fn cancel(&mut self, ride_id: &str) {
        let request = v1::CancelRequest {
            ride_id: ride_id.to_owned(),
            by: v1::Actor::Rider.into(),
            reason: "changed my mind".to_owned(),
        };
        let cancelled = async {
            let request = self.credentials.for_riders(request).await?;
            self.client.cancel(request).await
        };
        // Fails if the trip has begun; the rider then stays on the ride.
        if let Err(status) = cancelled.await {
            tracing::debug!(%status, ride_id, "a simulated rider failed to cancel");
        }
    }
}
