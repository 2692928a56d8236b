//! The feed of the fleet's positions, which reports to Rides over one `Rides.Track` stream, as a gateway does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use rides_proto::v1::{Location, TrackRequest, rides_client::RidesClient};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    fleet::{Cars, TICK_SECONDS, downtown},
    servers::CARS,
};

/// The number of slots in a tick, over which the reports of cars are spread evenly.
pub(crate) const SLOTS: usize = 10;
/// The number of positions that may be queued for the socket.
const QUEUE: usize = 1024;

/// Cars that report at the same rate.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The cars.
    pub(crate) cars: Cars,
    /// The number of ticks between two reports of a car.
    pub(crate) every: usize,
}

impl Group {
    /// Returns the cars that report in a slot. Each car reports once in `every` ticks.
    fn reporting(&self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        let slots = SLOTS * self.every;
        (slot % slots..self.cars.len()).step_by(slots)
    }

    /// Moves the cars that report in a slot, and returns their indices.
    pub(crate) fn drive(&mut self, slot: usize) -> impl Iterator<Item = usize> + use<> {
        for index in self.reporting(slot) {
            for _ in 0..self.every {
                self.cars.drive(index);
            }
        }
        self.reporting(slot)
    }
}

/// Returns the fleet of most benchmarks: all cars downtown.
pub(crate) fn fleet() -> Vec<Group> {
    vec![Group { cars: Cars::new(CARS, downtown(), 1), every: 1 }]
}

/// A running feed.
#[derive(Debug)]
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Instant>>>,
}

impl Feed {
    /// Starts a feed. It reports all cars once, and then moves and reports them slot by slot.
    pub(crate) fn start(addr: SocketAddr, groups: Vec<Group>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(report(addr, groups, &stop))
            }
        });
        Self { stop, thread }
    }

    /// Stops the feed. Returns the time of each slot, from the first.
    ///
    /// # Errors
    /// When the server did not accept the positions.
    pub(crate) fn stop(self) -> Result<Vec<Instant>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the feed panicked"))?
    }
}

async fn report(addr: SocketAddr, mut groups: Vec<Group>, stop: &AtomicBool) -> Result<Vec<Instant>> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{addr}"))?.connect().await?;
    let mut client = RidesClient::new(channel);
    let (positions, requests) = mpsc::channel(QUEUE);
    let driving = async move {
        for (group, ids) in first_ids(&groups).zip(&groups) {
            for index in 0..ids.cars.len() {
                send(&positions, group, &ids.cars, index).await?;
            }
        }
        let mut slots = interval(Duration::from_secs_f64(TICK_SECONDS / SLOTS as f64));
        slots.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sent = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            slots.tick().await;
            let first_ids: Vec<i64> = first_ids(&groups).collect();
            let slot = sent.len();
            sent.push(Instant::now());
            for (first_id, group) in first_ids.into_iter().zip(&mut groups) {
                for index in group.drive(slot) {
                    send(&positions, first_id, &group.cars, index).await?;
                }
            }
        }
        Ok(sent)
    };
    let (sent, tracked) = tokio::join!(driving, client.track(ReceiverStream::new(requests)));
    tracked.context("the server did not accept the positions")?;
    sent
}

/// Returns the id of the first car of each group.
fn first_ids(groups: &[Group]) -> impl Iterator<Item = i64> {
    groups.iter().scan(1, |next, group| {
        let first = *next;
        *next += group.cars.len() as i64;
        Some(first)
    })
}

async fn send(
    positions: &mpsc::Sender<TrackRequest>,
    first_id: i64,
    cars: &Cars,
    index: usize,
) -> Result<()> {
    let sent = positions.send(position(first_id, cars, index)).await;
    sent.map_err(|_| anyhow!("the server ended the stream of positions"))
}

/// Returns the position of a car. The first of `cars` has the id `first_id`.
pub(crate) fn position(first_id: i64, cars: &Cars, index: usize) -> TrackRequest {
    let here = cars.point(index).lat_lng();
    let location = Some(Location { lat: here.lat(), lng: here.lng() });
    TrackRequest { car_id: first_id + index as i64, location, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_car_reports_once_in_its_time() {
        let group = Group { cars: Cars::new(73, downtown(), 1), every: 3 };
        let mut reports = [0; 73];
        for slot in 7..7 + 3 * SLOTS {
            for index in group.reporting(slot) {
                reports[index] += 1;
            }
        }
        assert_eq!(reports, [1; 73]);
    }
}
