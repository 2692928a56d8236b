//! Benchmarks of an incoming position: from the bytes of a `Rides.Track` upload, through the handler, to the
//! state of the fleet. All on one thread.
//!
//! `cargo bench -p rides-server --bench ingest`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use rides_proto::{
    geo::LatLng,
    ids::CarId,
    v1::{self, rides_server::RidesServer},
};
use rides_server::{
    access::Principal,
    city::City,
    fleet::{Fleet, FleetOptions, PositionReport},
    rides::{Rides, journal::MemoryJournal},
    services::{booking_limits::BookingLimits, rides::RidesService},
};
use tokio::{runtime, sync::mpsc};
use tower::ServiceExt as _;

/// The number of positions in one upload.
const POSITIONS: u32 = 100_000;
/// The number of cars that the positions belong to.
const CARS: u32 = 10_000;

/// Returns the position of a car in its `round`th report.
fn place(car: u32, round: u32) -> LatLng {
    let (row, column) = (f64::from(car / 100), f64::from(car % 100));
    LatLng::new(60.15 + row * 0.001 + f64::from(round) * 0.000_02, 24.85 + column * 0.002).expect("on Earth")
}

fn reports() -> impl Iterator<Item = (u32, LatLng)> {
    (0..POSITIONS).map(|n| (n % CARS + 1, place(n % CARS, n / CARS)))
}

/// Returns the bytes of an upload by a gateway.
fn upload() -> Bytes {
    let mut body = BytesMut::new();
    for (car, at) in reports() {
        let location = Some(v1::Location { lat: at.lat(), lng: at.lng() });
        let time = Some(SystemTime::now().into());
        let message = v1::TrackRequest { car_id: car.into(), time, location };
        body.put_u8(0);
        body.put_u32(message.encoded_len() as u32);
        message.encode(&mut body).expect("there is room");
    }
    body.freeze()
}

/// Starts a fleet whose ticks are dropped.
fn fleet() -> Fleet {
    let (ticks, mut heard) = mpsc::channel(4);
    let (gone, _) = mpsc::channel(16);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    Fleet::spawn(FleetOptions::default(), ticks, gone).0
}

/// Waits until the fleet has applied all reports.
async fn settled(fleet: &Fleet) {
    let any = CarId::new(1).expect("positive");
    fleet.car(any).await.expect("it runs").expect("it was reported");
}

fn ingest(c: &mut Criterion) {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(POSITIONS.into()));

    let (fleet, service) = runtime.block_on(async {
        let fleet = fleet();
        let (opened, _) = mpsc::channel(16);
        let (rides, _) =
            Rides::spawn(Arc::new(MemoryJournal::new()), opened).await.expect("an empty journal");
        let city = Arc::new(City::embedded());
        (fleet.clone(), RidesServer::new(RidesService::new(city, fleet, rides, BookingLimits::default())))
    });
    let body = upload();
    group.bench_function("track", |b| {
        b.to_async(&runtime).iter(|| async {
            let request = http::Request::post("/rides.v1.Rides/Track")
                .extension(Principal::Anonymous)
                .body(Full::new(body.clone()));
            let response = service.clone().oneshot(request.expect("a request")).await.expect("never fails");
            let answer = response.into_body().collect().await.expect("a body");
            assert_eq!(answer.trailers().expect("a status")["grpc-status"], "0");
            settled(&fleet).await;
        });
    });
    group.bench_function("fleet", |b| {
        let report = |(car, at): (u32, LatLng)| PositionReport {
            car: CarId::new(car.into()).expect("positive"),
            at,
            heading_deg: None,
            time: SystemTime::now(),
        };
        let reports: Vec<_> = reports().map(report).collect();
        b.to_async(&runtime).iter(|| async {
            for batch in reports.chunks(64) {
                fleet.report(batch.to_vec()).await.expect("it runs");
            }
            settled(&fleet).await;
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = ingest
}
criterion_main!(benches);
