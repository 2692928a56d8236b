//! The densities of a view with too many cars to draw each: a texture with one pixel per cell, and numbers. Pure.

use rides_proto::tiles::{CELLS_PER_SIDE, Cell};

use super::{
    labels::{FindGlyph, Glyph},
    painter::{GlyphInstance, GroundView},
    palette,
    scene::{Ground, GroundPos},
};

/// The largest width or height of a view, in cells. Cells that are further apart come from a faulty server.
const MAX_SIDE: u32 = 2048;
/// The largest number of cells in a view.
const MAX_CELLS: u32 = 1 << 16;
/// The size of the numbers, in pixels.
const NUMBER_PX: f32 = 13.0;
/// The smallest side of a cell for which its number is drawn, in pixels.
const MIN_CELL_PX: f32 = 40.0;

/// The densities of the cells in view.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Density {
    /// The north-western corner of the texture.
    pub min: GroundPos,
    /// The side of a cell on the ground, in metres.
    pub cell_m: f32,
    /// The number of cells from west to east; 0 if there is no texture.
    pub columns: u32,
    /// The density of each cell from 0 to 255, row by row from the north-west.
    pub fullness: Vec<u8>,
    /// The column, the row and the number of cars of each cell that has cars.
    counts: Vec<(u32, u32, u32)>,
}

impl Density {
    /// Returns the densities of tiles and their numbers of cars. The tiles are `levels` zooms out from cells.
    /// The result is empty if there are no tiles, or if they are too far apart.
    pub fn of(cells: impl Iterator<Item = (Cell, u32)>, levels: u32, ground: &Ground) -> Self {
        let mut counts: Vec<_> = cells.map(|(cell, cars)| (cell.x(), cell.y(), cars)).collect();
        let (mut west, mut north, mut east, mut south, mut most) = (u32::MAX, u32::MAX, 0, 0, 1);
        for (x, y, cars) in &counts {
            (west, north, most) = (west.min(*x), north.min(*y), most.max(*cars));
            (east, south) = (east.max(*x + 1), south.max(*y + 1));
        }
        let (columns, rows) = (east.saturating_sub(west), south.saturating_sub(north));
        if counts.is_empty() || columns.max(rows) > MAX_SIDE || columns * rows > MAX_CELLS {
            return Self::default();
        }
        let full = scale(most);
        let mut fullness = vec![0; (columns * rows) as usize];
        for (x, y, cars) in &mut counts {
            (*x, *y) = (*x - west, *y - north);
            // The square root separates small numbers: the eye should see the difference between ten cars and a
            // hundred.
            fullness[(*y * columns + *x) as usize] = ((*cars as f32 / full).sqrt() * 255.0).ceil() as u8;
        }
        let side = f64::from(CELLS_PER_SIDE >> levels);
        let corner = [west, north].map(|cells| f64::from(cells) / side);
        Self {
            min: ground.ground_from_world((corner[0], corner[1])),
            cell_m: (ground.m_per_world() / side) as f32,
            columns,
            fullness,
            counts,
        }
    }

    /// Returns `true` if there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// Returns the glyphs of the cells' numbers, or none if the cells are too small on the screen.
    pub fn numbers(&self, find: FindGlyph<'_>, look: &GroundView) -> Vec<GlyphInstance> {
        let mut letters = Vec::new();
        if self.cell_m * look.px_per_m < MIN_CELL_PX {
            return letters;
        }
        for (x, y, cars) in &self.counts {
            let middle =
                [(0, *x), (1, *y)].map(|(axis, at)| self.min[axis] + (at as f32 + 0.5) * self.cell_m);
            write(*cars, look.screen_from_ground(middle), find, &mut letters);
        }
        letters
    }
}

/// Returns the smallest of 10, 20, 50, 100, 200, … that is at least `most`. With these steps the colours do not
/// change with each car.
fn scale(most: u32) -> f32 {
    let mut tens = 10.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if tens * step >= most as f32 {
                return tens * step;
            }
        }
        tens *= 10.0;
    }
}

