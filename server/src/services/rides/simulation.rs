//! A randomized simulation of crashes, refused writes and broken streams: case L27 of docs/failures.md.
//!
//! Clients send commands and repeat them until they get a response. Watchers follow rides over the streams of the
//! service. They read slowly, drop streams and resume them. Meanwhile the journal delays and refuses batches, and the
//! rides task is aborted at any await, for example after the journal has a batch and before the client has a
//! response. The next task starts on the same journal.
//!
//! The simulation runs on one thread with tokio's paused time. It has no network: a stalled connection is a stream
//! that is not read, and a broken one is a stream that is dropped.
//!
//! A seed fixes all commands, delays and failures. It does not fix the order in which tokio polls tasks that are ready.

use std::{
    env,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rides_proto::v1::{rides_server::Rides as _, watch_response::Message};
use tokio::{
    runtime,
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};

use super::*;
use crate::{
    fleet::FleetOptions,
    rides::{
        RideError, RideLog,
        journal::{Journal, JournalError, JournalFuture, Later, MemoryJournal},
        machine::Refusal,
        model::{Actor, OfferEndReason, OpenOffer, Ride, RideState},
        testing::{AppendHook, HookedJournal, booking, car, city, crew, noon, place, request},
    },
    services::principal::unproven,
};

/// The number of seeds in a run. `RIDES_SIM_SEEDS=100000` tries more.
const SEEDS: u64 = 1_000;
const CLIENTS: u8 = 3;
/// The number of cars that get offers. It is less than `CLIENTS`, so that clients compete for cars.
const CARS: u8 = 2;
/// The time that a client waits for a response before it repeats the call.
const CALL_TIMEOUT: Duration = Duration::from_millis(40);

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_and_no_watcher_sees_a_gap_or_a_repeat() {
    let seeds = env::var("RIDES_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let _named = Named(seed);
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(world(seed));
    }
}

/// Prints the seed if the test panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {} failed", self.0);
        }
    }
}

/// Runs one seed: clients and watchers to their ends, with crashes in between. Then checks what they saw against the
/// journal.
async fn world(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let kept = Arc::new(MemoryJournal::new());
    let (first, mut task) = Server::start(&kept, &mut rng).await;
    let (next, server) = watch::channel(first);
    let clients = (0..CLIENTS).map(|n| {
        let rng = SmallRng::from_rng(&mut rng);
        tokio::spawn(Client { n, server: server.clone(), rng, acknowledged: Vec::new() }.work())
    });
    let clients: Vec<JoinHandle<_>> = clients.collect();

    for _ in 0..rng.random_range(0..6) {
        sleep(Duration::from_millis(rng.random_range(1..60))).await;
        task.abort();
        let unfinished = kept.unfinished().await.expect("in memory");
        assert_no_car_has_two_rides(&unfinished);
        let (server, started) = Server::start(&kept, &mut rng).await;
        task = started;
        next.send_replace(server);
    }
    for client in join_all(clients).await {
        let (acknowledged, watched) = client.expect("a client's own checks hold");
        for ride in acknowledged {
            let log = kept.ride(&ride.id).await.expect("in memory").expect("an acknowledged ride is lost");
            let events = log.events[..ride.version as usize].to_vec();
            assert_eq!(RideLog::replay(events.clone()), Ok(Some(RideLog { ride, events })));
        }
        for (id, seen) in watched {
            let log = kept.ride(&id).await.expect("in memory").expect("watched");
            assert_eq!(seen, log.events.iter().map(|event| convert::ride_event(event)).collect::<Vec<_>>());
        }
    }
    let all = kept.page(&Filter::default(), None, usize::MAX).await.expect("in memory");
    assert_eq!(all.len(), usize::from(CLIENTS), "a repeated call opened another ride");
    assert!(all.iter().all(|placed| placed.ride.state.is_over()));
}

fn assert_no_car_has_two_rides(unfinished: &[Arc<RideLog>]) {
    let mut held: Vec<_> = unfinished.iter().filter_map(|log| log.ride.current_car()).collect();
    let cars = held.len();
    held.sort_unstable();
    held.dedup();
    assert_eq!(held.len(), cars, "two rides have one car");
}

/// The handles by which clients reach the current server.
#[derive(Clone)]
struct Server {
    rides: Rides,
    service: Arc<RidesService>,
}

