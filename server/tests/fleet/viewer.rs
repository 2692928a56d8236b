//! A viewer's copy of the map, made from fleet frames as a page does.

use std::{collections::BTreeMap, time::SystemTime};

use rides_proto::{
    tiles::Cell,
    v1::{self, CarState, Location, MapDetail},
};
use tonic::Status;

use crate::harness::{
    soon,
    wire::{Messages, Wire},
};

/// A car on a viewer's map.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Dot {
    pub(crate) cell: u32,
    pub(crate) at: Location,
    pub(crate) heading: u32,
    pub(crate) state: CarState,
}

/// A `Fleet.Watch` stream whose frames have been applied.
pub(crate) struct Viewer {
    pub(crate) epoch: String,
    pub(crate) cars: BTreeMap<u32, Dot>,
    /// The last tick of each cell.
    pub(crate) cells: BTreeMap<u32, u64>,
    /// The number of cars in each cell, while there are too many cars to show.
    pub(crate) counts: BTreeMap<u32, u32>,
    pub(crate) detail: MapDetail,
    frames: Messages<v1::WatchFleetResponse>,
    tick: u64,
}

/// All of central Helsinki.
pub(crate) fn helsinki() -> v1::Bounds {
    v1::Bounds { south: 60.14, west: 24.88, north: 60.20, east: 25.02 }
}

pub(crate) async fn watch(
    wire: &Wire,
    request: v1::WatchFleetRequest,
) -> Result<Messages<v1::WatchFleetResponse>, Status> {
    wire.open("/rides.v1.Fleet/Watch", request).await
}

impl Viewer {
    /// Opens a stream for `viewport` and applies its first frame.
    pub(crate) async fn of(wire: &Wire, viewport: v1::Bounds) -> Self {
        Self::open(wire, v1::WatchFleetRequest { viewport: Some(viewport), ..Default::default() }).await
    }

    /// Opens another stream with the cursors of this one.
    pub(crate) async fn resume(self, wire: &Wire, epoch: &str, viewport: v1::Bounds) -> Self {
        let cursors = self.cells.iter().map(|(&cell, &tick)| v1::CellCursor { cell, tick }).collect();
        let viewport = Some(viewport);
        let request = v1::WatchFleetRequest { viewport, cursors, epoch: epoch.into(), ..Default::default() };
        Self::open(wire, request).await
    }

    async fn open(wire: &Wire, request: v1::WatchFleetRequest) -> Self {
        let mut frames = watch(wire, request).await.unwrap();
        let first = frames.expect().await;
        assert!(!first.epoch.is_empty(), "the first message names the epoch");
        let interval = first.tick_interval.as_ref().unwrap();
        assert_eq!((interval.seconds, interval.nanos), (0, 250_000_000));
        let epoch = first.epoch.clone();
        let mut viewer = Self {
            epoch,
            cars: BTreeMap::new(),
            cells: BTreeMap::new(),
            counts: BTreeMap::new(),
            detail: MapDetail::Unspecified,
            frames,
            tick: 0,
        };
        viewer.apply(&first);
        viewer
    }

    /// Applies frames until there are `count` cars.
    pub(crate) async fn until_cars(&mut self, count: usize) {
        let frames = async {
            while self.cars.len() != count {
                self.next().await;
            }
        };
        soon("all cars", frames).await;
    }

    /// Applies the next frame.
    pub(crate) async fn next(&mut self) {
        let frame = self.frames.expect().await;
        assert!(frame.epoch.is_empty() && frame.tick_interval.is_none(), "epoch comes once");
        self.apply(&frame);
    }

    /// Applies frames until car `number` satisfies `wanted`. `None` means that the car is not on the map.
    pub(crate) async fn until(&mut self, number: u32, wanted: impl Fn(Option<Dot>) -> bool) -> Option<Dot> {
        let search = async {
            loop {
                let dot = self.cars.get(&number).copied();
                if wanted(dot) {
                    return dot;
                }
                self.next().await;
            }
        };
        soon("the wanted state of the car", search).await
    }

    fn apply(&mut self, frame: &v1::WatchFleetResponse) {
        assert!(frame.tick >= self.tick, "ticks go forwards");
        self.tick = frame.tick;
        let time = SystemTime::try_from(frame.time.unwrap()).unwrap();
        assert!(time <= SystemTime::now());
        if frame.detail() != MapDetail::Unspecified {
            self.detail = frame.detail();
            self.cars.clear();
            self.cells.clear();
            self.counts.clear();
        }
        assert!(frame.cells.is_empty() || self.detail == MapDetail::Cars);
        assert!(frame.densities.is_empty() || self.detail == MapDetail::Densities);
        for cell in &frame.cells {
            self.apply_cell(cell);
        }
        for density in &frame.densities {
            self.counts.insert(density.cell, density.cars);
        }
    }

    /// Applies frames until the cells count `cars` cars.
    pub(crate) async fn until_counted(&mut self, cars: u32) {
        let frames = async {
            while self.counts.values().sum::<u32>() != cars {
                self.next().await;
            }
        };
        soon("the count", frames).await;
    }

    fn apply_cell(&mut self, frame: &v1::CellFrame) {
        let columns = [frame.dx.len(), frame.dy.len(), frame.headings.len(), frame.states.len()];
        assert_eq!(columns, [frame.cars.len(); 4], "columns are of one length");
        if frame.snapshot {
            self.cars.retain(|_, dot| dot.cell != frame.cell);
        }
        for number in &frame.left {
            // A car that moved to a neighbouring cell may be there already.
            if self.cars.get(number).is_some_and(|dot| dot.cell == frame.cell) {
                self.cars.remove(number);
            }
        }
        let cell = Cell::new(frame.cell).unwrap();
        for (i, &number) in frame.cars.iter().enumerate() {
            let at = cell.point(frame.dx[i], frame.dy[i]).lat_lng().into();
            let state = frame.states().nth(i).unwrap();
            self.cars.insert(number, Dot { cell: frame.cell, at, heading: frame.headings[i], state });
        }
        self.cells.insert(frame.cell, frame.tick);
    }
}
