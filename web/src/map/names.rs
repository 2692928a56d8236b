//! The names on the map, and the line along which each is written. Pure.

use std::iter;

use rides_proto::geo::LatLng;
use rustc_hash::FxHashMap;

use super::{
    palette::{self, Rgb},
    scene::{Ground, GroundPos},
};
use crate::{
    browser,
    model::{Area, AreaKind, CityMap, Street, StreetClass},
    sort::sort_by_rank,
};

/// A name and its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    /// The text in capitals.
    pub text: String,
    /// `true` if letters join, stack or run from right to left. Only the browser can lay out such text, so the
    /// whole name is drawn as one glyph.
    pub is_single_glyph: bool,
    /// The place.
    pub place: LabelPlacement,
    /// The size of the letters in pixels.
    pub size_px: f32,
    /// The colour.
    pub color: Rgb,
}

impl Label {
    /// Returns a name. The text is converted to capitals.
    pub fn new(name: &str, place: LabelPlacement, size_px: f32, color: Rgb) -> Self {
        let text = browser::uppercase(name);
        Self { is_single_glyph: !text.chars().all(is_context_free), text, place, size_px, color }
    }

    /// Returns the parts that are drawn as one glyph each: the letters, or the whole text.
    pub fn glyph_texts(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.text.as_str();
        iter::from_fn(move || {
            let first = rest.chars().next()?;
            let (piece, after) =
                rest.split_at(if self.is_single_glyph { rest.len() } else { first.len_utf8() });
            rest = after;
            Some(piece)
        })
    }

    /// Returns a lower bound for the width of the name, in pixels.
    pub fn least_px(&self) -> f32 {
        const NARROW: f32 = 0.2;
        self.text.chars().count() as f32 * self.size_px * NARROW
    }
}

/// Returns `true` if a letter looks the same beside any other letter and is written from left to right.
/// This is so for Latin, Greek, Cyrillic, Armenian, Georgian, Chinese, Japanese and Korean letters. Other
/// letters, combining marks and control characters are excluded. The ranges are blocks of the Unicode Standard.
fn is_context_free(letter: char) -> bool {
    matches!(letter,
        ' '..='~' | '\u{a0}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{482}' | '\u{48a}'..='\u{58f}'
        | '\u{10a0}'..='\u{10ff}' | '\u{1e00}'..='\u{1fff}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
        | '\u{20a0}'..='\u{20cf}' | '\u{2100}'..='\u{214f}' | '\u{3000}'..='\u{3029}' | '\u{3030}'..='\u{3098}'
        | '\u{309b}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff01}'..='\u{ffee}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The place of a name.
#[derive(Clone, PartialEq, Debug)]
pub enum LabelPlacement {
    /// Along a street.
    Along(Vec<GroundPos>),
    /// Horizontally, in the middle of an area.
    Across {
        /// The middle.
        center: GroundPos,
        /// Half the width of the area, in metres.
        half_m: f32,
    },
}

/// Returns all names of a city, the most important first.
pub fn names_of(map: &CityMap, ground: &Ground) -> Vec<Label> {
    let mut by_name: FxHashMap<&str, Vec<&Street>> = FxHashMap::default();
    for street in map.streets.iter().filter(|s| !s.name.is_empty()) {
        by_name.entry(&street.name).or_default().push(street);
    }
    let mut names: Vec<(f32, Label)> = Vec::new();
    for (name, streets) in by_name {
        let class = streets.iter().map(|s| s.class).min().unwrap_or(StreetClass::Footway);
        for line in join_lines(streets.iter().map(|s| s.line.clone()).collect()) {
            let line: Vec<_> = line.iter().map(|p| ground.ground_from_lat_lng(*p)).collect();
            let rank = class as u8 as f32 - length_m(&line) / 10_000.0;
            names.push((rank, street_name(name, class, line)));
        }
    }
    names.extend(map.areas.iter().filter_map(|area| area_name(area, ground)));
    sort_by_rank(&mut names, |(rank, _)| *rank);
    names.into_iter().map(|(_, name)| name).collect()
}

fn street_name(name: &str, class: StreetClass, line: Vec<GroundPos>) -> Label {
    let (size_px, light) = match class {
        StreetClass::Motorway | StreetClass::Primary => (11.5, 1.0),
        StreetClass::Secondary => (11.0, 0.95),
        StreetClass::Tertiary => (10.5, 0.88),
        StreetClass::Residential => (10.0, 0.8),
        StreetClass::Service | StreetClass::Footway => (9.0, 0.62),
    };
    let color = palette::STREET_NAME.map(|c| c * light);
    Label::new(name, LabelPlacement::Along(line), size_px, color)
}

fn area_name(area: &Area, ground: &Ground) -> Option<(f32, Label)> {
    let color = match area.kind {
        AreaKind::Park => palette::PARK_NAME,
        AreaKind::Water => palette::WATER_NAME,
        AreaKind::Square => palette::SQUARE_NAME,
        AreaKind::Building => return None,
    };
    if area.name.is_empty() {
        return None;
    }
    let points: Vec<_> = area.rings.first()?.iter().map(|p| ground.ground_from_lat_lng(*p)).collect();
    let over = |axis: usize| {
        let values = points.iter().map(|p| p[axis]);
        (values.clone().fold(f32::MAX, f32::min), values.fold(f32::MIN, f32::max))
    };
    let ((west, east), (north, south)) = (over(0), over(1));
    let place = LabelPlacement::Across {
        center: [(west + east) / 2.0, (north + south) / 2.0],
        half_m: (east - west) / 2.0,
    };
    // Large parks rank before side streets, and small parks after them.
    let rank = 4.0 - ((east - west) * (south - north)).sqrt() / 100.0;
    Some((rank, Label::new(&area.name, place, 10.0, color)))
}

/// Returns the length of a line in metres.
pub(super) fn length_m(line: &[GroundPos]) -> f32 {
    line.windows(2).map(|pair| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1])).sum()
}

