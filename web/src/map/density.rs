//! How many cars are where, when there are too many to draw: a picture of one pixel a cell, and numbers. Pure.

use rides_proto::tiles::{CELLS_PER_SIDE, Cell};

use super::{
    labels::{Glyph, Glyphs},
    painter::{GlyphInstance, Look},
    palette,
    scene::{Ground, GroundPos},
};

/// Cells around those that hold cars: as far as the painter's blur reaches.
const MARGIN: u32 = 2;
/// No viewport is wider than this, cells; what lies further apart than that comes from a server gone wrong.
const MAX_SIDE: u32 = 2048;
/// Nor has it more cells than this, margin included.
const MAX_CELLS: u32 = 1 << 16;
/// Of the numbers, pixels.
const NUMBER_PX: f32 = 12.0;
/// A cell with less room than this for its number, pixels, has none.
const MIN_CELL_PX: f32 = 44.0;

/// The densities of the cells in view.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Density {
    /// The north-western corner of the picture.
    pub min: GroundPos,
    /// The south-eastern one.
    pub max: GroundPos,
    /// Cells from west to east; 0: there is no picture.
    pub columns: u32,
    /// Row by row from the north-west: how full a cell is, from 0 to 255.
    pub levels: Vec<u8>,
    counts: Vec<Count>,
    cell_m: f32,
}

/// The number of one cell.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Count {
    /// The middle of the cell.
    at: GroundPos,
    cars: u32,
}

