//! Where the cars are: fleet frames in, glides to draw out. Positions are never signals.

use rides_proto::{
    geo::{Bounds, EARTH_RADIUS_M},
    ids::CarNumber,
    tiles::{CELLS_PER_SIDE, Cell, CellBox, WORLD_SIDE, WorldPoint},
};
use rustc_hash::FxHashMap;

use super::pace::Pace;
use crate::model::{CarGlide, CarState, CarsInView, Detail, Millis};

/// A car that moved further than this between two reports is put there at once, in metres.
const JUMP_M: f64 = 300.0;
/// A car that was silent for longer stood still: that says nothing about how often it reports.
const STOOD_STILL: Millis = 1_500.0;

/// One message of a fleet stream.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FleetFrame {
    /// When it was taken, by the server's clock, in Unix milliseconds.
    pub time: f64,
    /// In the first message of a stream.
    pub epoch: Option<String>,
    /// Likewise.
    pub tick_interval: Option<Millis>,
    /// In the first message of a stream: how many zooms out from cells the tiles are that `densities` are of.
    pub levels: Option<u32>,
    /// In the first message of a stream, and when it changes.
    pub detail: Option<Detail>,
    /// What changed, while each car is told.
    pub cells: Vec<CellUpdate>,
    /// The numbers of cars in tiles that changed, while densities are told.
    pub densities: Vec<(Cell, u32)>,
}

/// The cars of one cell that changed, or all of them.
#[derive(Clone, PartialEq, Debug)]
pub struct CellUpdate {
    /// Where.
    pub cell: Cell,
    /// The tick it belongs to.
    pub tick: u64,
    /// All cars of the cell are listed.
    pub snapshot: bool,
    /// In no order.
    pub cars: Vec<CarReport>,
    /// Cars that only moved since the update before.
    pub moved: Vec<CarMove>,
    /// Cars that are not in the cell any more.
    pub left: Vec<CarNumber>,
}

/// One car in a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarReport {
    /// Its number.
    pub number: CarNumber,
    /// Where it is.
    pub at: WorldPoint,
    /// Direction of travel, in turns clockwise from north.
    pub turn: f32,
    /// What it is doing.
    pub state: CarState,
}

/// One car in a frame that did nothing but move.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CarMove {
    /// Its number.
    pub number: CarNumber,
    /// How far east and south of where it was reported before, in parts of a cell.
    pub way: (i32, i32),
    /// As in [`CarReport`].
    pub turn: f32,
}

/// The cars of the cells that are watched.
#[derive(Default)]
pub struct FleetModel {
    cars: FxHashMap<CarNumber, Car>,
    /// The newest tick of each cell whose cars are all known.
    cells: FxHashMap<Cell, u64>,
    /// The number of cars in each tile, zeros left out; `None` while each car is known instead.
    densities: Option<FxHashMap<Cell, u32>>,
    /// The zooms out from cells to these tiles.
    levels: u32,
    /// The box that the screen shows; `None` before the map has said so.
    screen: Option<Screen>,
    epoch: String,
    pace: Pace,
    revision: u64,
}

/// A box of the unit-Mercator square: its north-western and south-eastern corners.
pub type Screen = ((f64, f64), (f64, f64));

struct Car {
    cell: Cell,
    /// Of its newest report.
    tick: u64,
    /// Where that was.
    at: WorldPoint,
    /// Ticks between its reports, smoothed.
    gap: f64,
    glide: CarGlide,
}

impl FleetModel {
    /// How every car moves, in no order.
    pub fn glides(&self) -> impl Iterator<Item = CarGlide> {
        self.cars.values().map(|car| car.glide)
    }

    /// How one car moves.
    pub fn glide(&self, number: CarNumber) -> Option<CarGlide> {
        self.cars.get(&number).map(|car| car.glide)
    }

    /// The tiles that hold cars and how many each, in no order; `None` while each car is known instead.
    pub fn densities(&self) -> Option<impl Iterator<Item = (Cell, u32)>> {
        self.densities.as_ref().map(|cells| cells.iter().map(|(cell, cars)| (*cell, *cars)))
    }

    /// The zooms out from cells to the tiles of [`FleetModel::densities`].
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// Changes whenever a car or a density does.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The map shows this now.
    pub fn set_screen(&mut self, screen: Option<Screen>) {
        self.screen = screen;
    }

    /// The states of the cars on the screen, in no order.
    pub fn states_in_view(&self) -> impl Iterator<Item = CarState> {
        let is_in_view = |car: &&Car| {
            self.screen.is_none_or(|((west, north), (east, south))| {
                let (x, y) = car.glide.to;
                (west..=east).contains(&x) && (north..=south).contains(&y)
            })
        };
        self.cars.values().filter(is_in_view).map(|car| car.glide.state)
    }