/// Joins pieces that meet at their ends into the longest possible lines.
fn join_lines(mut pieces: Vec<Vec<LatLng>>) -> Vec<Vec<LatLng>> {
    pieces.retain(|piece| piece.len() >= 2);
    let mut lines = Vec::new();
    while let Some(mut line) = pieces.pop() {
        while let Some(index) = pieces.iter().position(|piece| touches(&line, piece)) {
            join(&mut line, pieces.swap_remove(index));
        }
        lines.push(line);
    }
    lines
}

fn touches(line: &[LatLng], piece: &[LatLng]) -> bool {
    let ends = |of: &[LatLng]| [of.first().copied(), of.last().copied()];
    ends(line).iter().any(|end| ends(piece).contains(end))
}

/// Appends `piece` to `proxied_client`. One end of `piece` must be an end of `proxied_client`.
fn join(line: &mut Vec<LatLng>, mut piece: Vec<LatLng>) {
    if line.first() == piece.first() || line.first() == piece.last() {
        line.reverse();
    }
    if line.last() != piece.first() {
        piece.reverse();
    }
    line.extend(piece.into_iter().skip(1));
}

#[cfg(test)]
mod tests {
    use rides_proto::geo::Bounds;

    use super::*;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn street(name: &str, class: StreetClass, line: Vec<LatLng>) -> Street {
        Street { class, name: name.into(), line, one_way: false }
    }

    #[test]
    fn pieces_of_a_street_are_one_line_whatever_their_direction() {
        let (a, b, c, d) = (p(60.0, 25.0), p(60.0, 25.01), p(60.0, 25.02), p(60.0, 25.03));
        for pieces in [
            vec![vec![a, b], vec![b, c], vec![c, d]],
            vec![vec![b, a], vec![b, c], vec![d, c]],
            vec![vec![c, d], vec![b, a], vec![c, b]],
        ] {
            let lines = join_lines(pieces);
            assert_eq!(lines.len(), 1);
            assert!(lines[0] == [a, b, c, d] || lines[0] == [d, c, b, a], "{:?}", lines[0]);
        }
        assert_eq!(join_lines(vec![vec![a, b], vec![c, d]]).len(), 2);
    }

    /// MAP-4
    #[test]
    fn letters_that_join_stack_or_run_to_the_left_are_drawn_as_one() {
        let pieces = |name: &str| {
            let place = LabelPlacement::Along(vec![]);
            Label::new(name, place, 10.0, palette::LAND).glyph_texts().count()
        };
        for (name, letters) in
            [("Mäkikatu", 8), ("ул. Тверская", 12), ("Đường", 5), ("京都市", 3), ("강남대로", 4)]
        {
            assert_eq!(pieces(name), letters, "{name}");
        }
        let as_one = [
            "شارع الملك",
            "דרך השלום",
            "महात्मा",
            "ถนนสุขุมวิท",
            "ព្រះ",
            "Ti\u{301}ch",
            "👨\u{200d}👩",
            "a\u{202e}b",
        ];
        for name in as_one {
            assert_eq!(pieces(name), 1, "{name}");
        }
        assert_eq!(pieces(""), 0);
    }

    #[test]
    fn important_streets_come_first_and_names_are_in_capitals() {
        let bounds = Bounds::around([p(60.0, 25.0), p(60.1, 25.1)]).expect("two points");
        let area = |kind, name: &str| Area {
            kind,
            rings: vec![vec![p(60.0, 25.0), p(60.0, 25.001), p(60.001, 25.001)]],
            name: name.into(),
            height_m: 0,
        };
        let map = CityMap {
            name: "Test".into(),
            bounds,
            attribution: String::new(),
            version: String::new(),
            streets: vec![
                street("Pikkukuja", StreetClass::Service, vec![p(60.0, 25.0), p(60.0, 25.01)]),
                street("Mäkikatu", StreetClass::Primary, vec![p(60.0, 25.0), p(60.0, 25.01)]),
                street("", StreetClass::Primary, vec![p(60.0, 25.0), p(60.0, 25.02)]),
            ],
            areas: vec![area(AreaKind::Building, "House"), area(AreaKind::Park, "Puisto")],
            rails: vec![],
            complete: true,
        };
        let names = names_of(&map, &Ground::of(bounds));
        let texts: Vec<String> = names.into_iter().map(|name| name.text).collect();
        assert_eq!(texts, ["MÄKIKATU", "PUISTO", "PIKKUKUJA"]);
    }
}
