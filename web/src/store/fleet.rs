//! The model of the cars: fleet frames change it, and the painter reads glides from it. Positions are never signals.

use rides_proto::{
    geo::{Bounds, EARTH_RADIUS_M},
    ids::CarNumber,
    tiles::{CELLS_PER_SIDE, Cell, CellBox, WORLD_SIDE, WorldPoint},
};
use rustc_hash::FxHashMap;

use super::glide_timing::GlideTiming;
use crate::model::{CarGlide, CarState, CarsInView, Detail, Millis};

/// The longest glide in metres. A car that moved further between two reports is drawn at its new position at once.
const JUMP_M: f64 = 300.0;
/// A longer time between two reports means that the car stood still. It does not count for the interval of its
/// reports.
const MAX_REPORT_GAP: Millis = 1_500.0;

/// A message of the fleet stream.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FleetFrame {
    /// The time of the frame by the server's clock, in Unix milliseconds.
    pub time: f64,
    /// The epoch of ticks and car numbers, in the first message of a stream.
    pub epoch: Option<String>,
    /// The length of a tick, in the first message of a stream.
    pub tick_interval: Option<Millis>,
    /// The number of zoom levels from cells out to the tiles of `densities`, in the first message of a stream.
    pub levels: Option<u32>,
    /// The detail, in the first message of a stream and after each change.
    pub detail: Option<Detail>,
    /// The cells that changed, in the detail `Cars`.
    pub cells: Vec<CellUpdate>,
    /// The number of cars in each tile where that number changed, in the detail `Densities`.
    pub densities: Vec<(Cell, u32)>,
}

/// The changed cars of one cell, or all cars of the cell.
#[derive(Clone, PartialEq, Debug)]
pub struct CellUpdate {
    /// The cell.
    pub cell: Cell,
    /// The tick of the update.
    pub tick: u64,
    /// `true` if the update lists all cars of the cell.
    pub snapshot: bool,
    /// New and changed cars, in no order.
    pub cars: Vec<CarReport>,
    /// Cars that only moved since the previous update.
    pub moved: Vec<CarMove>,
    /// Cars that have left the cell.
    pub left: Vec<CarNumber>,
}

/// The state of one car in a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarReport {
    /// The number of the car.
    pub number: CarNumber,
    /// The position.
    pub at: WorldPoint,
    /// The direction of travel, in turns clockwise from north.
    pub turn: f32,
    /// The state.
    pub state: CarState,
}

/// The movement of one car in a frame, if nothing else about it changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarMove {
    /// The number of the car.
    pub number: CarNumber,
    /// The distance east and south from its previous reported position, in units of [`WorldPoint`].
    pub way: (i32, i32),
    /// The direction of travel, in turns clockwise from north.
    pub turn: f32,
}

/// The cars of the watched cells, or the densities of the watched tiles.
#[derive(Default)]
pub struct FleetModel {
    cars: FxHashMap<CarNumber, Car>,
    /// The newest tick of each cell all of whose cars are known.
    cells: FxHashMap<Cell, u64>,
    /// The number of cars in each tile that has any; `None` in the detail `Cars`.
    densities: Option<FxHashMap<Cell, u32>>,
    /// The number of zoom levels from cells out to these tiles.
    levels: u32,
    /// The area that the screen shows; `None` before the map has set it.
    screen: Option<Screen>,
    epoch: String,
    pace: GlideTiming,
    revision: u64,
}

/// A box in the unit-Mercator square: its north-western and south-eastern corners.
pub type Screen = ((f64, f64), (f64, f64));

struct Car {
    cell: Cell,
    /// The tick of the newest report.
    tick: u64,
    /// The position in the newest report.
    at: WorldPoint,
    /// The smoothed number of ticks between reports.
    gap: f64,
    glide: CarGlide,
}

impl FleetModel {
    /// Returns the glides of all cars, in no order.
    pub fn glides(&self) -> impl Iterator<Item = CarGlide> {
        self.cars.values().map(|car| car.glide)
    }

    /// Returns the glide of one car.
    pub fn glide(&self, number: CarNumber) -> Option<CarGlide> {
        self.cars.get(&number).map(|car| car.glide)
    }

    /// Returns the tiles that have cars and the number of cars in each, in no order. Returns `None` in the
    /// detail `Cars`.
    pub fn densities(&self) -> Option<impl Iterator<Item = (Cell, u32)>> {
        self.densities.as_ref().map(|cells| cells.iter().map(|(cell, cars)| (*cell, *cars)))
    }

    /// Returns the number of zoom levels from cells out to the tiles of [`FleetModel::densities`].
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// Returns a number that changes with each change of a car or a density.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Sets the area that the screen shows. With `None`, everything counts as in view.
    pub fn set_screen(&mut self, screen: Option<Screen>) {
        self.screen = screen;
    }

