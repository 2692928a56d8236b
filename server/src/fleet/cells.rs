//! Cars by map cell: the index of free cars, and the changes since the last tick.

use std::collections::{BTreeMap, HashMap};

use rides_proto::{
    geo::LatLng,
    ids::CarId,
    tiles::{CELL_SIDE, CELLS_PER_SIDE, Cell, WorldPoint},
};

use crate::positions::{CarDot, CellChange};

/// The free cars by cell. Has only cells with free cars.
#[derive(Debug, Default)]
pub(super) struct FreeIndex {
    cells: HashMap<Cell, Vec<CarId>>,
}

impl FreeIndex {
    /// Moves `car` from the cell in which it was free to the one in which it is free now.
    pub(super) fn relocate(&mut self, car: CarId, before: Option<Cell>, after: Option<Cell>) {
        if before == after {
            return;
        }
        if let Some(cell) = before
            && let Some(cars) = self.cells.get_mut(&cell)
        {
            cars.retain(|other| *other != car);
            if cars.is_empty() {
                self.cells.remove(&cell);
            }
        }
        if let Some(cell) = after {
            self.cells.entry(cell).or_default().push(car);
        }
    }

    /// Returns the `limit` cars nearest to `at`, nearest first, with their distances in metres. Searches the cells
    /// from near to far, and stops at the first cell that cannot have a nearer car than those found.
    pub(super) fn nearest(
        &self,
        at: LatLng,
        limit: usize,
        place: impl Fn(CarId) -> Option<LatLng>,
    ) -> Vec<(f64, CarId)> {
        let mut cells: Vec<_> =
            self.cells.iter().map(|(cell, cars)| (least_distance_m(*cell, at), cars)).collect();
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));

        let mut found = Vec::new();
        for (least, cars) in cells {
            if found.len() == limit && found.last().is_none_or(|(farthest, _)| *farthest < least) {
                break;
            }
            found.extend(cars.iter().filter_map(|&car| Some((place(car)?.distance_m(at), car))));
            found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found.truncate(limit);
        }
        found
    }
}

/// Returns a lower bound of the distance from `at` to any car in `cell`, in metres: the distance to the centre less
/// the radius.
fn least_distance_m(cell: Cell, at: LatLng) -> f64 {
    // The outermost rows also have all positions up to the pole.
    if cell.y() == 0 || cell.y() == CELLS_PER_SIDE - 1 {
        return 0.0;
    }
    let centre = cell.point(0, 0).lat_lng();
    let corner = |south: u32| {
        WorldPoint { x: cell.x() * CELL_SIDE, y: cell.y() * CELL_SIDE + south * (CELL_SIDE - 1) }.lat_lng()
    };
    // One metre more, because a `WorldPoint` is the middle of its unit.
    let radius = centre.distance_m(corner(0)).max(centre.distance_m(corner(1))) + 1.0;
    (centre.distance_m(at) - radius).max(0.0)
}

/// The changes of the map, by cell.
#[derive(Debug, Default)]
pub(super) struct Changes {
    cells: BTreeMap<Cell, CellChange>,
}

impl Changes {
    /// Records the change of one car from `before` to `after`. `None`: not on the map.
    pub(super) fn record(&mut self, before: Option<CarDot>, after: Option<CarDot>) {
        if before == after {
            return;
        }
        let cell_of = |dot: CarDot| Cell::of(dot.at);
        if let Some(dot) = after {
            self.cell(cell_of(dot)).changed.push(dot);
        }
        if let Some(dot) = before
            && after.map(cell_of) != Some(cell_of(dot))
        {
            self.cell(cell_of(dot)).left.push(dot.number);
        }
    }

    fn cell(&mut self, cell: Cell) -> &mut CellChange {
        self.cells.entry(cell).or_insert_with(|| CellChange { cell, changed: Vec::new(), left: Vec::new() })
    }

    /// Returns one change per cell, sorted by cell number.
    pub(super) fn into_cells(self) -> Vec<CellChange> {
        self.cells.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_earth() -> impl Strategy<Value = LatLng> {
        let city = (60.0..60.3f64, 24.8..25.2f64);
        let anywhere = (-90.0..=90.0f64, -180.0..=180.0f64);
        prop_oneof![3 => city.boxed(), 1 => anywhere.boxed()]
            .prop_map(|(lat, lng)| LatLng::new(lat, lng).expect("on Earth"))
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_a_full_search_finds(
            cars in prop::collection::vec(on_earth(), 0..60),
            at in on_earth(),
            limit in 0..8usize,
        ) {
            let mut index = FreeIndex::default();
            let id = |i: usize| CarId::new(i as i64 + 1).expect("positive");
            for (i, place) in cars.iter().enumerate() {
                index.relocate(id(i), None, Some(Cell::of(WorldPoint::of(*place))));
            }
            let found = index.nearest(at, limit, |car| cars.get(car.get() as usize - 1).copied());

            let mut all: Vec<_> = cars.iter().enumerate().map(|(i, p)| (p.distance_m(at), id(i))).collect();
            all.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            all.truncate(limit);
            prop_assert_eq!(found, all);
        }
    }

    #[test]
    fn a_cell_without_free_cars_is_forgotten() {
        let mut index = FreeIndex::default();
        let car = CarId::new(1).expect("positive");
        index.relocate(car, None, Cell::new(5));
        index.relocate(car, Cell::new(5), Cell::new(6));
        index.relocate(car, Cell::new(6), None);
        assert!(index.cells.is_empty());
    }
}
