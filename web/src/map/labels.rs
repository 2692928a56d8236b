//! Which names are written where, for one camera: along their streets, without touching each other. Pure.
//!
//! Places are chosen along the whole street and not along its visible part, so that a name stays where it is
//! while the map is dragged.

use rustc_hash::FxHashMap;

use super::{
    names::{Name, NamePlace},
    painter::{GlyphInstance, Look},
};

/// Between letters, as a share of their size.
const SPACING: f32 = 0.13;
/// The same name again after about so many pixels of street.
const REPEAT_PX: f32 = 620.0;
/// Two letters that follow each other turn by no more than 24°: the cosine of that.
const MIN_AHEAD: f32 = 0.913;
/// Names this far off the screen, pixels, still keep others away.
const MARGIN_PX: f32 = 160.0;
/// Side of a square of the grid that tells what is taken, pixels.
const CELL_PX: f32 = 7.0;

/// What the layout needs to know of one letter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Glyph {
    /// To the next letter, as a share of the size.
    pub advance: f32,
    /// Half its box, as a share of the size.
    pub half: [f32; 2],
    /// Its box in the atlas.
    pub atlas: [f32; 4],
}

/// Letters by character.
pub type Glyphs = FxHashMap<char, Glyph>;

/// The letters of all names that are to be seen.
pub fn layout(names: &[Name], glyphs: &Glyphs, look: &Look) -> Vec<GlyphInstance> {
    let mut taken = Taken::new(look.viewport);
    let mut letters = Vec::new();
    for name in names {
        let Some(width) = width_px(name, glyphs) else { continue };
        match &name.place {
            NamePlace::Along(line) => {
                let line = Polyline::new(line.iter().map(|at| look.screen_from_ground(*at)).collect());
                if !taken.may_show(&line.points) || line.length() < width * 1.1 {
                    continue;
                }
                // A power of two, so that most places stay when the map is zoomed.
                let count = 1 << ((line.length() / REPEAT_PX) as u32).max(1).ilog2();
                for i in 0..count {
                    let middle = (i as f32 + 0.5) / count as f32 * line.length();
                    write(name, glyphs, &line, middle - width / 2.0, width, &mut taken, &mut letters);
                }
            }
            NamePlace::Across { center, half_m } => {
                if half_m * 2.2 * look.px_per_m < width {
                    continue;
                }
                let [x, y] = look.screen_from_ground(*center);
                let line = Polyline::new(vec![[x - width, y], [x + width, y]]);
                write(name, glyphs, &line, width / 2.0, width, &mut taken, &mut letters);
            }
        }
    }
    letters
}

/// `None` when the atlas lacks a letter.
fn width_px(name: &Name, glyphs: &Glyphs) -> Option<f32> {
    let width: Option<f32> = name.text.iter().map(|c| Some(glyphs.get(c)?.advance + SPACING)).sum();
    width.map(|width| width * name.size_px)
}

/// Writes a name along a line from `start` px on, unless something is in the way or the line turns too sharply.
fn write(
    name: &Name,
    glyphs: &Glyphs,
    line: &Polyline,
    start: f32,
    width: f32,
    taken: &mut Taken,
    letters: &mut Vec<GlyphInstance>,
) {
    let (first, last) = (line.at(start), line.at(start + width));
    let backwards = last[0] < first[0];
    let mut placed: Vec<GlyphInstance> = Vec::with_capacity(name.text.len());
    let mut offset = 0.0;
    for glyph in name.text.iter().filter_map(|c| glyphs.get(c)) {
        let advance = (glyph.advance + SPACING) * name.size_px;
        let middle = offset + advance / 2.0;
        offset += advance;
        let (middle, sign) = if backwards { (start + width - middle, -1.0) } else { (start + middle, 1.0) };
        // The direction is taken over more than one letter: it evens out the small kinks of streets.
        let (a, b) = (line.at(middle - name.size_px), line.at(middle + name.size_px));
        let size = (b[0] - a[0]).hypot(b[1] - a[1]).max(1e-3);
        let along = [(b[0] - a[0]) / size * sign, (b[1] - a[1]) / size * sign];
        if let Some(before) = placed.last() {
            let ahead = before.along[0] * along[0] + before.along[1] * along[1];
            if ahead < MIN_AHEAD {
                return;
            }
        }
        let half = glyph.half.map(|share| share * name.size_px);
        placed.push(GlyphInstance {
            at: line.at(middle),
            along,
            half,
            atlas: glyph.atlas,
            color: name.color,
        });
    }
    let boxes = || placed.iter().map(|letter| (letter.at, name.size_px * 0.55));
    if boxes().any(|(at, radius)| taken.is_taken(at, radius)) {
        return;
    }
    boxes().for_each(|(at, radius)| taken.take(at, radius));
    letters.append(&mut placed);
}

/// A line that is walked by length.
struct Polyline {
    points: Vec<[f32; 2]>,
    /// Length up to each point.
    along: Vec<f32>,
}

impl Polyline {
    fn new(points: Vec<[f32; 2]>) -> Self {
        let mut total = 0.0;
        let mut before = points.first().copied().unwrap_or_default();
        let along = points
            .iter()
            .map(|at| {
                total += (at[0] - before[0]).hypot(at[1] - before[1]);
                before = *at;
                total
            })
            .collect();
        Self { points, along }
    }

    fn length(&self) -> f32 {
        self.along.last().copied().unwrap_or(0.0)
    }

