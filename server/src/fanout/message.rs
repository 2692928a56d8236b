//! Messages, built once for all viewers that see the same cells and lack the same of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rides_proto::tiles::{Cell, CellBox};

use super::{Detail, fleet_map::FleetMap, frame, viewer::MAX_CELLS};

/// The most views of one tick that are kept for sharing. With more views than this most have a single viewer, and
/// keeping them would only hold their memory longer.
const MAX_CACHED_VIEWS: usize = 256;

/// The key of a message. Equal asks about one view get the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageKey {
    /// The detail of the message.
    pub detail: Detail,
    /// The data that the viewer has before the message.
    pub baseline: Baseline,
    /// `true` if the viewer understands cars that only moved, as in [`Request`](super::Request).
    pub moves: bool,
}

/// The data that a viewer has before a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Baseline {
    /// Nothing: this is the first message of its stream.
    Nothing,
    /// Data in the other detail, which this message replaces.
    OtherDetail,
    /// A copy of the whole view as of this tick.
    Tick(u64),
}

/// One view as of one tick, shared by its viewers.
#[derive(Debug)]
pub struct SharedView {
    view: CellBox,
    /// The number of zooms from cells out to the density tiles of this view.
    levels: u32,
    cars: usize,
    /// Nearly always one entry.
    messages: Mutex<Vec<CachedMessage>>,
}

/// A key and its message. `None`: there is nothing to send.
type CachedMessage = (MessageKey, Option<Bytes>);

/// The views of one tick that a viewer has asked for.
#[derive(Debug, Default)]
pub(super) struct ViewCache(Mutex<HashMap<CellBox, Arc<SharedView>>>);

impl ViewCache {
    pub(super) fn get(&self, view: CellBox, cars: impl FnOnce() -> usize) -> Arc<SharedView> {
        let views = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = views().get(&view) {
            return known.clone();
        }
        let new = Arc::new(SharedView {
            view,
            levels: view.levels_within(MAX_CELLS),
            cars: cars(),
            messages: Mutex::default(),
        });
        let mut views = views();
        if views.len() < MAX_CACHED_VIEWS {
            // Two threads may build the same view at once. The later one replaces the earlier, which is harmless.
            views.insert(view, new.clone());
        }
        new
    }
}

impl SharedView {
    /// The number of cars in the view.
    pub fn cars(&self) -> usize {
        self.cars
    }

    /// Returns `true` if the view is too wide to list its cells, so that its densities are of coarser tiles.
    pub(super) fn is_coarse(&self) -> bool {
        self.levels > 0
    }

    /// Returns the first message for a viewer that resumes with `cursors`. `active_rides` is the board of this view.
    pub(super) fn resume_message(
        &self,
        board: &FleetMap,
        cursors: &HashMap<Cell, u64>,
        moves: bool,
    ) -> Bytes {
        let mut parts = vec![board.common_fields.clone()];
        parts.extend(self.opening(board));
        parts.push(frame::detail(Detail::Cars));
        parts.extend(board.frames_for_cursors(self.view, cursors, moves));
        frame::message(&parts)
    }

    /// Returns the fields that only the first message of a stream has.
    fn opening(&self, board: &FleetMap) -> impl Iterator<Item = Bytes> + use<> {
        let density_zoom = self.is_coarse().then(|| frame::density_zoom(self.levels));
        [board.first_fields.clone()].into_iter().chain(density_zoom)
    }

    /// Returns the message for `ask`, or `None` if there is nothing to send. `active_rides` is the board of this view.
    pub fn message(&self, board: &FleetMap, ask: MessageKey) -> Option<Bytes> {
        let made = || self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = made().iter().find(|(other, _)| *other == ask) {
            return known.clone();
        }
        let message = self.make(board, ask);
        made().push((ask, message.clone()));
        message
    }

