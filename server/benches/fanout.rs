//! What a tick costs: encoding a fleet that moves, joining a viewport with the map, and one more viewer of it.
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
    fanout::{Ask, Board, Detail, Have},
    positions::{CarDot, CarState, CellChange, FleetTick, Heading},
};

const FLEETS: [u32; 3] = [1_000, 10_000, 100_000];
/// Cars in the viewport, whatever the fleet.
const IN_VIEW: u32 = 200;

fn bounds(south: f64, west: f64, north: f64, east: f64) -> Bounds {
    let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
    Bounds::new(corner(south, west), corner(north, east)).expect("right way round")
}

/// Some streets of the centre, on a screen.
fn viewport() -> Bounds {
    bounds(60.16, 24.92, 60.18, 24.96)
}

/// A city around it, of about 25 km a side.
fn city() -> Bounds {
    bounds(60.2, 24.7, 60.42, 25.15)
}

/// A fleet that moves by a few metres a tick.
struct Fleet {
    cars: Vec<CarDot>,
    rng: SmallRng,
    tick: u64,
}

impl Fleet {
    /// The first [`IN_VIEW`] cars are in the viewport, the others elsewhere in the city.
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

    /// The map after two ticks, and the next one.
    fn on_board(&mut self) -> (Board, FleetTick) {
        let board = Board::new("bench", Duration::from_millis(250));
        let board = board.after(self.drive(), Duration::ZERO).after(self.drive(), Duration::ZERO);
        (board, self.drive())
    }
}

fn change(cells: &mut BTreeMap<Cell, CellChange>, cell: Cell) -> &mut CellChange {
    cells.entry(cell).or_insert_with(|| CellChange { cell, changed: vec![], left: vec![] })
}

/// For whoever has everything up to the tick before.
fn next_after(tick: &FleetTick) -> Ask {
    Ask { detail: Detail::Cars, have: Have::Tick(tick.tick - 1), moves: true }
}

/// A tick of a fleet that all moves. Cells become bytes only when someone looks at them: see `encode`.
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

/// All of the city as bytes, for the first who looks at it.
fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/encode");
    for cars in FLEETS {
        let (board, tick) = Fleet::of(cars).on_board();
        group.throughput(Throughput::Elements(cars.into()));
        group.bench_function(BenchmarkId::from_parameter(cars), |b| {
            b.iter_batched_ref(
                || board.after(tick.clone(), Duration::ZERO),
                |board| black_box(board.in_view(CellBox::of(city())).message(board, next_after(&tick))),
                BatchSize::LargeInput,
            );
        });
    }
}

/// What a viewer costs who is alone with its viewport, as the fleet around it grows.
fn join(c: &mut Criterion) {
    let mut group = c.benchmark_group("view/join");
    for cars in FLEETS {
        let (board, tick) = Fleet::of(cars).on_board();
        let view = CellBox::of(viewport());
        group.bench_function(BenchmarkId::from_parameter(cars), |b| {
            b.iter_batched_ref(
                || board.after(tick.clone(), Duration::ZERO),
                |board| {
                    let in_view = board.in_view(view);
                    black_box(in_view.message(board, next_after(&tick)))
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// What one more viewer costs who sees what others see.
fn share(c: &mut Criterion) {
    let (board, tick) = Fleet::of(2_000).on_board();
    let board = board.after(tick.clone(), Duration::ZERO);
    let view = CellBox::of(bounds(60.15, 24.7, 60.42, 25.15));
    let look = || board.in_view(view).message(&board, next_after(&tick));
    c.bench_function("view/shared", |b| b.iter(|| black_box(look())));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = apply, encode, join, share
}
criterion_main!(benches);
