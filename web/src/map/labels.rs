//! The layout of names for one view: along their streets, without overlap. Pure.
//!
//! Positions are chosen along the whole street and not along its visible part, so that a name stays where it is
//! while the map is dragged.

use super::{
    names::{Label, LabelPlacement},
    painter::{GlyphInstance, GroundView},
};

/// The space between letters, as a fraction of their size.
const SPACING: f32 = 0.13;
/// The distance after which a street's name is repeated, in pixels. The number of names is rounded down to a power
/// of two.
const REPEAT_PX: f32 = 620.0;
/// The cosine of 24°, the largest turn between two consecutive letters.
const MIN_AHEAD: f32 = 0.913;
/// The widest letter, as a multiple of its size. A wider glyph is a word, and needs a straight line.
const MAX_LETTER: f32 = 2.0;
/// The margin around the screen in which names still reserve space, in pixels.
const MARGIN_PX: f32 = 160.0;
/// The side of a square in the grid of reserved space, in pixels.
const CELL_PX: f32 = 7.0;

/// The measures of a glyph.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Glyph {
    /// The distance to the next glyph, as a multiple of the size.
    pub advance: f32,
    /// Half of the box, as a multiple of the size.
    pub half: [f32; 2],
    /// The box in the atlas.
    pub atlas: [f32; 4],
}

/// A lookup of the glyph of a letter or a word. It returns `None` if the atlas has no room.
pub type FindGlyph<'a> = &'a mut dyn FnMut(&str) -> Option<Glyph>;

/// Returns the glyphs of all visible names.
pub fn layout(names: &[Label], find: FindGlyph<'_>, look: &GroundView) -> Vec<GlyphInstance> {
    let mut taken = CollisionGrid::new(look.viewport);
    let mut letters = Vec::new();
    for name in names {
        match &name.place {
            LabelPlacement::Along(line) => {
                let line = Polyline::new(line.iter().map(|at| look.screen_from_ground(*at)).collect());
                // Names that cannot be visible must not fill the atlas with glyphs.
                if !taken.may_show(&line.points) || line.length() < name.least_px() {
                    continue;
                }
                let Some(glyphs) = glyphs(name, find) else { continue };
                let width = width_px(name, &glyphs);
                if line.length() < width * 1.1 {
                    continue;
                }
                // A power of two, so that most names stay in place while the map is zoomed.
                let count = 1 << ((line.length() / REPEAT_PX) as u32).max(1).ilog2();
                for i in 0..count {
                    let middle = (i as f32 + 0.5) / count as f32 * line.length();
                    write(name, &glyphs, &line, middle - width / 2.0, width, &mut taken, &mut letters);
                }
            }
            LabelPlacement::Across { center, half_m } => {
                let [x, y] = look.screen_from_ground(*center);
                let room = half_m * 2.2 * look.px_per_m;
                if room < name.least_px() || !taken.may_show(&[[x - room, y], [x + room, y]]) {
                    continue;
                }
                let Some(glyphs) = glyphs(name, find) else { continue };
                let width = width_px(name, &glyphs);
                if room < width {
                    continue;
                }
                let line = Polyline::new(vec![[x - width, y], [x + width, y]]);
                write(name, &glyphs, &line, width / 2.0, width, &mut taken, &mut letters);
            }
        }
    }
    letters
}

/// Returns the glyphs of a name, or `None` if the atlas lacks one.
fn glyphs(name: &Label, find: FindGlyph<'_>) -> Option<Vec<Glyph>> {
    name.glyph_texts().map(find).collect()
}

fn width_px(name: &Label, glyphs: &[Glyph]) -> f32 {
    glyphs.iter().map(|glyph| glyph.advance + SPACING).sum::<f32>() * name.size_px
}

