//! The grid of fleet frames: Web-Mercator coordinates in fixed point.
//!
//! The world is a square with sides of 2²⁹ units, x from 180° W eastwards, y from 85.05° N southwards, as in slippy-map
//! tiles. The upper 15 bits of a coordinate are the tile at zoom 15 (a [`Cell`], 1.2 km at the equator, 611 m in
//! Helsinki). The lower 14 bits are the offset inside the tile. The formulas are in the OpenStreetMap wiki, "Slippy map
//! tilenames".

use std::{f64::consts::PI, ops::RangeInclusive};

use crate::{
    geo::{Bounds, LatLng},
    math::{atan, atanh, sin, sinh},
};

/// The zoom of the cells.
pub const CELL_ZOOM: u32 = 15;
/// The number of cells along one side of the world.
pub const CELLS_PER_SIDE: u32 = 1 << CELL_ZOOM;
/// The number of bits of an offset inside a cell.
pub const OFFSET_BITS: u32 = 14;
/// The side of a cell in units.
pub const CELL_SIDE: u32 = 1 << OFFSET_BITS;
/// The side of the world in units.
pub const WORLD_SIDE: u32 = 1 << (CELL_ZOOM + OFFSET_BITS);

/// A point in the world square, `x` eastwards and `y` southwards, both below [`WORLD_SIDE`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WorldPoint {
    /// Units from 180° W.
    pub x: u32,
    /// Units from the northern edge.
    pub y: u32,
}

/// Returns Mercator coordinates in [0, 1], `x` eastwards and `y` southwards. Latitudes past 85.05° are on the edge.
pub fn unit_mercator(point: LatLng) -> (f64, f64) {
    let x = (point.lng() + 180.0) / 360.0;
    // atanh(sin(φ)) is asinh(tan(φ)), and takes two thirds of its time.
    let y = (1.0 - atanh(sin(point.lat().to_radians())) / PI) / 2.0;
    (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0))
}

/// Returns the point at Mercator coordinates: the inverse of [`unit_mercator`].
pub fn from_unit_mercator(x: f64, y: f64) -> LatLng {
    let lng = x.clamp(0.0, 1.0) * 360.0 - 180.0;
    let lat = atan(sinh(PI * (1.0 - 2.0 * y.clamp(0.0, 1.0)))).to_degrees();
    LatLng::new(lat, lng).expect("the unit square maps to points on Earth")
}

impl WorldPoint {
    /// Returns the unit that contains `point`.
    pub fn of(point: LatLng) -> Self {
        let (x, y) = unit_mercator(point);
        let unit = |v: f64| ((v * f64::from(WORLD_SIDE)) as u32).min(WORLD_SIDE - 1);
        Self { x: unit(x), y: unit(y) }
    }

    /// Returns the middle of the unit.
    pub fn lat_lng(self) -> LatLng {
        let unit = |v: u32| (f64::from(v) + 0.5) / f64::from(WORLD_SIDE);
        from_unit_mercator(unit(self.x), unit(self.y))
    }
}

/// A slippy-map tile at zoom [`CELL_ZOOM`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cell(u32);

impl Cell {
    /// Returns the cell that contains `point`.
    pub fn of(point: WorldPoint) -> Self {
        Self::at(point.x >> OFFSET_BITS, point.y >> OFFSET_BITS)
    }

    fn at(x: u32, y: u32) -> Self {
        Self(x * CELLS_PER_SIDE + y)
    }

    /// Returns the cell with this number on the wire, or `None` if no cell has it.
    pub fn new(number: u32) -> Option<Self> {
        (number < CELLS_PER_SIDE * CELLS_PER_SIDE).then_some(Self(number))
    }

    /// The number on the wire: `x * 32768 + y`.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The column, counted from 180° W.
    pub fn x(self) -> u32 {
        self.0 / CELLS_PER_SIDE
    }

    /// The row, counted from the north.
    pub fn y(self) -> u32 {
        self.0 % CELLS_PER_SIDE
    }

    /// Returns the offset of `point`, which must be in this cell, from the centre: (east, south), from -8192 to 8191.
    pub fn offset(self, point: WorldPoint) -> (i32, i32) {
        let half = (CELL_SIDE / 2) as i32;
        let inside = |v: u32| (v & (CELL_SIDE - 1)) as i32 - half;
        (inside(point.x), inside(point.y))
    }

    /// Returns the point at an offset: the inverse of [`Cell::offset`]. Offsets outside the cell are moved to its edge.
    pub fn point(self, dx: i32, dy: i32) -> WorldPoint {
        let half = (CELL_SIDE / 2) as i32;
        let inside = |d: i32| (d.clamp(-half, half - 1) + half) as u32;
        WorldPoint { x: self.x() * CELL_SIDE + inside(dx), y: self.y() * CELL_SIDE + inside(dy) }
    }

    /// Returns the number of cells that touch `bounds`.
    pub fn count_in(bounds: Bounds) -> u64 {
        CellBox::of(bounds).count()
    }

    /// Returns the cells that touch `bounds`, column by column. There may be a billion: check [`Cell::count_in`] first.
    pub fn all_in(bounds: Bounds) -> impl Iterator<Item = Self> {
        CellBox::of(bounds).cells()
    }

    /// Returns the tile that contains this one, `levels` zooms out. Its column, row and number are those of that zoom.
    pub fn coarser(self, levels: u32) -> Self {
        Self::at(self.x() >> levels, self.y() >> levels)
    }
}