    /// Returns the states of the cars on the screen, in no order.
    pub fn states_in_view(&self) -> impl Iterator<Item = CarState> {
        let is_in_view = |car: &&Car| {
            self.screen.is_none_or(|((west, north), (east, south))| {
                let (x, y) = car.glide.to;
                (west..=east).contains(&x) && (north..=south).contains(&y)
            })
        };
        self.cars.values().filter(is_in_view).map(|car| car.glide.state)
    }

    /// Returns the number of cars on the screen and the detail. A tile that is partly on the screen counts with
    /// all of its cars, as its number on the map does.
    pub fn in_view(&self) -> CarsInView {
        match &self.densities {
            None => CarsInView { count: self.states_in_view().count(), detail: Detail::Cars },
            Some(tiles) => {
                let seen = tiles.iter().filter(|(tile, _)| self.is_on_screen(**tile));
                CarsInView { count: seen.map(|(_, cars)| *cars as usize).sum(), detail: Detail::Densities }
            }
        }
    }

    fn is_on_screen(&self, tile: Cell) -> bool {
        let tiles = f64::from(CELLS_PER_SIDE >> self.levels);
        let meets =
            |at: u32, from: f64, to: f64| from * tiles < f64::from(at + 1) && f64::from(at) < to * tiles;
        self.screen.is_none_or(|((west, north), (east, south))| {
            meets(tile.x(), west, east) && meets(tile.y(), north, south)
        })
    }

    /// Returns the server's clock at `now`, in Unix milliseconds, or `None` before the first frame.
    pub fn server_time(&self, now: Millis) -> Option<f64> {
        self.pace.server_time(now)
    }

    /// Returns the epoch of ticks and car numbers; empty before the first frame.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the cursors for the next stream: each completely known cell of `viewport` and its newest tick.
    pub fn cursors_in(&self, viewport: Bounds) -> impl Iterator<Item = (Cell, u64)> {
        let view = CellBox::of(viewport);
        self.cells.iter().map(|(cell, tick)| (*cell, *tick)).filter(move |(cell, _)| view.contains(*cell))
    }

    /// Forgets everything outside the cells of `viewport`, because no stream updates it any more.
    pub fn keep_within(&mut self, viewport: Bounds) {
        let view = CellBox::of(viewport);
        let tiles = view.coarser(self.levels);
        self.cells.retain(|cell, _| view.contains(*cell));
        let known = |fleet: &Self| (fleet.cars.len(), fleet.densities.as_ref().map(FxHashMap::len));
        let before = known(self);
        self.cars.retain(|_, car| view.contains(car.cell));
        if let Some(densities) = &mut self.densities {
            densities.retain(|tile, _| tiles.contains(*tile));
        }
        self.revision += u64::from(known(self) != before);
    }

    /// Forgets all cars. The next message must have every car.
    pub fn forget_cars(&mut self) {
        self.cars.clear();
        self.cells.clear();
        self.revision += 1;
    }

    /// Applies a message that arrived at `now`.
    ///
    /// The messages of two streams may mix while one replaces the other. An update that is not newer than its
    /// cell is ignored.
    pub fn apply(&mut self, frame: &FleetFrame, now: Millis) {
        if let Some(epoch) = frame.epoch.as_ref().filter(|epoch| **epoch != self.epoch) {
            *self = Self {
                epoch: epoch.clone(),
                screen: self.screen,
                revision: self.revision + 1,
                ..Self::default()
            };
        }
        if let Some(interval) = frame.tick_interval {
            self.pace.set_interval(interval);
        }
        if let Some(levels) = frame.levels {
            self.levels = levels;
        }
        self.pace.arrived(frame.time, now);
        if let Some(detail) = frame.detail {
            self.change_detail(detail);
        }
        match &mut self.densities {
            Some(densities) => {
                for (cell, cars) in &frame.densities {
                    densities.insert(*cell, *cars);
                }
                densities.retain(|_, cars| *cars > 0);
                self.revision += u64::from(!frame.densities.is_empty());
            }
            None => self.apply_cells(frame, now),
        }
    }

    /// Changes the detail and forgets the data of the other detail. `Densities` always starts empty, since the
    /// stream sends all of them again.
    fn change_detail(&mut self, detail: Detail) {
        match detail {
            Detail::Cars if self.densities.is_none() => return,
            Detail::Cars => self.densities = None,
            Detail::Densities => {
                self.forget_cars();
                self.densities = Some(FxHashMap::default());
            }
        }
        self.revision += 1;
    }

