//! Benchmarks of durability: bookings with and without group commit, replay, and recovery by the size of the journal.
//!
//! All use the disk of the build directory: `cargo bench -p rides-server --bench journal`.

use std::{
    cell::LazyCell,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};
use rides_server::rides::{
    Rides,
    journal::{
        Entry, Journal, RequestId, RequestKey, SqliteJournal,
        sqlite::{SqliteOptions, maintenance},
    },
    machine::Command,
    model::{
        Actor, Booking, CarAndDriver, Cents, EventKind, OpenOffer, RideEvent, RideType, Stop, TripSummary,
    },
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};
use uuid::Uuid;

/// The number of callers who book at the same time.
const CALLERS: usize = 256;
/// The number of events of each ride in the journals to replay.
const EVENTS: usize = 5;
/// The number of rides that are open at a restart, whatever the size of the journal.
const OPEN: usize = 200;

fn disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory")
}

fn open(dir: &Path) -> SqliteJournal {
    SqliteJournal::open(dir, SqliteOptions::default()).expect("a journal opens")
}

/// Returns a booking of 15 minutes across a city, with a route of 60 points.
fn booking() -> Booking {
    let point = |n: u32| {
        LatLng::new(60.17 + f64::from(n) * 0.000_4, 24.94 + f64::from(n % 7) * 0.000_3)
            .expect("on Earth")
            .rounded()
    };
    let stop = |n| Stop { at: point(n), name: "Mannerheimintie".into() };
    Booking {
        rider: "ada".into(),
        passengers: vec![],
        kind: RideType::Regular,
        pickup: stop(0),
        dropoff: Some(stop(60)),
        plan: TripSummary { distance_m: 6_000, duration: Duration::from_secs(900), fare: Cents(1_590) },
        route: (0..60).map(point).collect(),
    }
}

fn request() -> RequestKey {
    let caller = "ada".to_owned();
    RequestKey { id: RequestId { caller, id: Uuid::now_v7().to_string() }, fingerprint: vec![0; 60] }
}

fn entry(ride: &RideId, version: u64, what: EventKind) -> Entry {
    let event = RideEvent { ride: ride.clone(), version, time: SystemTime::now(), what };
    Entry::new(Arc::new(event), (version == 1).then(request)).expect("can be written")
}

fn new_ride() -> RideId {
    RideId::new(Uuid::now_v7().to_string())
}

/// Each caller waits until a booking is on the disk before making the next. The result is the time of one booking of
/// each caller.
fn bookings(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let booking = Arc::new(booking());
    let mut group = c.benchmark_group("durable bookings by 256 callers");
    group
        .throughput(Throughput::Elements(CALLERS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for (name, batch) in [("one commit each", 1), ("group commit", 256)] {
        let dir = disk();
        let journal = Arc::new(open(dir.path()));
        group.bench_function(name, |bench| {
            bench.iter_custom(|each| runtime.block_on(book(journal.clone(), batch, &booking, each)));
        });
        runtime.block_on(journal.close());
    }
    group.finish();
}

async fn book(journal: Arc<SqliteJournal>, batch: usize, booking: &Arc<Booking>, each: u64) -> Duration {
    let (opened, mut heard) = mpsc::channel(CALLERS);
    let (rides, _task) = Rides::spawn_in_batches(journal, opened, batch).await.expect("readable");
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (rides, booking) = (rides.clone(), Arc::clone(booking));
        callers.spawn(async move {
            let mut booked = Vec::new();
            for _ in 0..each {
                booked.push(rides.book(request(), Booking::clone(&booking)).await.expect("new").id);
            }
            booked
        });
    }
    let booked = callers.join_all().await.concat();
    let took = began.elapsed();
    // The next run must not find these rides open.
    let cancel = Command::Cancel { by: Actor::Rider, car: None, reason: String::new() };
    join_all(booked.iter().map(|ride| rides.command(ride, cancel.clone()))).await;
    took
}

/// Returns the directory of a closed journal with this number of events. Most of its rides are over.
fn filled(events: usize) -> TempDir {
    let dir = disk();
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let journal = open(dir.path());
        let booking = Arc::new(booking());
        let rides = events / EVENTS;
        let rides: Vec<usize> = (0..rides).collect();
        for some in rides.chunks(1_000) {
            let batch: Vec<Entry> =
                some.iter().flat_map(|n| life(&booking, *n >= rides.len() - OPEN)).collect();
            journal.append(batch).await.expect("new");
        }
        journal.close().await;
    });
    dir
}

