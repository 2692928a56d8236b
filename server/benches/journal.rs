//! What durability costs: bookings by group commit and one by one, replay, and recovery against size.
//!
//! All on the disk that the build is on: `cargo bench -p rides-server --bench journal`.

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rides_proto::{
    geo::LatLng,
    ids::{CarId, RideId},
};
use rides_server::rides::{
    Rides,
    journal::{
        Entry, Journal, RequestKey, SqliteJournal,
        sqlite::{SqliteOptions, upkeep},
    },
    model::{Actor, Booking, Cents, Crew, Figures, Happening, OpenOffer, RideEvent, RideType, Stop},
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};
use uuid::Uuid;

/// People who book at the same time.
const CALLERS: usize = 256;
/// Events of a ride in the journals to replay.
const EVENTS: usize = 5;
/// Rides that a restart finds open, whatever the size of its journal.
const OPEN: usize = 200;

fn disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory")
}

fn open(dir: &Path, group: usize) -> SqliteJournal {
    SqliteJournal::open(dir, SqliteOptions { group, ..SqliteOptions::default() }).expect("a journal opens")
}

/// A ride of half an hour across a city, with a corner every 100 metres.
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
        plan: Figures { distance_m: 6_000, duration: Duration::from_secs(900), fare: Cents(1_590) },
        route: (0..60).map(point).collect(),
    }
}

fn request() -> RequestKey {
    RequestKey { id: Uuid::new_v4().to_string(), fingerprint: vec![0; 60] }
}

fn entry(ride: &RideId, version: u64, what: Happening) -> Entry {
    let event = RideEvent { ride: ride.clone(), version, time: SystemTime::now(), what };
    Entry { event: Arc::new(event), request: (version == 1).then(request) }
}

fn new_ride() -> RideId {
    RideId::new(Uuid::now_v7().to_string())
}

/// Each caller waits for the disk before the next booking, as people do.
async fn book(journal: &Arc<SqliteJournal>, booking: &Arc<Booking>, each: u64) -> Duration {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (journal, booking) = (Arc::clone(journal), Arc::clone(booking));
        callers.spawn(async move {
            for _ in 0..each {
                let entry = entry(&new_ride(), 1, Happening::Requested(booking.clone()));
                journal.append(&[entry]).await.expect("new");
            }
        });
    }
    callers.join_all().await;
    began.elapsed()
}

fn bookings(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let booking = Arc::new(booking());
    let mut group = c.benchmark_group("bookings by 256 callers");
    group
        .throughput(Throughput::Elements(CALLERS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for (name, appends) in [("one commit each", 1), ("group commit", SqliteOptions::default().group)] {
        let dir = disk();
        let journal = Arc::new(open(dir.path(), appends));
        group.bench_function(name, |bench| {
            bench.iter_custom(|each| runtime.block_on(book(&journal, &booking, each)));
        });
        runtime.block_on(journal.close());
    }
    let dir = disk();
    let journal = Arc::new(open(dir.path(), SqliteOptions::default().group));
    group.bench_function("through the ride machine", |bench| {
        bench.iter_custom(|each| runtime.block_on(book_rides(journal.clone(), &booking, each)));
    });
    group.finish();
}

async fn book_rides(journal: Arc<SqliteJournal>, booking: &Arc<Booking>, each: u64) -> Duration {
    let (opened, mut heard) = mpsc::channel(CALLERS);
    // Only rides of this run are taken up: those of the runs before are called off below.
    let (rides, _task) = Rides::spawn(journal, opened).await.expect("readable");
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
    for ride in booked {
        let cancel =
            rides_server::rides::machine::Command::Cancel { by: Actor::Rider, reason: String::new() };
        rides.command(&ride, cancel).await.expect("not begun");
    }
    took
}

/// A closed journal of so many events, most of them of rides that are over.
fn filled(events: usize) -> TempDir {
    let dir = disk();
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let journal = open(dir.path(), SqliteOptions::default().group);
        let booking = Arc::new(booking());
        let rides = events / EVENTS;
        let rides: Vec<usize> = (0..rides).collect();
        for some in rides.chunks(1_000) {
            let batch: Vec<Entry> =
                some.iter().flat_map(|n| life(&booking, *n >= rides.len() - OPEN)).collect();
            journal.append(&batch).await.expect("new");
        }
        journal.close().await;
    });
    dir
}

/// A ride that a car drives to its end, or is on its way with.
fn life(booking: &Arc<Booking>, open: bool) -> Vec<Entry> {
    let ride = new_ride();
    let crew = Crew { car: CarId::new(7).expect("positive"), driver: "driver".into() };
    let offer = OpenOffer { pickup_eta: Duration::from_secs(120), expires_at: SystemTime::now() };
    let last = if open {
        Happening::Started
    } else {
        Happening::Cancelled { by: Actor::Driver, reason: "no-one there".into() }
    };
    let happenings = [
        Happening::Requested(booking.clone()),
        Happening::Offered { crew: crew.clone(), offer },
        Happening::Assigned(crew),
        Happening::Arrived,
        last,
    ];
    (1..).zip(happenings).map(|(version, what)| entry(&ride, version, what)).collect()
}

fn replay(c: &mut Criterion) {
    let events = 1_000_000;
    let dir = filled(events);
    let mut group = c.benchmark_group("replay of 1,000,000 events");
    group.throughput(Throughput::Elements(events as u64)).sample_size(10);
    group.bench_function("check: every event, folded and compared", |bench| {
        bench.iter(|| {
            let report = upkeep::check(dir.path()).expect("readable");
            assert_eq!((report.events, report.problems.len()), (events as u64, 0));
        });
    });
    group.bench_function("rebuild: the lists made again", |bench| {
        bench.iter(|| upkeep::rebuild(dir.path()).expect("writable"));
    });
    group.finish();
}

fn recovery(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("recovery of 200 open rides");
    group.sample_size(10);
    for events in [10_000, 100_000, 1_000_000] {
        let dir = filled(events);
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{events} events")),
            &dir,
            |bench, dir| {
                bench.iter(|| {
                    let journal = open(dir.path(), 1);
                    let unfinished = runtime.block_on(journal.unfinished()).expect("readable");
                    assert_eq!(black_box(unfinished).len(), OPEN);
                    runtime.block_on(journal.close());
                });
            },
        );
    }
    group.finish();
}

criterion_group!(journal, bookings, replay, recovery);
criterion_main!(journal);
