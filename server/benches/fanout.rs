//! Benchmarks of a fan-out tick: a fleet in which all cars move, a new view, and one more viewer of a shared view.
//!
//! `cargo bench -p rides-server --bench fanout`.

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, SystemTime},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rides_proto::{
    geo::{Bounds, LatLng},
    ids::CarNumber,
    tiles::{Cell, CellBox, WorldPoint},
};
use rides_server::{
    fanout::{Baseline, Detail, FleetMap, MessageKey},
    positions::{CarDot, CarState, CellChange, FleetTick, Heading},
};

const FLEETS: [u32; 3] = [1_000, 10_000, 100_000];
/// The number of cars in the viewport, whatever the size of the fleet.
const IN_VIEW: u32 = 200;

fn bounds(south: f64, west: f64, north: f64, east: f64) -> Bounds {
    let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
    Bounds::new(corner(south, west), corner(north, east)).expect("south-west before north-east")
}

/// A part of the city centre that fits on a screen.
fn viewport() -> Bounds {
    bounds(60.16, 24.92, 60.18, 24.96)
}

/// A city of about 25 km a side, north of the viewport.
fn city() -> Bounds {
    bounds(60.2, 24.7, 60.42, 25.15)
}

/// A fleet in which every car moves a few metres per tick.
struct Fleet {
    cars: Vec<CarDot>,
    rng: SmallRng,
    tick: u64,
}

impl Fleet {
    /// Places the first [`IN_VIEW`] cars in the viewport, and the others elsewhere in the city.
    fn of(cars: u32) -> Self {
        let mut rng = SmallRng::seed_from_u64(1);
        let car = |number| {
            let within = if number < IN_VIEW { viewport() } else { city() };
            let (sw, ne) = (within.south_west(), within.north_east());
            let at = LatLng::new(rng.random_range(sw.lat()..ne.lat()), rng.random_range(sw.lng()..ne.lng()));
            CarDot {
                number: CarNumber(number),
                at: WorldPoint::of(at.expect("on Earth")),
                heading: Heading::from_deg(rng.random_range(0.0..360.0)),
                state: CarState::Free,
            }
        };
        Self { cars: (0..cars).map(car).collect(), rng: SmallRng::seed_from_u64(2), tick: 0 }
    }

    fn drive(&mut self) -> FleetTick {
        self.tick += 1;
        let mut cells = BTreeMap::new();
        for car in &mut self.cars {
            let before = Cell::of(car.at);
            car.at.x = car.at.x.wrapping_add_signed(self.rng.random_range(-90..=90));
            car.at.y = car.at.y.wrapping_add_signed(self.rng.random_range(-90..=90));
            let after = Cell::of(car.at);
            change(&mut cells, after).changed.push(*car);
            if after != before {
                change(&mut cells, before).left.push(car.number);
            }
        }
        FleetTick { tick: self.tick, time: SystemTime::UNIX_EPOCH, cells: cells.into_values().collect() }
    }

    /// Returns the board after two ticks, and the third tick.
    fn on_board(&mut self) -> (FleetMap, FleetTick) {
        let board = FleetMap::new("bench", Duration::from_millis(250));
        let board = board.after(self.drive(), Duration::ZERO).after(self.drive(), Duration::ZERO);
        (board, self.drive())
    }
}

fn change(cells: &mut BTreeMap<Cell, CellChange>, cell: Cell) -> &mut CellChange {
    cells.entry(cell).or_insert_with(|| CellChange { cell, changed: vec![], left: vec![] })
}

/// Returns the ask of a viewer that has everything up to the tick before.
fn next_after(tick: &FleetTick) -> MessageKey {
    MessageKey { detail: Detail::Cars, baseline: Baseline::Tick(tick.tick - 1), moves: true }
}

/// A tick in which all cars move. It encodes nothing: cells are encoded when a viewer needs them, as in `encode`.
fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("board/apply");
    for cars in FLEETS {
        let (board, tick) = Fleet::of(cars).on_board();
        group.throughput(Throughput::Elements(cars.into()));
        group.bench_function(BenchmarkId::from_parameter(cars), |b| {
            b.iter_batched(|| tick.clone(), |tick| board.after(tick, Duration::ZERO), BatchSize::LargeInput);
        });
    }
}

/// The encoding of the whole city, for its first viewer.
fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/encode");
    for cars in FLEETS {
        let (board, tick) = Fleet::of(cars).on_board();
        group.throughput(Throughput::Elements(cars.into()));
        group.bench_function(BenchmarkId::from_parameter(cars), |b| {
            b.iter_batched_ref(
                || board.after(tick.clone(), Duration::ZERO),
                |board| black_box(board.shared_view(CellBox::of(city())).message(board, next_after(&tick))),
                BatchSize::LargeInput,
            );
        });
    }
}

/// The cost of a viewer that shares its viewport with no other, as the fleet around it grows.
fn join(c: &mut Criterion) {
    let mut group = c.benchmark_group("view/join");
    for cars in FLEETS {
        let (board, tick) = Fleet::of(cars).on_board();
        let view = CellBox::of(viewport());
        group.bench_function(BenchmarkId::from_parameter(cars), |b| {
            b.iter_batched_ref(
                || board.after(tick.clone(), Duration::ZERO),
                |board| {
                    let in_view = board.shared_view(view);
                    black_box(in_view.message(board, next_after(&tick)))
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// The cost of one more viewer that sees the same as others.
fn share(c: &mut Criterion) {
    let (board, tick) = Fleet::of(2_000).on_board();
    let board = board.after(tick.clone(), Duration::ZERO);
    let view = CellBox::of(bounds(60.15, 24.7, 60.42, 25.15));
    let look = || board.shared_view(view).message(&board, next_after(&tick));
    c.bench_function("view/shared", |b| b.iter(|| black_box(look())));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = apply, encode, join, share
}
criterion_main!(benches);