    fn make(
        &self,
        board: &FleetMap,
        MessageKey { detail, baseline: have, moves }: MessageKey,
    ) -> Option<Bytes> {
        let tick = match have {
            Baseline::Tick(tick) => Some(tick),
            Baseline::Nothing | Baseline::OtherDetail => None,
        };
        let mut parts = vec![board.common_fields.clone()];
        if have == Baseline::Nothing {
            parts.extend(self.opening(board));
        }
        if tick.is_none() {
            parts.push(frame::detail(detail));
        }
        match detail {
            Detail::Cars => parts.extend(board.frames_since(self.view, tick, moves)),
            Detail::Densities => {
                parts.extend(frame::densities(board.counts_since(self.view, self.levels, tick)));
            }
        }
        (parts.len() > 1).then(|| frame::message(&parts))
    }
}

impl FleetMap {
    /// Returns a message that has only the tick and its time.
    pub(super) fn heartbeat(&self) -> Bytes {
        frame::message(std::slice::from_ref(&self.common_fields))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, SystemTime},
    };

    use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
    use rides_proto::{
        geo::{Bounds, LatLng},
        ids::CarNumber,
        tiles::WorldPoint,
    };

    use super::*;
    use crate::positions::{CarDot, CarState, CellChange, FleetTick, Heading};

    /// Map units per metre in Helsinki.
    const PER_METRE: f64 = 26.8;

    /// Central Helsinki with cars at random places that drive at 3 to 14 m/s in random directions.
    struct City {
        cars: Vec<(CarDot, f64, f64)>,
        tick: u64,
    }

    impl City {
        fn of(cars: u32) -> Self {
            let mut rng = SmallRng::seed_from_u64(1);
            let car = |number| {
                let at = LatLng::new(rng.random_range(60.14..60.20), rng.random_range(24.88..25.02));
                let (deg, mps) = (rng.random_range(0.0..360.0), rng.random_range(3.0..14.0));
                let heading = Heading::from_deg(deg);
                let at = WorldPoint::of(at.expect("on Earth"));
                let dot = CarDot { number: CarNumber(number), at, heading, state: CarState::OnTrip };
                (dot, deg, mps)
            };
            Self { cars: (1..=cars).map(car).collect(), tick: 0 }
        }

        /// Moves all cars by a quarter of a second.
        fn drives(&mut self) -> FleetTick {
            self.tick += 1;
            let mut cells = BTreeMap::new();
            for (car, deg, mps) in &mut self.cars {
                let before = Cell::of(car.at);
                let (sin, cos) = deg.to_radians().sin_cos();
                let way = *mps * 0.25 * PER_METRE;
                car.at.x = car.at.x.saturating_add_signed((way * sin).round() as i32);
                car.at.y = car.at.y.saturating_add_signed((way * -cos).round() as i32);
                let after = Cell::of(car.at);
                change(&mut cells, after).changed.push(*car);
                if after != before {
                    change(&mut cells, before).left.push(car.number);
                }
            }
            FleetTick { tick: self.tick, time: SystemTime::now(), cells: cells.into_values().collect() }
        }
    }

    fn change(cells: &mut BTreeMap<Cell, CellChange>, cell: Cell) -> &mut CellChange {
        cells.entry(cell).or_insert_with(|| CellChange { cell, changed: vec![], left: vec![] })
    }

    #[test]
    fn two_thousand_cars_that_move_take_at_most_seven_bytes_each() {
        let mut city = City::of(2_000);
        let mut board =
            FleetMap::new("epoch", Duration::from_millis(250)).after(city.drives(), Duration::ZERO);
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let wide = Bounds::new(corner(60.0, 24.5), corner(60.3, 25.4)).expect("south-west before north-east");
        let view = CellBox::of(wide);
        let mut bytes = [0, 0];
        for _ in 0..40 {
            let have = Baseline::Tick(board.tick);
            board = board.after(city.drives(), Duration::ZERO);
            for moves in [false, true] {
                let ask = MessageKey { detail: Detail::Cars, baseline: have, moves };
                let message = board.shared_view(view).message(&board, ask).expect("all cars move");
                bytes[usize::from(moves)] += message.len();
            }
        }
        let [plain, moves] = bytes.map(|bytes| bytes as f64 / 40.0 / 2_000.0);
        assert!(moves <= 7.0, "{moves:.2}");
        assert!(moves < plain * 0.75, "moves save too little: {moves:.2} bytes, and {plain:.2} without them");
    }
}