impl Server {
    /// Starts a server on a journal. Returns it, and a handle that aborts its rides task.
    async fn start(kept: &Arc<MemoryJournal>, rng: &mut SmallRng) -> (Self, AbortHandle) {
        let disk = HookedJournal {
            kept: kept.clone(),
            trouble: Arc::new(Disk(Mutex::new(SmallRng::from_rng(rng)))),
        };
        let (opened, mut hears) = mpsc::channel(64);
        tokio::spawn(async move { while hears.recv().await.is_some() {} });
        let (rides, task) = Rides::spawn(Arc::new(disk), opened).await.expect("in memory");
        let (ticks, _) = mpsc::channel(1);
        let (gone, _) = mpsc::channel(1);
        let options = FleetOptions { tick: Duration::from_secs(3600), ..FleetOptions::default() };
        let (fleet, _) = Fleet::spawn(options, ticks, gone);
        let service = Arc::new(RidesService::new(city(), fleet, rides.clone(), BookingLimits::default()));
        (Self { rides, service }, task.abort_handle())
    }
}

/// A slow and unreliable disk. It delays each batch before and after the write, and refuses some.
struct Disk(Mutex<SmallRng>);

impl Disk {
    fn roll<T>(&self, roll: impl FnOnce(&mut SmallRng) -> T) -> T {
        roll(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn dawdle(&self) {
        let millis = self.roll(|rng| rng.random_range(0..4));
        sleep(Duration::from_millis(millis)).await;
    }
}

impl AppendHook for Disk {
    fn before(&self) -> JournalFuture<'_, ()> {
        Box::pin(async {
            self.dawdle().await;
            if self.roll(|rng| rng.random_bool(0.15)) {
                return Err(JournalError::Unavailable("the disk is full".into()));
            }
            Ok(())
        })
    }

    fn after(&self) -> Later<'_, ()> {
        Box::pin(self.dawdle())
    }
}

/// A client that opens one ride and brings it to its end. No other client commands that ride.
struct Client {
    n: u8,
    server: watch::Receiver<Server>,
    rng: SmallRng,
    acknowledged: Vec<Ride>,
}

type WatchedEvents = (RideId, Vec<v1::RideEvent>);

impl Client {
    /// Returns every ride in a response, and the events that each watcher saw.
    async fn work(mut self) -> (Vec<Ride>, Vec<WatchedEvents>) {
        let mut ride = self.open().await;
        let watchers = (0..self.rng.random_range(1..3)).map(|_| {
            let (server, rng) = (self.server.clone(), SmallRng::from_rng(&mut self.rng));
            tokio::spawn(Watcher { server, rng, ride: ride.id.clone() }.follow())
        });
        let watchers: Vec<_> = watchers.collect();
        let mut last = None;
        for step in 0.. {
            let command = match last.filter(|_| self.rng.random_bool(0.2)) {
                Some(again) => again,
                None if step < 12 => self.next(&ride),
                None => self.finish(&ride),
            };
            let id = ride.id.clone();
            let answer = self.insist(|rides| command_on(rides, id.clone(), command.clone())).await;
            let after = match answer {
                Ok(after) => after,
                // Repeated commands of dispatch are refused, but the first attempt may have taken effect.
                Err(_) => self.insist(|rides| get(rides, id.clone())).await.expect("it is there"),
            };
            assert!(after.version <= ride.version + 1, "done twice: {command:?} on {ride:?}");
            ride = after;
            if ride.state.is_over() {
                break;
            }
            last = Some(command);
            sleep(Duration::from_millis(self.rng.random_range(0..8))).await;
        }
        let seen = join_all(watchers).await.into_iter().map(|seen| seen.expect("a watcher's checks hold"));
        (self.acknowledged, seen.map(|seen| (ride.id.clone(), seen)).collect())
    }

    async fn open(&mut self) -> Ride {
        let name = format!("client {}", self.n);
        if self.rng.random_bool(0.8) {
            let request = request(&name, &[self.n]);
            let book = |rides: Rides| {
                let (request, booking) = (request.clone(), booking(&name));
                async move { rides.book(request, booking).await }
            };
            return self.insist(book).await.expect("nothing forbids a booking");
        }
        // In a separate car, which gets no offers.
        let crew = crew(CARS + 1 + self.n);
        let start = |rides: Rides| {
            let booking = Booking { passengers: vec![name.clone()], dropoff: None, ..booking("") };
            let crew = crew.clone();
            async move { rides.start_off_street(crew, booking, noon()).await }
        };
        self.insist(start).await.expect("the car is free")
    }

