//! A rider that books, cancels and asks, and repeats each call until it gets a response.

use std::{sync::Arc, time::SystemTime};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use rides_proto::v1::{BookRequest, Ride, RideState};
use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};
use tonic::Code;

use super::{Ledger, StormReceiver, Watcher, weather::RetriedCall};
use crate::harness::{rider::Rider, village::corner};

/// The most rides that one rider has at a time.
const RIDES: usize = 4;
/// The longest pause between two calls, in milliseconds.
const PAUSE_MS: u64 = 60;

pub(crate) struct Client {
    name: String,
    rider: Rider,
    weather: StormReceiver,
    ledger: Arc<Ledger>,
    rng: SmallRng,
    booked: Vec<Booked>,
    wishes: u32,
    watchers: JoinSet<()>,
}

#[derive(Clone)]
struct Booked {
    request: BookRequest,
    ride_id: String,
}

impl Client {
    pub(crate) fn new(n: u64, seed: u64, rider: Rider, weather: StormReceiver, ledger: Arc<Ledger>) -> Self {
        Self {
            name: format!("rider-{n}"),
            rider,
            weather,
            ledger,
            rng: SmallRng::seed_from_u64(seed ^ (n << 32)),
            booked: Vec::new(),
            wishes: 0,
            watchers: JoinSet::new(),
        }
    }

    /// Makes calls until the storm has ended, and cancels the rides that are left.
    pub(crate) async fn run(mut self) {
        while !self.weather.is_calm() {
            self.wishes_something().await;
            let pause = self.rng.random_range(0..PAUSE_MS);
            sleep(Duration::from_millis(pause)).await;
        }
        for booked in std::mem::take(&mut self.booked) {
            self.cancels(&booked).await;
        }
        while let Some(watched) = self.watchers.join_next().await {
            watched.unwrap();
        }
    }

    async fn wishes_something(&mut self) {
        let one = self.booked.choose(&mut self.rng).cloned();
        match (self.rng.random_range(0..20), one) {
            (0, Some(one)) => self.cancels(&one).await,
            (1..3, Some(one)) => drop(self.insists_on(&one.request).await),
            (3..12, Some(one)) => self.asks(&one.ride_id).await,
            _ if self.booked.len() < RIDES => self.books().await,
            (_, Some(one)) => self.asks(&one.ride_id).await,
            (_, None) => {}
        }
    }

    async fn books(&mut self) {
        self.wishes += 1;
        let request = BookRequest {
            request_id: format!("{}-{}", self.name, self.wishes),
            pickup: Some(corner(self.rng.random_range(0..3), 0)),
            dropoff: Some(corner(self.rng.random_range(0..3), 2)),
            rider_id: self.name.clone(),
            ..Default::default()
        };
        let RetriedCall { outcome, lost, asked } = self.insists_on(&request).await;
        let Ok(ride) = outcome else { return };
        let requested_at = ride.requested_at.and_then(|at| SystemTime::try_from(at).ok());
        let took_effect = requested_at.is_some_and(|at| at < asked);
        self.ledger.count(|tally| {
            tally.bookings += 1;
            tally.lost_after_commit += u32::from(lost > 0 && took_effect);
            tally.lost_before_commit += u32::from(lost > 0 && !took_effect);
        });
        let watcher = Watcher::new(&ride.ride_id, &self.rider, &self.weather, &self.ledger);
        self.watchers.spawn(watcher.follows());
        self.booked.push(Booked { request, ride_id: ride.ride_id });
    }

    /// Books, or repeats a booking, until there is a response.
    async fn insists_on(&mut self, request: &BookRequest) -> RetriedCall<Ride> {
        let rider = &self.rider;
        let answer = self.weather.retry_until_response(|| rider.book(request.clone())).await;
        match &answer.outcome {
            Ok(ride) => self.ledger.booked(request, ride),
            Err(status) => self.ledger.record_broken("refused", format!("{}: {status}", request.request_id)),
        }
        answer
    }

    async fn cancels(&mut self, booked: &Booked) {
        let (rider, ride_id) = (&self.rider, &booked.ride_id);
        let before = self.ledger.version(ride_id);
        match self.weather.retry_until_response(|| rider.cancel(ride_id)).await.outcome {
            Ok(ride) => {
                self.ledger.record_response(before, &ride);
                if ride.state() != RideState::Cancelled {
                    self.ledger
                        .record_broken("lost", format!("{ride_id} was cancelled and is {:?}", ride.state()));
                }
                self.ledger.count(|tally| tally.cancellations += 1);
            }
            // The trip has started or the ride has ended.
            Err(status) if status.code() == Code::FailedPrecondition => {}
            Err(status) => self.ledger.record_broken("lost", format!("{ride_id} to cancel: {status}")),
        }
        self.booked.retain(|other| other.ride_id != *ride_id);
    }

    async fn asks(&mut self, ride_id: &str) {
        let (rider, before) = (&self.rider, self.ledger.version(ride_id));
        match self.weather.retry_until_response(|| rider.get(ride_id)).await.outcome {
            Ok(ride) => {
                self.ledger.record_response(before, &ride);
                if is_over(ride.state()) {
                    self.booked.retain(|other| other.ride_id != *ride_id);
                }
            }
            Err(status) => self.ledger.record_broken("lost", format!("{ride_id} to get: {status}")),
        }
    }
}

fn is_over(state: RideState) -> bool {
    matches!(state, RideState::Completed | RideState::Cancelled | RideState::Expired)
}