    /// The number of cars on the screen, and how they are known. A tile that is partly on it counts with all of its cars, as
    /// its number on the map does.
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

    /// The server's clock at `now`, in Unix milliseconds; `None` before the first frame.
    pub fn server_time(&self, now: Millis) -> Option<f64> {
        self.pace.server_time(now)
    }

    /// What ticks and numbers belong to; empty before the first frame.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// What is known already of `viewport`, for the next stream: cells and their newest ticks.
    pub fn cursors_in(&self, viewport: Bounds) -> impl Iterator<Item = (Cell, u64)> {
        let view = CellBox::of(viewport);
        self.cells.iter().map(|(cell, tick)| (*cell, *tick)).filter(move |(cell, _)| view.contains(*cell))
    }

    /// Forgets what lies outside the cells of `viewport`: no stream speaks of it any more.
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

    /// Forgets every car: the next message tells of all there are.
    pub fn forget_cars(&mut self) {
        self.cars.clear();
        self.cells.clear();
        self.revision += 1;
    }

    /// Applies a message that came at `now`.
    ///
    /// Messages of two streams may mix while one replaces the other: what a cell knows already is passed over.
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

    /// What was known in the other detail is void; and densities, where they are told anew, are told from nothing.
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
        // A cell may come in several pieces: what is new is decided before any of them is applied.
        let is_news =
            |update: &&CellUpdate| self.cells.get(&update.cell).is_none_or(|tick| *tick < update.tick);
        let news: Vec<&CellUpdate> = frame.cells.iter().filter(is_news).collect();
        // Cars first, absences after: one that went to a neighbouring cell is in it before it leaves the old.
        for update in &news {
            for report in &update.cars {
                self.report(update, report, frame.time, now);
            }
            for moved in &update.moved {
                // Whose cell is not known will be told by the next stream, and all of it.
                if let Some(report) = self.report_of(update.cell, moved) {
                    self.report(update, &report, frame.time, now);
                }
            }
        }
        self.remove_absent(&news);
        for update in &news {
            // A delta without a base does not make a cell known: the next stream must send all of it.
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
            let glide = standing(report, now);
            let car = Car { cell: update.cell, tick: update.tick, at: report.at, gap: 1.0, glide };
            self.cars.insert(report.number, car);
            return;
        };
        let Some(gap) = update.tick.checked_sub(car.tick) else { return };
        if gap > 0 && self.pace.ticks(gap) < STOOD_STILL {
            car.gap += (gap as f64 - car.gap) / 4.0;
        }
        (car.cell, car.tick, car.at) = (update.cell, update.tick, report.at);
        car.glide = onwards(&car.glide, report, now, self.pace.due(time, car.gap, now));
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
            // Whoever is listed has the snapshot's tick by now.
            self.cars.retain(|_, car| snapshots.get(&car.cell).is_none_or(|tick| car.tick >= *tick));
        }
    }
}

fn unit(point: WorldPoint) -> (f64, f64) {
    let unit = |v: u32| (f64::from(v) + 0.5) / f64::from(WORLD_SIDE);
    (unit(point.x), unit(point.y))
}

fn standing(report: &CarReport, now: Millis) -> CarGlide {
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

/// The glide from where the car is drawn now to where it is reported.
fn onwards(glide: &CarGlide, report: &CarReport, now: Millis, due: Millis) -> CarGlide {
    let (from, from_turn) = drawn(glide, now);
    let to = unit(report.at);
    if distance_m(from, to) > JUMP_M {
        return standing(report, now);
    }
    let from_turn = from_turn - from_turn.floor();
    let to_turn = from_turn + short_way(report.turn - from_turn);
    CarGlide { from, to, from_turn, to_turn, from_at: now, to_at: due, state: report.state, ..*glide }
}

/// Where and how turned the car is drawn.
fn drawn(glide: &CarGlide, now: Millis) -> ((f64, f64), f32) {
    let length = glide.to_at - glide.from_at;
    let t = if length > 0.0 { ((now - glide.from_at) / length).clamp(0.0, 1.0) } else { 1.0 };
    let mix = |from: f64, to: f64| from + (to - from) * t;
    let at = (mix(glide.from.0, glide.to.0), mix(glide.from.1, glide.to.1));
    (at, glide.from_turn + (glide.to_turn - glide.from_turn) * t as f32)
}

/// The same turn, in [-0.5, 0.5).
fn short_way(turn: f32) -> f32 {
    turn - (turn + 0.5).floor()
}

/// Metres between two places of the unit square that are near each other.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    use std::f64::consts::{PI, TAU};
    let side = TAU * EARTH_RADIUS_M / (PI * (1.0 - 2.0 * a.1)).cosh();
    (b.0 - a.0).hypot(b.1 - a.1) * side
}

#[cfg(test)]
mod tests;
