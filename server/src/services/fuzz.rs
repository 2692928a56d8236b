//! A fuzz target: requests of `Fleet.Watch`.

use std::{sync::LazyLock, time::SystemTime};

use bytes::Bytes;
use prost::Message as _;
use rides_proto::{geo::Bounds, ids::CarNumber, tiles::Cell, v1};
use tokio::{
    runtime::{self, Runtime},
    sync::mpsc,
};

use super::watch_fleet::open;
use crate::{
    fanout::{Fanout, FanoutOptions, Viewer},
    positions::{CarDot, CarState, CellChange, FleetTick, Heading},
};

/// Two cells in the middle of Helsinki.
const CELLS: [u32; 2] = [18653 << 15 | 9484, 18653 << 15 | 9485];

/// The length of the prefix of a gRPC message in bytes: one of flags, four of length.
const PREFIX: usize = 5;

static MAP: LazyLock<Map> = LazyLock::new(Map::new);

/// Checks one request of `Fleet.Watch`. It is refused, or its first message has only cells of the requested viewport.
pub fn viewport(input: &[u8]) {
    let Ok(request) = v1::WatchFleetRequest::decode(input) else { return };
    let Ok(viewer) = open(&MAP.fanout, &request) else { return };
    let view = request.viewport.and_then(|view| Bounds::try_from(view).ok()).expect("open accepted it");
    let message = MAP.look(viewer).split_off(PREFIX);
    let message = v1::WatchFleetResponse::decode(message).expect("a valid message");
    assert!(!message.epoch.is_empty(), "the first message has no epoch");
    for number in message.cells.iter().map(|frame| frame.cell) {
        assert!(
            Cell::all_in(view).any(|cell| cell.number() == number),
            "cell {number} is not in the viewport"
        );
    }
}

/// A fan-out that has had one tick, with four cars.
struct Map {
    runtime: Runtime,
    fanout: Fanout,
    /// Kept open, because the streams of viewers end when the sender is dropped.
    _ticks: mpsc::Sender<FleetTick>,
}

impl Map {
    fn new() -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (ticks, every_tick) = mpsc::channel(1);
        let options = FanoutOptions { viewer_cars: 3, ..FanoutOptions::default() };
        let (fanout, _task) = runtime.block_on(async { Fanout::spawn(every_tick, options) });
        ticks.try_send(tick()).expect("there is room");
        Self { runtime, fanout, _ticks: ticks }
    }

    /// Returns the first message of a viewer.
    fn look(&self, mut viewer: Viewer) -> Bytes {
        self.runtime.block_on(viewer.next()).expect("a message of the first tick")
    }
}

fn tick() -> FleetTick {
    let cells = CELLS.map(|number| {
        let cell = Cell::new(number).expect("it is on Earth");
        let car = |number| CarDot {
            number: CarNumber(number),
            at: cell.point(number as i32, 0),
            heading: Heading::default(),
            state: CarState::Free,
        };
        CellChange { cell, changed: [1, 2].map(|n| car(number + n)).to_vec(), left: Vec::new() }
    });
    FleetTick { tick: 1, time: SystemTime::now(), cells: cells.into() }
}
