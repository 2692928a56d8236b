//! Random tests: several servers run one after the other on a disk with random faults.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    env,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use faulty_disk::{Disk, Operation};
use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use rides_proto::ids::RideId;

use super::{Server, TestDisk};
use crate::rides::{
    RideError, Rides,
    journal::{Filter, Journal as _, JournalError, RequestKey},
    machine::Command,
    model::{Actor, OpenOffer, Ride, RideEvent},
    testing::{self, booking, car, crew},
};

/// Returns the number of disks. The environment variable `RIDES_DISKS` changes it, for example `RIDES_DISKS=5000`.
fn disks() -> u64 {
    let number = env::var("RIDES_DISKS").ok().filter(|number| !number.is_empty());
    number.map_or(300, |number| number.parse().expect("RIDES_DISKS is a number"))
}

/// The number of servers that run on each disk, one after the other.
const SERVERS: u32 = 4;
/// The number of concurrent riders, and the number of actions of each rider on one server.
const RIDERS: u32 = 3;
const ACTIONS: u32 = 8;

/// Prints the seed of the disk if a check fails.
struct PrintSeedOnPanic(u64);

impl Drop for PrintSeedOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// The results that callers and watchers saw, on all servers.
#[derive(Default)]
struct Observed {
    epoch: Option<String>,
    /// Every request, and the ride that it booked, if there was a reply.
    requests: HashMap<String, Option<RideId>>,
    /// The newest acknowledged version of each ride.
    acknowledged: HashMap<RideId, u64>,
    /// The events of each ride that a watcher saw.
    watched: HashMap<RideId, Vec<Arc<RideEvent>>>,
}

impl Observed {
    fn acknowledge(&mut self, ride: &Ride) {
        let version = self.acknowledged.entry(ride.id.clone()).or_default();
        *version = ride.version.max(*version);
    }

    fn booked(&mut self, request: &str, ride: &Ride) {
        let known = self.requests.entry(request.to_owned()).or_default();
        assert_eq!(*known.get_or_insert_with(|| ride.id.clone()), ride.id, "{request} booked twice");
        self.acknowledge(ride);
    }

    /// Checks the events of a ride against the ones that were seen before, and adds the new ones.
    fn watch(&mut self, id: &RideId, events: &[Arc<RideEvent>]) {
        assert!((1..).zip(events).all(|(version, event)| event.version == version), "{id}: {events:?}");
        let seen = self.watched.entry(id.clone()).or_default();
        assert!(events.starts_with(seen), "{id} was {seen:?} and is {events:?}");
        *seen = events.to_vec();
    }
}

/// One of several concurrent riders.
struct Rider<'a> {
    name: String,
    rides: &'a Rides,
    told: &'a RefCell<Observed>,
    rng: SmallRng,
}

impl Rider<'_> {
    async fn rides(mut self) {
        for deed in 0..ACTIONS {
            let known: Vec<RideId> = self.told.borrow().acknowledged.keys().cloned().collect();
            let one = known.choose(&mut self.rng).cloned();
            match (self.rng.random_range(0..10), one) {
                (0..4, Some(id)) => self.commands(&id).await,
                (4..6, Some(id)) => self.watches(&id).await,
                (6, Some(_)) => self.books_again().await,
                _ => self.books(format!("{}-{deed}", self.name)).await,
            }
        }
    }

    async fn books(&self, request: String) {
        self.told.borrow_mut().requests.entry(request.clone()).or_default();
        let key = testing::request(&request, request.as_bytes());
        match self.rides.book(key, booking("ada")).await {
            Ok(ride) => self.told.borrow_mut().booked(&request, &ride),
            Err(error) => assert_expected(&error),
        }
    }

    /// Repeats a request, also one that had no reply.
    async fn books_again(&mut self) {
        let requests: Vec<String> = self.told.borrow().requests.keys().cloned().collect();
        if let Some(request) = requests.choose(&mut self.rng) {
            self.books(request.clone()).await;
        }
    }

    async fn commands(&mut self, id: &RideId) {
        let n = self.rng.random_range(1..=3);
        let offer = OpenOffer { pickup_eta: Duration::ZERO, expires_at: SystemTime::now() };
        let command = match self.rng.random_range(0..6) {
            0 => Command::Cancel { by: Actor::Rider, car: None, reason: "found a tram".into() },
            1 => Command::Accept { car: car(n) },
            2 => Command::Arrive { car: car(n) },
            3 => Command::PickUp { car: car(n) },
            _ => Command::Offer { crew: crew(n), offer },
        };
        match self.rides.command(id, command).await {
            Ok(ride) => self.told.borrow_mut().acknowledge(&ride),
            Err(RideError::Refused(_)) => {}
            Err(error) => assert_expected(&error),
        }
    }

    async fn watches(&self, id: &RideId) {
        match self.rides.watch(id).await {
            Ok(feed) => self.told.borrow_mut().watch(id, &feed.borrow().events),
            Err(error) => assert_expected(&error),
        }
    }
}