/// A rectangle of cells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CellBox {
    north_west: Cell,
    south_east: Cell,
}

impl CellBox {
    /// Returns the cells that touch `bounds`.
    pub fn of(bounds: Bounds) -> Self {
        let (sw, ne) = (WorldPoint::of(bounds.south_west()), WorldPoint::of(bounds.north_east()));
        Self {
            north_west: Cell::of(WorldPoint { x: sw.x, y: ne.y }),
            south_east: Cell::of(WorldPoint { x: ne.x, y: sw.y }),
        }
    }

    /// Returns the number of cells.
    pub fn count(self) -> u64 {
        let Self { north_west: nw, south_east: se } = self;
        u64::from(se.x() - nw.x() + 1) * u64::from(se.y() - nw.y() + 1)
    }

    /// Returns `true` if the rectangle contains `cell`.
    pub fn contains(self, cell: Cell) -> bool {
        let Self { north_west: nw, south_east: se } = self;
        (nw.x()..=se.x()).contains(&cell.x()) && (nw.y()..=se.y()).contains(&cell.y())
    }

    /// Returns the smallest number of levels to zoom out at which at most `limit` tiles cover the rectangle.
    pub fn levels_within(self, limit: u64) -> u32 {
        (0..CELL_ZOOM).find(|levels| self.coarser(*levels).count() <= limit).unwrap_or(CELL_ZOOM)
    }

    /// Returns the tiles that contain its cells, `levels` zooms out: see [`Cell::coarser`].
    pub fn coarser(self, levels: u32) -> Self {
        Self { north_west: self.north_west.coarser(levels), south_east: self.south_east.coarser(levels) }
    }

    /// Returns its columns from west to east. The cells of one column have consecutive numbers.
    pub fn columns(self) -> impl Iterator<Item = RangeInclusive<Cell>> {
        let Self { north_west: nw, south_east: se } = self;
        (nw.x()..=se.x()).map(move |x| Cell::at(x, nw.y())..=Cell::at(x, se.y()))
    }

    /// Returns its cells in the order of their numbers.
    pub fn cells(self) -> impl Iterator<Item = Cell> {
        self.columns().flat_map(|column| (column.start().0..=column.end().0).map(Cell))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn helsinki() -> LatLng {
        LatLng::new(60.1699, 24.9384).expect("on Earth")
    }

    #[test]
    fn helsinki_is_in_the_tile_that_everyone_says() {
        let cell = Cell::of(WorldPoint::of(helsinki()));
        assert_eq!((cell.x(), cell.y()), (18653, 9484));
        assert_eq!(Cell::new(cell.number()), Some(cell));
    }

    #[test]
    fn a_box_is_covered_by_the_cells_of_its_corners() {
        let ne = LatLng::new(60.1799, 24.9584).expect("on Earth");
        let bounds = Bounds::new(helsinki(), ne).expect("right way round");
        let cells: Vec<_> = Cell::all_in(bounds).collect();
        assert_eq!(cells.len() as u64, Cell::count_in(bounds));
        assert!(cells.contains(&Cell::of(WorldPoint::of(helsinki()))));
        assert!(cells.contains(&Cell::of(WorldPoint::of(ne))));
    }

    #[test]
    fn no_cell_is_past_the_last() {
        assert_eq!(Cell::new(CELLS_PER_SIDE * CELLS_PER_SIDE), None);
    }

    #[test]
    fn a_wide_box_is_covered_by_the_finest_tiles_that_are_few_enough() {
        let corner = |lat, lng| LatLng::new(lat, lng).expect("on Earth");
        let wide = CellBox::of(Bounds::new(corner(60.0, 24.4), corner(60.4, 25.6)).expect("right way round"));
        assert_eq!((wide.count(), wide.levels_within(10_000), wide.levels_within(4_096)), (8_214, 0, 1));
        assert_eq!((wide.coarser(1).count(), wide.levels_within(1)), (2_072, 9));
        assert!(wide.cells().all(|cell| wide.coarser(1).contains(cell.coarser(1))));

        let world =
            CellBox::of(Bounds::new(corner(-85.0, -180.0), corner(85.0, 180.0)).expect("right way round"));
        assert_eq!((world.levels_within(4_096), world.levels_within(1)), (9, 15));
        assert!(world.contains(Cell::of(WorldPoint::of(helsinki()))));
    }

    proptest! {
        #[test]
        fn a_point_comes_back_from_its_cell(lat in -85.0..85.0f64, lng in -180.0..180.0f64) {
            let here = LatLng::new(lat, lng).expect("on Earth");
            let point = WorldPoint::of(here);
            let cell = Cell::of(point);
            let (dx, dy) = cell.offset(point);
            prop_assert!((-8192..=8191).contains(&dx) && (-8192..=8191).contains(&dy));
            prop_assert_eq!(cell.point(dx, dy), point);
            prop_assert!(point.lat_lng().distance_m(here) < 0.08);
        }

        #[test]
        fn every_point_on_earth_has_a_cell(lat in -90.0..=90.0f64, lng in -180.0..=180.0f64) {
            let point = WorldPoint::of(LatLng::new(lat, lng).expect("on Earth"));
            prop_assert!(point.x < WORLD_SIDE && point.y < WORLD_SIDE);
        }
    }
}