/// Adds the glyphs of a number, centred at a point of the screen.
fn write(number: u32, [x, y]: [f32; 2], find: FindGlyph<'_>, letters: &mut Vec<GlyphInstance>) {
    let advance = |digit: &Glyph| digit.advance * NUMBER_PX;
    let number = number.to_string();
    let digits: Vec<Glyph> = (0..number.len()).filter_map(|at| find(&number[at..=at])).collect();
    let mut left = x - digits.iter().map(advance).sum::<f32>() / 2.0;
    for digit in &digits {
        letters.push(GlyphInstance {
            at: [left + advance(digit) / 2.0, y],
            along: [1.0, 0.0],
            half: digit.half.map(|share| share * NUMBER_PX),
            atlas: digit.atlas,
            color: palette::NUMBER,
        });
        left += advance(digit);
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::{
        geo::{Bounds, LatLng},
        tiles::WorldPoint,
    };

    use super::*;

    fn helsinki() -> LatLng {
        LatLng::new(60.17, 24.94).expect("on Earth")
    }

    fn ground() -> Ground {
        Ground::of(Bounds::around([helsinki()]).expect("a point"))
    }

    /// Returns the cell that is this number of columns and rows away from the one in the middle.
    fn cell(column: u32, row: u32) -> Cell {
        let middle = Cell::of(WorldPoint::of(helsinki()));
        Cell::new(middle.number() + column * CELLS_PER_SIDE + row).expect("on Earth")
    }

    #[test]
    fn a_cell_is_a_pixel_and_lies_where_its_cars_are() {
        let density = Density::of([(cell(0, 0), 500), (cell(2, 1), 5)].into_iter(), 0, &ground());
        assert_eq!((density.columns, density.fullness), (3, vec![255, 0, 0, 0, 0, 26]));
        assert!((600.0..620.0).contains(&density.cell_m), "{} m", density.cell_m);
        // The middle of the city is in the first cell.
        let [x, y] = density.min.map(|edge| -edge / density.cell_m);
        assert!((0.0..1.0).contains(&x) && (0.0..1.0).contains(&y), "{x}, {y}");
    }

    /// MAP-6
    #[test]
    fn coarser_tiles_are_larger_and_lie_where_their_cells_do() {
        let fine = Density::of([(cell(0, 0), 500)].into_iter(), 0, &ground());
        let coarse = Density::of([(cell(0, 0).coarser(3), 500)].into_iter(), 3, &ground());
        assert_eq!((coarse.columns, &coarse.fullness), (1, &fine.fullness));
        assert!((coarse.cell_m / fine.cell_m - 8.0).abs() < 1e-3, "{} m", coarse.cell_m);
        for axis in [0, 1] {
            let (edge, far) = (coarse.min[axis], coarse.min[axis] + coarse.cell_m);
            assert!(edge < fine.min[axis] + 1.0 && fine.min[axis] + fine.cell_m < far + 1.0);
        }
    }

    #[test]
    fn one_car_is_to_be_seen_beside_thousands() {
        let density = Density::of([(cell(0, 0), 900_000), (cell(1, 0), 1)].into_iter(), 0, &ground());
        assert!(density.fullness.contains(&1));
    }

    #[test]
    fn the_colours_stay_while_the_fullest_cell_changes_a_little() {
        assert_eq!(
            [1, 2, 3, 180, 199, 200, 201, 999].map(scale),
            [10.0, 10.0, 10.0, 200.0, 200.0, 200.0, 500.0, 1000.0]
        );
        assert_eq!(scale(u32::MAX), 5e9);
    }

    #[test]
    fn nothing_is_drawn_of_no_cells_or_of_cells_a_world_apart() {
        assert!(Density::of([].into_iter(), 0, &ground()).is_empty());
        let apart = [Cell::new(0).expect("on Earth"), cell(0, 0)];
        assert!(Density::of(apart.map(|cell| (cell, 1)).into_iter(), 0, &ground()).is_empty());
    }

    #[test]
    fn a_number_stands_in_the_middle_of_its_cell_where_there_is_room() {
        let glyph = Glyph { advance: 0.5, half: [0.4, 0.6], atlas: [0.0; 4] };
        let find = &mut |digit: &str| digit.parse::<u8>().ok().map(|_| glyph);
        let density = Density::of([(cell(0, 0), 640)].into_iter(), 0, &ground());
        let center = density.min.map(|edge| edge + density.cell_m / 2.0);
        let look = |px_per_m| GroundView { center, px_per_m, viewport: [800.0, 600.0], dpr: 1.0 };
        let letters = density.numbers(find, &look(0.1));
        let places: Vec<_> = letters.iter().map(|letter| letter.at).collect();
        assert_eq!(places, [[393.5, 300.0], [400.0, 300.0], [406.5, 300.0]]);
        assert!(density.numbers(find, &look(0.05)).is_empty());
        assert!(density.numbers(&mut |_| None, &look(0.1)).is_empty(), "there is no room for letters");
    }
}