    /// The point after so many px; the nearer end when there is none.
    fn at(&self, px: f32) -> [f32; 2] {
        let end = self.along.partition_point(|along| *along < px);
        if end == 0 || end >= self.points.len() {
            return self.points.get(end).or(self.points.last()).copied().unwrap_or_default();
        }
        let (a, b) = (self.points[end - 1], self.points[end]);
        let t = (px - self.along[end - 1]) / (self.along[end] - self.along[end - 1]).max(1e-6);
        [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
    }
}

/// Which squares of the screen, and of a margin around it, have letters in them already.
struct Taken {
    columns: i32,
    rows: i32,
    cells: Vec<bool>,
}

impl Taken {
    fn new(viewport: [f32; 2]) -> Self {
        let [columns, rows] = viewport.map(|px| ((px + 2.0 * MARGIN_PX) / CELL_PX).ceil() as i32);
        Self { columns, rows, cells: vec![false; (columns * rows) as usize] }
    }

    /// Whether the line's box touches the screen or its margin.
    fn may_show(&self, line: &[[f32; 2]]) -> bool {
        let meets = |axis: usize, cells: i32| {
            let size = cells as f32 * CELL_PX;
            let at = |p: &[f32; 2]| p[axis] + MARGIN_PX;
            line.iter().any(|p| at(p) >= 0.0) && line.iter().any(|p| at(p) <= size)
        };
        meets(0, self.columns) && meets(1, self.rows)
    }

    fn is_taken(&self, at: [f32; 2], radius: f32) -> bool {
        self.around(at, radius).any(|cell| self.cells[cell])
    }

    fn take(&mut self, at: [f32; 2], radius: f32) {
        let cells: Vec<usize> = self.around(at, radius).collect();
        cells.into_iter().for_each(|cell| self.cells[cell] = true);
    }

    fn around(&self, at: [f32; 2], radius: f32) -> impl Iterator<Item = usize> + use<> {
        let (columns, rows) = (self.columns, self.rows);
        let range = |at: f32, cells: i32| {
            let cell = |px: f32| ((px + MARGIN_PX) / CELL_PX).floor() as i32;
            cell(at - radius).max(0)..=cell(at + radius).min(cells - 1)
        };
        let (xs, ys) = (range(at[0], columns), range(at[1], rows));
        ys.flat_map(move |y| xs.clone().map(move |x| (y * columns + x) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::scene::GroundPos;

    const LOOK: Look = Look { center: [0.0, 0.0], px_per_m: 1.0, viewport: [800.0, 600.0], dpr: 1.0 };

    fn glyphs() -> Glyphs {
        let glyph = Glyph { advance: 0.6, half: [0.5, 0.7], atlas: [0.0; 4] };
        ('A'..='Z').map(|c| (c, glyph)).collect()
    }

    fn along(text: &str, line: Vec<GroundPos>) -> Name {
        Name { text: text.chars().collect(), place: NamePlace::Along(line), size_px: 12.0, color: [1.0; 3] }
    }

    #[test]
    fn a_name_reads_from_left_to_right_whichever_way_the_street_runs() {
        for line in [vec![[-200.0, 0.0], [200.0, 20.0]], vec![[200.0, 20.0], [-200.0, 0.0]]] {
            let letters = layout(&[along("KATU", line)], &glyphs(), &LOOK);
            assert_eq!(letters.len(), 4);
            assert!(letters.windows(2).all(|pair| pair[0].at[0] < pair[1].at[0]));
            assert!(letters.iter().all(|letter| letter.along[0] > 0.99));
        }
    }

    #[test]
    fn a_name_needs_room_and_a_calm_street() {
        let short = along("MANNERHEIMINTIE", vec![[0.0, 0.0], [60.0, 0.0]]);
        let sharp = along("MUTKATIE", vec![[-60.0, 0.0], [0.0, 0.0], [0.0, 60.0]]);
        let unknown = along("ΑΘΗΝΑ", vec![[-300.0, 0.0], [300.0, 0.0]]);
        assert_eq!(layout(&[short, sharp, unknown], &glyphs(), &LOOK), []);
    }

    #[test]
    fn names_do_not_touch_and_the_first_wins() {
        let crossing = [
            along("ENSIN", vec![[-100.0, 0.0], [100.0, 0.0]]),
            along("SITTEN", vec![[0.0, -100.0], [0.0, 100.0]]),
        ];
        assert_eq!(layout(&crossing, &glyphs(), &LOOK).len(), 5);
    }

    #[test]
    fn a_long_street_says_its_name_again() {
        let line = vec![[-380.0, -280.0], [380.0, -280.0], [380.0, 280.0], [-380.0, 280.0]];
        let letters = layout(&[along("KEHA", line)], &glyphs(), &LOOK);
        assert_eq!(letters.len(), 8);
    }

    #[test]
    fn dragging_the_map_moves_names_with_it() {
        let name = [along("KATU", vec![[-200.0, 0.0], [0.0, 30.0], [200.0, 0.0]])];
        let before = layout(&name, &glyphs(), &LOOK);
        let after = layout(&name, &glyphs(), &Look { center: [50.0, 10.0], ..LOOK });
        for (a, b) in before.iter().zip(&after) {
            assert!((a.at[0] - b.at[0] - 50.0).abs() < 0.01 && (a.at[1] - b.at[1] - 10.0).abs() < 0.01);
        }
        assert_eq!(before.len(), after.len());
    }
}