    /// Repeats a call until the rides task accepts it or refuses it by its rules.
    async fn insist<F>(&mut self, call: impl Fn(Rides) -> F) -> Result<Ride, Refusal>
    where
        F: Future<Output = Result<Ride, RideError>>,
    {
        loop {
            let rides = self.server.borrow().rides.clone();
            match timeout(CALL_TIMEOUT, call(rides)).await {
                Ok(Ok(ride)) => {
                    self.acknowledged.push(ride.clone());
                    return Ok(ride);
                }
                Ok(Err(RideError::Refused(refusal))) => return Err(refusal),
                Ok(Err(RideError::Closed | RideError::Journal(JournalError::Unavailable(_)))) | Err(_) => {}
                Ok(Err(other)) => panic!("{other}"),
            }
            sleep(Duration::from_millis(self.rng.random_range(0..8))).await;
        }
    }

    /// Returns a random command. Most bring the ride to its next state.
    fn next(&mut self, ride: &Ride) -> Command {
        let car = match ride.current_car() {
            Some(car) if self.rng.random_bool(0.9) => car,
            _ => car(self.rng.random_range(1..=CARS)),
        };
        let reason = || "a flat tyre".to_owned();
        match (ride.state, self.rng.random_range(0..8)) {
            (RideState::Requested, 0) => Command::Expire,
            (RideState::Requested, _) => {
                let offer = OpenOffer { pickup_eta: CALL_TIMEOUT, expires_at: noon() };
                Command::Offer { crew: crew(self.rng.random_range(1..=CARS)), offer }
            }
            (RideState::Offered, 0) => Command::Decline { car },
            (RideState::Offered, 1) => Command::EndOffer { car, why: OfferEndReason::CarLost },
            (RideState::Offered, _) => Command::Accept { car },
            (RideState::Assigned | RideState::Arrived, 0) => Command::GiveBack { car, reason: reason() },
            (RideState::Assigned | RideState::Arrived, 1) => Command::Unassign { car },
            (RideState::Assigned, _) => Command::Arrive { car },
            (RideState::Arrived, _) => Command::PickUp { car },
            _ => self.finish(ride),
        }
    }

    fn finish(&self, ride: &Ride) -> Command {
        match ride.state {
            RideState::OnTrip => {
                Command::DropOff { car: None, figures: ride.figures, metered_fare: None, at: place(self.n) }
            }
            _ => Command::Cancel { by: Actor::Rider, car: None, reason: String::new() },
        }
    }
}

async fn command_on(rides: Rides, ride: RideId, command: Command) -> Result<Ride, RideError> {
    rides.command(&ride, command).await
}

async fn get(rides: Rides, ride: RideId) -> Result<Ride, RideError> {
    rides.get(&ride).await
}

/// A watcher that follows one ride to its end, over several streams.
struct Watcher {
    server: watch::Receiver<Server>,
    rng: SmallRng,
    ride: RideId,
}

impl Watcher {
    async fn follow(mut self) -> Vec<v1::RideEvent> {
        let mut epoch = String::new();
        let mut seen: Vec<v1::RideEvent> = Vec::new();
        loop {
            let service = self.server.borrow().service.clone();
            let ride_id = self.ride.to_string();
            let request =
                v1::WatchRequest { ride_id, epoch: epoch.clone(), after_version: seen.len() as u64 };
            if let Ok(Ok(stream)) = timeout(CALL_TIMEOUT, service.watch(unproven(request))).await
                && self.read(stream.into_inner(), &mut epoch, &mut seen).await
            {
                return seen;
            }
            sleep(Duration::from_millis(self.rng.random_range(0..8))).await;
        }
    }

    /// Reads the stream to its end, or until the watcher drops it. Returns `true` if the stream ended with OK,
    /// because the ride is over.
    async fn read(
        &mut self,
        mut stream: <RidesService as v1::rides_server::Rides>::WatchStream,
        epoch: &mut String,
        seen: &mut Vec<v1::RideEvent>,
    ) -> bool {
        let mut left = self.rng.random_range(1..8);
        while left > 0 {
            match stream.next().await {
                Some(Ok(v1::WatchResponse { message: Some(Message::Opened(opened)) })) => {
                    assert_eq!(opened.resumed, !epoch.is_empty(), "the journal is the same");
                    assert!(opened.head_version >= seen.len() as u64, "an event that was seen is lost");
                    *epoch = opened.epoch;
                }
                Some(Ok(v1::WatchResponse { message: Some(Message::Event(event)) })) => {
                    assert_eq!(event.version, seen.len() as u64 + 1, "a gap or a repeat");
                    seen.push(event);
                }
                Some(Ok(_)) => {}
                Some(Err(status)) => {
                    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
                    return false;
                }
                None => return true,
            }
            left -= 1;
            if self.rng.random_bool(0.3) {
                sleep(Duration::from_millis(self.rng.random_range(0..30))).await;
            }
        }
        false
    }
}