    fn apply_cells(&mut self, frame: &FleetFrame, now: Millis) {
        // A cell may come in several pieces, all with the same tick. All updates are compared with the known
        // ticks before the first is applied.
        let is_news =
            |update: &&CellUpdate| self.cells.get(&update.cell).is_none_or(|tick| *tick < update.tick);
        let news: Vec<&CellUpdate> = frame.cells.iter().filter(is_news).collect();
        // Cars are applied before absences. A car that changes its cell is then in the new cell before the old
        // one removes it.
        for update in &news {
            for report in &update.cars {
                self.report(update, report, frame.time, now);
            }
            for moved in &update.moved {
                // If the car or its cell is unknown, the next stream sends the whole cell.
                if let Some(report) = self.report_of(update.cell, moved) {
                    self.report(update, &report, frame.time, now);
                }
            }
        }
        self.remove_absent(&news);
        for update in &news {
            // An update without a snapshot before it does not make the cell known. The next stream must send
            // the whole cell.
            if update.snapshot || self.cells.contains_key(&update.cell) {
                self.cells.insert(update.cell, update.tick);
            }
        }
        self.revision += u64::from(!news.is_empty());
    }

    fn report_of(&self, cell: Cell, moved: &CarMove) -> Option<CarReport> {
        let car = self.cars.get(&moved.number).filter(|car| car.cell == cell)?;
        let at = WorldPoint {
            x: car.at.x.wrapping_add_signed(moved.way.0),
            y: car.at.y.wrapping_add_signed(moved.way.1),
        };
        Some(CarReport { number: moved.number, at, turn: moved.turn, state: car.glide.state })
    }

    fn report(&mut self, update: &CellUpdate, report: &CarReport, time: f64, now: Millis) {
        let Some(car) = self.cars.get_mut(&report.number) else {
            let glide = glide_at_rest(report, now);
            let car = Car { cell: update.cell, tick: update.tick, at: report.at, gap: 1.0, glide };
            self.cars.insert(report.number, car);
            return;
        };
        let Some(gap) = update.tick.checked_sub(car.tick) else { return };
        if gap > 0 && self.pace.ticks(gap) < MAX_REPORT_GAP {
            car.gap += (gap as f64 - car.gap) / 4.0;
        }
        (car.cell, car.tick, car.at) = (update.cell, update.tick, report.at);
        car.glide = glide_to(&car.glide, report, now, self.pace.due(time, car.gap, now));
    }

    fn remove_absent(&mut self, news: &[&CellUpdate]) {
        for update in news {
            for number in &update.left {
                if self.cars.get(number).is_some_and(|car| car.cell == update.cell && car.tick <= update.tick)
                {
                    self.cars.remove(number);
                }
            }
        }
        let snapshots: FxHashMap<Cell, u64> =
            news.iter().filter(|update| update.snapshot).map(|update| (update.cell, update.tick)).collect();
        if !snapshots.is_empty() {
            // Every car that a snapshot lists has the tick of the snapshot by now.
            self.cars.retain(|_, car| snapshots.get(&car.cell).is_none_or(|tick| car.tick >= *tick));
        }
    }
}

fn unit(point: WorldPoint) -> (f64, f64) {
    let unit = |v: u32| (f64::from(v) + 0.5) / f64::from(WORLD_SIDE);
    (unit(point.x), unit(point.y))
}

fn glide_at_rest(report: &CarReport, now: Millis) -> CarGlide {
    let at = unit(report.at);
    CarGlide {
        number: report.number,
        from: at,
        to: at,
        from_turn: report.turn,
        to_turn: report.turn,
        from_at: now,
        to_at: now,
        state: report.state,
    }
}

/// Returns the glide from the car's drawn position at `now` to its reported position, where it arrives at `due`.
fn glide_to(glide: &CarGlide, report: &CarReport, now: Millis, due: Millis) -> CarGlide {
    let (from, from_turn) = drawn(glide, now);
    let to = unit(report.at);
    if distance_m(from, to) > JUMP_M {
        return glide_at_rest(report, now);
    }
    let from_turn = from_turn - from_turn.floor();
    let to_turn = from_turn + short_way(report.turn - from_turn);
    CarGlide { from, to, from_turn, to_turn, from_at: now, to_at: due, state: report.state, ..*glide }
}

/// Returns the position and the heading of a glide at `now`.
fn drawn(glide: &CarGlide, now: Millis) -> ((f64, f64), f32) {
    let length = glide.to_at - glide.from_at;
    let t = if length > 0.0 { ((now - glide.from_at) / length).clamp(0.0, 1.0) } else { 1.0 };
    let mix = |from: f64, to: f64| from + (to - from) * t;
    let at = (mix(glide.from.0, glide.to.0), mix(glide.from.1, glide.to.1));
    (at, glide.from_turn + (glide.to_turn - glide.from_turn) * t as f32)
}

/// Returns the same turn in the range [-0.5, 0.5).
fn short_way(turn: f32) -> f32 {
    turn - (turn + 0.5).floor()
}

/// Returns the distance in metres between two points of the unit-Mercator square that are near each other.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    use std::f64::consts::{PI, TAU};
    let side = TAU * EARTH_RADIUS_M / (PI * (1.0 - 2.0 * a.1)).cosh();
    (b.0 - a.0).hypot(b.1 - a.1) * side
}

#[cfg(test)]
mod tests;