impl Density {
    /// The picture of cells that hold so many cars each; without cells there is none.
    pub fn of(cells: impl Iterator<Item = (Cell, u32)>, ground: &Ground) -> Self {
        let cells: Vec<_> = cells.collect();
        let xs = || cells.iter().map(|(cell, _)| cell.x());
        let ys = || cells.iter().map(|(cell, _)| cell.y());
        let (Some(west), Some(east)) = (xs().min(), xs().max()) else { return Self::default() };
        let (Some(north), Some(south)) = (ys().min(), ys().max()) else { return Self::default() };
        let (columns, rows) = (east - west + 1 + 2 * MARGIN, south - north + 1 + 2 * MARGIN);
        if columns.max(rows) > MAX_SIDE || columns * rows > MAX_CELLS {
            return Self::default();
        }
        let full = scale(cells.iter().map(|(_, cars)| *cars).max().unwrap_or(1));
        let mut levels = vec![0; (columns * rows) as usize];
        for (cell, cars) in &cells {
            let place = (cell.y() - north + MARGIN) * columns + cell.x() - west + MARGIN;
            // The eye tells ten cars from a hundred better than 910 from a thousand.
            levels[place as usize] = ((*cars as f32 / full as f32).sqrt() * 255.0).ceil() as u8;
        }
        let at = |x: f64, y: f64| {
            ground.ground_from_world((x / f64::from(CELLS_PER_SIDE), y / f64::from(CELLS_PER_SIDE)))
        };
        let middle = |cell: &Cell| at(f64::from(cell.x()) + 0.5, f64::from(cell.y()) + 0.5);
        let margin = f64::from(MARGIN);
        Self {
            min: at(f64::from(west) - margin, f64::from(north) - margin),
            max: at(f64::from(east) + 1.0 + margin, f64::from(south) + 1.0 + margin),
            columns,
            levels,
            counts: cells.iter().map(|(cell, cars)| Count { at: middle(cell), cars: *cars }).collect(),
            cell_m: (ground.m_per_world() / f64::from(CELLS_PER_SIDE)) as f32,
        }
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// The letters of the cells' numbers, where cells are large enough on the screen to hold one.
    pub fn numbers(&self, glyphs: &Glyphs, look: &Look) -> Vec<GlyphInstance> {
        let cell_px = self.cell_m * look.px_per_m;
        if cell_px < MIN_CELL_PX {
            return Vec::new();
        }
        self.counts.iter().flat_map(|count| number(count, glyphs, look)).collect()
    }
}

/// The least of 1, 2, 5, 10, 20, 50, … that is no less: so that the colours do not change with every car.
fn scale(most: u32) -> u64 {
    let mut tens = 1;
    loop {
        for step in [1, 2, 5] {
            if tens * step >= u64::from(most) {
                return tens * step;
            }
        }
        tens *= 10;
    }
}

/// A number around the middle of its cell.
fn number(count: &Count, glyphs: &Glyphs, look: &Look) -> Vec<GlyphInstance> {
    let text = count.cars.to_string();
    let digits: Vec<_> = text.chars().filter_map(|digit| glyphs.get(&digit)).collect();
    let width: f32 = digits.iter().map(|digit| digit.advance * NUMBER_PX).sum();
    let [mut x, y] = look.screen_from_ground(count.at);
    x -= width / 2.0;
    let letter = |digit: &&Glyph| {
        let half = digit.advance * NUMBER_PX / 2.0;
        x += 2.0 * half;
        GlyphInstance {
            at: [x - half, y],
            along: [1.0, 0.0],
            half: digit.half.map(|share| share * NUMBER_PX),
            atlas: digit.atlas,
            color: palette::NUMBER,
        }
    };
    digits.iter().map(letter).collect()
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

    /// The cell so many columns and rows from the one in the middle.
    fn cell(column: u32, row: u32) -> Cell {
        let middle = Cell::of(WorldPoint::of(helsinki()));
        Cell::new(middle.number() + column * CELLS_PER_SIDE + row).expect("on Earth")
    }

    #[test]
    fn a_cell_is_a_pixel_and_lies_where_its_cars_are() {
        let density = Density::of([(cell(0, 0), 500), (cell(2, 1), 5)].into_iter(), &ground());
        assert_eq!((density.columns, density.levels.len()), (7, 7 * 6));
        let lit: Vec<_> = (0..).zip(&density.levels).filter(|(_, level)| **level > 0).collect();
        assert_eq!(lit, [(2 * 7 + 2, &255), (3 * 7 + 4, &26)]);
        let cell_m = (density.max[0] - density.min[0]) / 7.0;
        assert!((cell_m - density.cell_m).abs() < 0.5 && (600.0..620.0).contains(&cell_m), "{cell_m}");
        // The city's middle is in the first cell.
        let [x, y] = density.min.map(|edge| -edge / cell_m - MARGIN as f32);
        assert!((0.0..1.0).contains(&x) && (0.0..1.0).contains(&y), "{x}, {y}");
    }

    #[test]
    fn one_car_is_to_be_seen_beside_thousands() {
        let density = Density::of([(cell(0, 0), 900_000), (cell(1, 0), 1)].into_iter(), &ground());
        assert!(density.levels.contains(&1));
    }

    #[test]
    fn the_colours_stay_while_the_fullest_cell_changes_a_little() {
        assert_eq!([1, 2, 3, 180, 199, 200, 201, 999].map(scale), [1, 2, 5, 200, 200, 200, 500, 1000]);
        assert_eq!(scale(u32::MAX), 5_000_000_000);
    }

    #[test]
    fn nothing_is_drawn_of_no_cells_or_of_cells_a_world_apart() {
        assert!(Density::of([].into_iter(), &ground()).is_empty());
        let apart = [Cell::new(0).expect("on Earth"), cell(0, 0)];
        assert!(Density::of(apart.map(|cell| (cell, 1)).into_iter(), &ground()).is_empty());
    }

    #[test]
    fn a_number_stands_in_the_middle_of_its_cell_where_there_is_room() {
        let glyph = Glyph { advance: 0.5, half: [0.4, 0.6], atlas: [0.0; 4] };
        let glyphs: Glyphs = ('0'..='9').map(|digit| (digit, glyph)).collect();
        let density = Density::of([(cell(0, 0), 640)].into_iter(), &ground());
        let look =
            |px_per_m| Look { center: density.counts[0].at, px_per_m, viewport: [800.0, 600.0], dpr: 1.0 };
        let letters = density.numbers(&glyphs, &look(0.1));
        let places: Vec<_> = letters.iter().map(|letter| letter.at).collect();
        assert_eq!(places, [[394.0, 300.0], [400.0, 300.0], [406.0, 300.0]]);
        assert!(density.numbers(&glyphs, &look(0.05)).is_empty());
        assert!(density.numbers(&Glyphs::default(), &look(0.1)).is_empty(), "no letters have been drawn yet");
    }
}