/// Checks that an error is one of those that a faulty disk may cause.
#[track_caller]
fn assert_expected(error: &RideError) {
    let told = matches!(
        error,
        RideError::Closed
            | RideError::Journal(
                JournalError::Full
                    | JournalError::Unavailable(_)
                    | JournalError::Failed(_)
                    | JournalError::Closed
            )
    );
    assert!(told, "{error}");
}

/// Makes a random fault on the disk.
fn inject_fault(disk: &Disk, rng: &mut SmallRng) {
    match rng.random_range(0..8) {
        0 | 1 => disk.cut_power_at(rng.random_range(1..80)),
        2 => disk.fail(Operation::Sync, rng.random_range(1..20)),
        3 => disk.fail(Operation::Write, rng.random_range(1..60)),
        4 => disk.fail(Operation::Truncate, 1),
        5 => disk.fail_at_random(rng.random_range(0.001..0.05)),
        6 => disk.limit_size(Some(disk.used() + rng.random_range(0..100_000))),
        _ => {}
    }
}

/// Runs a server from its start to its end.
async fn run_server(place: &TestDisk, told: &RefCell<Observed>, seed: u64) {
    let (disk, mut rng) = (&place.disk, SmallRng::seed_from_u64(seed));
    if rng.random() {
        inject_fault(disk, &mut rng);
    }
    let Ok(journal) = place.open() else { return };
    let epoch = journal.epoch().to_owned();
    assert_eq!(*told.borrow_mut().epoch.get_or_insert(epoch.clone()), epoch);
    let Ok(server) = Server::start(Arc::clone(&journal)).await else { return journal.close().await };
    inject_fault(disk, &mut rng);
    let riders = (0..RIDERS).map(|n| {
        let rng = SmallRng::seed_from_u64(rng.random());
        Rider { name: format!("{seed}-{n}"), rides: &server.rides, told, rng }.rides()
    });
    join_all(riders).await;
    match rng.random_range(0..3) {
        0 => disk.cut_power(),
        1 => disk.kill(),
        _ => {}
    }
    server.end().await;
}

/// Checks the stored journal against the results that were seen.
async fn check(place: &TestDisk, told: &Observed) {
    let journal = place.open().expect("the disk has no fault any more");
    assert!(told.epoch.as_deref().is_none_or(|epoch| epoch == journal.epoch()));
    for (id, version) in &told.acknowledged {
        let log = journal.ride(id).await.expect("the journal can be read");
        assert!(log.as_ref().is_some_and(|log| log.ride.version >= *version), "{id}: {version}, {log:?}");
    }
    for (id, seen) in &told.watched {
        let log = journal.ride(id).await.expect("the journal can be read").expect("a watched ride exists");
        assert!(log.events.starts_with(seen), "{id} was {seen:?} and is {log:?}");
    }
    let request = |id: &String| testing::request(id, id.as_bytes());
    let requests: Vec<RequestKey> = told.requests.keys().map(request).collect();
    let kept = journal.by_requests(&requests).await.expect("the journal can be read");
    for (request, ride) in told.requests.iter().filter_map(|(request, ride)| Some((request, ride.as_ref()?)))
    {
        assert_eq!(
            kept.get(&testing::request(request, &[]).id).map(|(ride, _)| ride),
            Some(ride),
            "{request}"
        );
    }
    let listed =
        journal.page(&Filter::default(), None, usize::MAX / 2).await.expect("the journal can be read");
    let booked: HashSet<_> = kept.values().map(|(ride, _)| ride).collect();
    assert_eq!(booked.len(), kept.len(), "two requests have one ride");
    assert_eq!(listed.iter().map(|placed| &placed.ride.id).collect::<HashSet<_>>(), booked);
    assert_eq!(listed.len(), kept.len(), "a ride has no request");
    journal.close().await;
    place.assert_sound();
}

/// L1 to L5, L8 and L21 in docs/failures.md, and the faults of SQLite and the disk beneath them.
#[tokio::test]
async fn nothing_is_lost_and_nothing_is_there_twice() {
    for seed in 0..disks() {
        let _seed = PrintSeedOnPanic(seed);
        let (place, told) = (TestDisk::new(seed), RefCell::new(Observed::default()));
        for life in 0..SERVERS {
            run_server(&place, &told, seed << 8 | u64::from(life)).await;
            place.disk.restore_power();
        }
        check(&place, &told.take()).await;
    }
}