/// Returns the events of a ride that is over, or of one whose trip goes on.
fn life(booking: &Arc<Booking>, open: bool) -> Vec<Entry> {
    let ride = new_ride();
    let crew = CarAndDriver { car: CarId::new(7).expect("positive"), driver: "driver".into() };
    let offer = OpenOffer { pickup_eta: Duration::from_secs(120), expires_at: SystemTime::now() };
    let last = if open {
        EventKind::Started
    } else {
        EventKind::Cancelled { by: Actor::Driver, reason: "no-one there".into() }
    };
    let happenings = [
        EventKind::Requested(booking.clone()),
        EventKind::Offered { crew: crew.clone(), offer },
        EventKind::Assigned(crew),
        EventKind::Arrived,
        last,
    ];
    (1..).zip(happenings).map(|(version, what)| entry(&ride, version, what)).collect()
}

fn replay(c: &mut Criterion) {
    let events = 1_000_000;
    // Lazy, because it takes long and may be filtered out.
    let journal = LazyCell::new(|| filled(events));
    let mut group = c.benchmark_group("replay of 1,000,000 events");
    group.throughput(Throughput::Elements(events as u64)).sample_size(10);
    group.bench_function("check: every event, folded and compared", |bench| {
        let dir = journal.path();
        bench.iter(|| {
            let report = maintenance::check(dir).expect("readable");
            assert_eq!((report.events, report.problems.len()), (events as u64, 0));
        });
    });
    group.bench_function("rebuild: the lists made again", |bench| {
        let dir = journal.path();
        bench.iter(|| maintenance::rebuild(dir).expect("writable"));
    });
    group.finish();
}

/// The time from opening the journal until the rides task owns every open ride.
fn recovery(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("recovery of 200 open rides");
    group.sample_size(10);
    for events in [10_000, 100_000, 1_000_000] {
        let journal = LazyCell::new(|| filled(events));
        for (how, log) in [("closed", 0), ("killed", 3_600 << 10)] {
            group.bench_function(format!("{events} events, {how}"), |bench| {
                let left = left_behind(journal.path(), log, &runtime);
                bench.iter_batched(
                    || copy_of(left.path()),
                    |dir| {
                        runtime.block_on(recover(dir.path()));
                        dir
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

async fn recover(dir: &Path) {
    let journal = Arc::new(open(dir));
    let (opened, mut heard) = mpsc::channel(OPEN);
    let (_rides, _task) = Rides::spawn(journal, opened).await.expect("readable");
    for _ in 0..OPEN {
        heard.recv().await.expect("all are taken up");
    }
}

/// Returns a copy of a journal as left by a process that was killed with `log` bytes in its write-ahead log, or
/// closed if `log` is 0.
fn left_behind(dir: &Path, log: u64, runtime: &Runtime) -> TempDir {
    if log == 0 {
        return copy_of(dir);
    }
    let written = copy_of(dir);
    let journal = open(written.path());
    let bytes = || written.path().join("rides.db-wal").metadata().map_or(0, |file| file.len());
    let booking = Arc::new(booking());
    while bytes() < log {
        let batch = life(&booking, false);
        runtime.block_on(journal.append(batch)).expect("new");
    }
    copy_of(written.path())
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = disk();
    for name in ["rides.db", "rides.db-wal"] {
        if dir.join(name).exists() {
            fs::copy(dir.join(name), copy.path().join(name)).expect("can be copied");
            // Without this, a sync that is measured would have to write the copy.
            fs::File::open(copy.path().join(name)).and_then(|file| file.sync_all()).expect("can be synced");
        }
    }
    copy
}

criterion_group!(journal, bookings, replay, recovery);
criterion_main!(journal);