/// Writes a name along a line from `start` pixels on, unless the space is reserved or the line turns too sharply.
fn write(
    name: &Label,
    glyphs: &[Glyph],
    line: &Polyline,
    start: f32,
    width: f32,
    taken: &mut CollisionGrid,
    letters: &mut Vec<GlyphInstance>,
) {
    let (first, last) = (line.at(start), line.at(start + width));
    let backwards = last[0] < first[0];
    let mut placed: Vec<GlyphInstance> = Vec::with_capacity(glyphs.len());
    let mut offset = 0.0;
    for glyph in glyphs {
        let advance = (glyph.advance + SPACING) * name.size_px;
        let middle = offset + advance / 2.0;
        offset += advance;
        let (middle, sign) = if backwards { (start + width - middle, -1.0) } else { (start + middle, 1.0) };
        // The direction is an average over more than one letter, because streets have small kinks.
        let reach = name.size_px.max(advance / 2.0);
        if advance > MAX_LETTER * name.size_px
            && !line.is_straight(middle - reach, middle + reach, name.size_px)
        {
            return;
        }
        let (a, b) = (line.at(middle - reach), line.at(middle + reach));
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
    let radius = name.size_px * 0.55;
    let spots: Vec<[f32; 2]> = placed.iter().flat_map(|letter| spots(letter, radius)).collect();
    if spots.iter().any(|at| taken.is_taken(*at, radius)) {
        return;
    }
    spots.iter().for_each(|at| taken.take(*at, radius));
    letters.append(&mut placed);
}

/// Returns the centres of the circles that cover a glyph: one for a letter, a row for a word.
fn spots(letter: &GlyphInstance, radius: f32) -> impl Iterator<Item = [f32; 2]> + use<> {
    let GlyphInstance { at, along, half, .. } = *letter;
    // The box of a glyph includes the halo on both sides.
    let count = ((half[0] / radius) as i32 - 1).max(0);
    (-count..=count).map(move |step| [0, 1].map(|axis| at[axis] + along[axis] * step as f32 * radius))
}

/// A line whose points are found by their distance from its start.
struct Polyline {
    points: Vec<[f32; 2]>,
    /// The distance of each point from the start.
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

    /// Returns `true` if the part of the line between two distances is nearly straight.
    fn is_straight(&self, from: f32, to: f32, size: f32) -> bool {
        let (a, b) = (self.at(from), self.at(to));
        (1..8).all(|eighth| {
            let part = eighth as f32 / 8.0;
            let at = self.at(from + (to - from) * part);
            let [x, y] = [0, 1].map(|axis| a[axis] + (b[axis] - a[axis]) * part - at[axis]);
            x.hypot(y) < size * 0.6
        })
    }

    /// Returns the point at a distance in pixels from the start, or the nearer end of the line.
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

/// The squares of the screen and its margin where glyphs are.
struct CollisionGrid {
    columns: i32,
    rows: i32,
    cells: Vec<bool>,
}

impl CollisionGrid {
    fn new(viewport: [f32; 2]) -> Self {
        let [columns, rows] = viewport.map(|px| ((px + 2.0 * MARGIN_PX) / CELL_PX).ceil() as i32);
        Self { columns, rows, cells: vec![false; (columns * rows) as usize] }
    }

    /// Returns `true` if the bounding box of a line touches the screen or its margin.
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

    const LOOK: GroundView =
        GroundView { center: [0.0, 0.0], px_per_m: 1.0, viewport: [800.0, 600.0], dpr: 1.0 };

    /// Finds capitals from A to Z, and Hebrew words.
    fn find(text: &str) -> Option<Glyph> {
        let letters = text.chars().count() as f32;
        let is_known = text.chars().all(|letter| matches!(letter, 'A'..='Z' | 'א'..='ת'));
        is_known.then_some(Glyph {
            advance: 0.6 * letters,
            half: [0.3 * letters + 0.2, 0.7],
            atlas: [0.0; 4],
        })
    }

    fn along(text: &str, line: Vec<GroundPos>) -> Label {
        Label::new(text, LabelPlacement::Along(line), 12.0, [1.0; 3])
    }

    #[test]
    fn a_name_reads_from_left_to_right_whichever_way_the_street_runs() {
        for line in [vec![[-200.0, 0.0], [200.0, 20.0]], vec![[200.0, 20.0], [-200.0, 0.0]]] {
            let letters = layout(&[along("KATU", line)], &mut find, &LOOK);
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
        assert_eq!(layout(&[short, sharp, unknown], &mut find, &LOOK), []);
    }

    /// MAP-4
    #[test]
    fn a_name_that_is_drawn_as_one_lies_straight_and_keeps_others_off_all_of_its_length() {
        let straight = along("דרך השלום", vec![[-200.0, 0.0], [200.0, 0.0]]);
        let crossing = along("KATU", vec![[24.0, -100.0], [24.0, 100.0]]);
        let known = &mut |text: &str| find(&text.replace(' ', ""));
        let letters = layout(&[straight, crossing], known, &LOOK);
        assert_eq!(letters.len(), 1);
        let bent = along("דרך השלום", vec![[-100.0, 0.0], [0.0, 80.0], [100.0, 0.0]]);
        assert_eq!(layout(&[bent], known, &LOOK), []);
    }

    #[test]
    fn names_do_not_touch_and_the_first_wins() {
        let crossing = [
            along("ENSIN", vec![[-100.0, 0.0], [100.0, 0.0]]),
            along("SITTEN", vec![[0.0, -100.0], [0.0, 100.0]]),
        ];
        assert_eq!(layout(&crossing, &mut find, &LOOK).len(), 5);
    }

    #[test]
    fn a_long_street_says_its_name_again() {
        let line = vec![[-380.0, -280.0], [380.0, -280.0], [380.0, 280.0], [-380.0, 280.0]];
        let letters = layout(&[along("KEHA", line)], &mut find, &LOOK);
        assert_eq!(letters.len(), 8);
    }

    #[test]
    fn dragging_the_map_moves_names_with_it() {
        let name = [along("KATU", vec![[-200.0, 0.0], [0.0, 30.0], [200.0, 0.0]])];
        let before = layout(&name, &mut find, &LOOK);
        let after = layout(&name, &mut find, &GroundView { center: [50.0, 10.0], ..LOOK });
        for (a, b) in before.iter().zip(&after) {
            assert!((a.at[0] - b.at[0] - 50.0).abs() < 0.01 && (a.at[1] - b.at[1] - 10.0).abs() < 0.01);
        }
        assert_eq!(before.len(), after.len());
    }
}
