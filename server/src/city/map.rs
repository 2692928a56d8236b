//! The geometry that the page draws, built from OpenStreetMap: everything inside the map's bounds, the most visible
//! first.

use std::collections::HashMap;

use rides_proto::geo::{Bounds, LatLng, length_m};
use sha2::{Digest, Sha256};

use super::{
    access::{Direction, drivable, is_hidden, one_way},
    clip::{HalfPlane, line_inside, ring_inside},
    coast::sea,
    names::main_name,
    osm::{Multipolygon, Osm, OsmWay, Tags},
    rings::join,
    tags::car_class,
};

/// The most points in one street, track or area. Longer ones are split.
pub const MAX_POINTS: usize = 4_000;

/// The geometry of a city.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct MapData {
    /// Sorted by class, the widest first.
    pub streets: Vec<Street>,
    /// Sorted by kind: water, parks, squares, buildings. The largest of each kind first.
    pub areas: Vec<Area>,
    /// Sorted by kind: train, subway, tram.
    pub rails: Vec<Rail>,
}

/// The importance of a street, the widest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreetClass {
    /// Motorways and trunk roads.
    Motorway,
    /// Primary roads.
    Primary,
    /// Secondary roads.
    Secondary,
    /// Tertiary roads.
    Tertiary,
    /// Residential and unclassified streets.
    Residential,
    /// Yards, alleys and parking aisles, and streets that are closed to taxis.
    Service,
    /// Ways that are not for cars.
    Footway,
}

/// A street, or a piece of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Street {
    /// The importance of the street.
    pub class: StreetClass,
    /// May be empty. At most 255 characters, like every name on the map.
    pub name: String,
    /// From 2 to [`MAX_POINTS`] points.
    pub line: Vec<LatLng>,
    /// `true` if cars may follow `drive_stream` only in its direction.
    pub one_way: bool,
}

/// The kind of an area, in drawing order: the bottom-most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AreaKind {
    /// Sea, lake or river.
    Water,
    /// Park, garden, grass or wood.
    Park,
    /// Square or pedestrian area.
    Square,
    /// A building.
    Building,
}

/// A polygon with holes, filled by the even-odd rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Area {
    /// The kind of the area.
    pub kind: AreaKind,
    /// May be empty.
    pub name: String,
    /// Rings of at least three points, which do not repeat their first point. All together have at most
    /// [`MAX_POINTS`].
    pub rings: Vec<Vec<LatLng>>,
    /// The height of a building, in metres. 0: unknown.
    pub height_m: u32,
}

/// The kind of a track.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RailKind {
    /// Trains.
    Train,
    /// Subway.
    Subway,
    /// Trams.
    Tram,
}

/// A track, or a piece of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Rail {
    /// The kind of the track.
    pub kind: RailKind,
    /// From 2 to [`MAX_POINTS`] points.
    pub line: Vec<LatLng>,
}

impl MapData {
    pub(super) fn new(osm: &Osm, bounds: Bounds) -> Self {
        let mut map = Self::default();
        for way in &osm.ways {
            map.add_way(osm, way, bounds);
        }
        let ways: HashMap<i64, &OsmWay> = osm.ways.iter().map(|way| (way.id, way)).collect();
        for multipolygon in &osm.multipolygons {
            map.add_multipolygon(osm, multipolygon, &ways, bounds);
        }
        map.add_area(AreaKind::Water, &Tags::default(), sea(shores(osm), bounds));
        map.sort();
        map
    }

    /// Returns a hash of everything on the map.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |kind: u8, numbers: [u32; 2], name: &str, lines: &[Vec<LatLng>]| {
            hash.update([kind]);
            for number in numbers.into_iter().chain([name.len() as u32, lines.len() as u32]) {
                hash.update(number.to_le_bytes());
            }
            hash.update(name);
            for line in lines {
                hash.update((line.len() as u32).to_le_bytes());
                line.iter().flat_map(|p| [p.lat(), p.lng()]).for_each(|v| hash.update(v.to_le_bytes()));
            }
        };
        for Street { class, name, line, one_way } in &self.streets {
            add(b's', [*class as u32, u32::from(*one_way)], name, std::slice::from_ref(line));
        }
        for Area { kind, name, rings, height_m } in &self.areas {
            add(b'a', [*kind as u32, *height_m], name, rings);
        }
        for Rail { kind, line } in &self.rails {
            add(b'r', [*kind as u32, 0], "", std::slice::from_ref(line));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn add_way(&mut self, osm: &Osm, way: &OsmWay, bounds: Bounds) {
        let is_ring = way.nodes.len() > 3 && way.nodes.first() == way.nodes.last();
        if let Some(kind) = area_kind(&way.tags).filter(|_| is_ring) {
            // An extract leaves out nodes beyond its edge. Without them the ring is cut off there.
            self.add_area(kind, &way.tags, vec![ring_inside(osm.ring(&way.nodes), bounds)]);
        } else if let Some(class) = street_class(&way.tags) {
            for line in cut(osm, way, bounds) {
                self.streets.push(street(class, &way.tags, line));
            }
        } else if let Some(kind) = rail_kind(&way.tags) {
            self.rails.extend(cut(osm, way, bounds).into_iter().map(|line| Rail { kind, line }));
        }
    }

    fn add_multipolygon(
        &mut self,
        osm: &Osm,
        area: &Multipolygon,
        ways: &HashMap<i64, &OsmWay>,
        bounds: Bounds,
    ) {
        let Some(kind) = multipolygon_kind(&area.tags) else { return };
        let rings = |ids: &[i64]| -> Vec<_> {
            let lines = ids.iter().filter_map(|id| Some(ways.get(id)?.nodes.clone())).collect();
            let rings = join(lines, true).into_iter().map(|ring| ring_inside(osm.ring(&ring), bounds));
            rings.filter(|ring| !ring.is_empty()).collect()
        };
        let outer = rings(&area.outer);
        if !outer.is_empty() {
            self.add_area(kind, &area.tags, [outer, rings(&area.inner)].concat());
        }
    }

    fn add_area(&mut self, kind: AreaKind, tags: &Tags, mut rings: Vec<Vec<LatLng>>) {
        rings.retain(|ring| ring.len() >= 3);
        let name = tags.get("name").unwrap_or_default();
        let height_m = if kind == AreaKind::Building { height_m(tags) } else { 0 };
        for rings in split_polygon(rings, 0) {
            self.areas.push(Area { kind, name: name.into(), rings, height_m });
        }
    }

    fn sort(&mut self) {
        let descending = |a: f64, b: f64| b.total_cmp(&a);
        self.streets
            .sort_by(|a, b| a.class.cmp(&b.class).then(descending(length_m(&a.line), length_m(&b.line))));
        self.areas.sort_by(|a, b| a.kind.cmp(&b.kind).then(descending(size(&a.rings), size(&b.rings))));
        self.rails.sort_by_key(|rail| rail.kind);
    }
}

/// Returns the coastlines, joined as far as the file has them.
fn shores(osm: &Osm) -> Vec<Vec<LatLng>> {
    let coast = osm.ways.iter().filter(|way| way.tags.is("natural", &["coastline"]));
    let shores = join(coast.map(|way| way.nodes.clone()).collect(), false);
    shores.iter().flat_map(|shore| osm.pieces(shore)).collect()
}

/// Returns the parts of a way that are on the map, each of at most [`MAX_POINTS`] points.
fn cut(osm: &Osm, way: &OsmWay, bounds: Bounds) -> Vec<Vec<LatLng>> {
    let lines = osm.pieces(&way.nodes).flat_map(|piece| line_inside(piece, bounds));
    lines.flat_map(|line| overlapping_chunks(&line)).collect()
}

/// Splits a line into pieces of at most [`MAX_POINTS`]. Each begins where the one before it ends.
fn overlapping_chunks(line: &[LatLng]) -> Vec<Vec<LatLng>> {
    let starts = (0..line.len().saturating_sub(1)).step_by(MAX_POINTS - 1);
    starts.map(|start| line[start..line.len().min(start + MAX_POINTS)].to_vec()).collect()
}

/// Halves a polygon across its longer side until every part has at most [`MAX_POINTS`]. Leaves out a polygon that
/// does not get smaller because its points are all at one place.
fn split_polygon(rings: Vec<Vec<LatLng>>, halvings: u32) -> Vec<Vec<Vec<LatLng>>> {
    let Some(bounds) = Bounds::around(rings.iter().flatten().copied()) else { return vec![] };
    if rings.iter().map(Vec::len).sum::<usize>() <= MAX_POINTS {
        return vec![rings];
    }
    if halvings == 16 {
        return vec![];
    }
    let (sw, ne, center) = (bounds.south_west(), bounds.north_east(), bounds.center());
    let halves = if ne.lat() - sw.lat() > ne.lng() - sw.lng() {
        [HalfPlane::North(center.lat()), HalfPlane::South(center.lat())]
    } else {
        [HalfPlane::East(center.lng()), HalfPlane::West(center.lng())]
    };
    let part = |half: &HalfPlane| {
        rings.iter().map(|ring| half.clip_ring(ring)).filter(|ring| !ring.is_empty()).collect()
    };
    halves.iter().flat_map(|half| split_polygon(part(half), halvings + 1)).collect()
}

/// The area of the box around a polygon, in square degrees. Accurate enough for sorting by size.
fn size(rings: &[Vec<LatLng>]) -> f64 {
    Bounds::around(rings.iter().flatten().copied()).map_or(0.0, |bounds| {
        let (sw, ne) = (bounds.south_west(), bounds.north_east());
        (ne.lat() - sw.lat()) * (ne.lng() - sw.lng())
    })
}

fn street(class: StreetClass, tags: &Tags, mut line: Vec<LatLng>) -> Street {
    let direction = drivable(tags).or_else(|| one_way(tags)).unwrap_or(Direction::Both);
    let direction = if class == StreetClass::Footway { Direction::Both } else { direction };
    if direction == Direction::Backward {
        line.reverse();
    }
    let name = main_name(tags).into();
    Street { class, name, line, one_way: direction != Direction::Both }
}

fn street_class(tags: &Tags) -> Option<StreetClass> {
    let on_foot = ["footway", "pedestrian", "path", "steps", "cycleway", "track", "bridleway"];
    let class = match car_class(tags) {
        Some(class) if drivable(tags).is_some() => class,
        Some(_) => StreetClass::Service,
        None if tags.is("highway", &on_foot) => StreetClass::Footway,
        None => return None,
    };
    let is_out_of_sight = class >= StreetClass::Service && is_hidden(tags);
    Some(class).filter(|_| !is_out_of_sight && !tags.is("area", &["yes"]))
}

fn rail_kind(tags: &Tags) -> Option<RailKind> {
    match tags.get("railway")? {
        "rail" | "light_rail" | "narrow_gauge" => Some(RailKind::Train),
        "tram" => Some(RailKind::Tram),
        "subway" => Some(RailKind::Subway),
        _ => None,
    }
}

/// Returns the kind of a closed way, or `None` if it is not an area.
fn area_kind(tags: &Tags) -> Option<AreaKind> {
    let is_loop = tags.has("highway") && !tags.is("area", &["yes"]) && !tags.is("place", &["square"]);
    if is_loop { None } else { multipolygon_kind(tags) }
}

fn multipolygon_kind(tags: &Tags) -> Option<AreaKind> {
    let park =
        ["park", "garden", "pitch", "playground", "golf_course", "dog_park", "nature_reserve", "common"];
    let green = ["grass", "forest", "meadow", "village_green", "recreation_ground", "cemetery", "flowerbed"];
    if tags.has("building") {
        (!tags.is("location", &["underground"])).then_some(AreaKind::Building)
    } else if tags.is("natural", &["water", "bay"])
        || tags.is("waterway", &["riverbank", "dock"])
        || tags.is("landuse", &["basin", "reservoir", "pond"])
    {
        Some(AreaKind::Water)
    } else if tags.is("leisure", &park)
        || tags.is("landuse", &green)
        || tags.is("natural", &["wood", "scrub", "grassland", "heath"])
    {
        Some(AreaKind::Park)
    } else if tags.is("place", &["square"]) || tags.is("highway", &["pedestrian", "footway"]) {
        (!is_hidden(tags)).then_some(AreaKind::Square)
    } else {
        None
    }
}

/// The height of a building in metres: as tagged, else 3 m per level. 0: unknown.
fn height_m(tags: &Tags) -> u32 {
    let number = |key: &str| tags.get(key)?.trim_end_matches('m').trim().parse::<f64>().ok();
    let metres = number("height").or_else(|| Some(number("building:levels")? * 3.0));
    // A cast from float saturates, and NaN becomes 0.
    metres.map_or(0, |metres| (metres.round() as u32).min(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::clip::tests::p;

    fn tags(text: &str) -> Tags {
        text.split_whitespace().filter_map(|tag| tag.split_once('=')).collect()
    }

    #[test]
    fn heights_come_from_the_tag_or_the_levels() {
        for (text, expected) in [
            ("building=yes", 0),
            ("height=12.4", 12),
            ("height=12m building:levels=9", 12),
            ("building:levels=6", 18),
            ("height=tall building:levels=2", 6),
            ("height=-5", 0),
            ("height=NaN", 0),
            ("height=1e30", 1_000),
        ] {
            assert_eq!(height_m(&tags(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_loop_street_is_no_square() {
        assert_eq!(area_kind(&tags("highway=pedestrian")), None);
        assert_eq!(area_kind(&tags("highway=pedestrian area=yes")), Some(AreaKind::Square));
        assert_eq!(area_kind(&tags("building=no landuse=grass")), Some(AreaKind::Park));
    }

    #[test]
    fn long_lines_are_cut_and_still_hang_together() {
        let line: Vec<_> = (0..10_000).map(|i| p(0.0, f64::from(i) / 1e4)).collect();
        let chunks = overlapping_chunks(&line);
        assert!(chunks.iter().all(|chunk| (2..=MAX_POINTS).contains(&chunk.len())));
        assert!(chunks.windows(2).all(|pair| pair[0].last() == pair[1].first()));
        assert_eq!(chunks.iter().map(|chunk| chunk.len() - 1).sum::<usize>(), line.len() - 1);
    }

    #[test]
    fn a_huge_polygon_is_cut_into_parts_that_cover_it() {
        let turn = |i: u32| f64::from(i) / 20_000.0 * std::f64::consts::TAU;
        let circle: Vec<_> = (0..20_000).map(|i| p(turn(i).sin(), turn(i).cos())).collect();
        let parts = split_polygon(vec![circle], 0);
        assert!(parts.iter().all(|rings| rings.iter().map(Vec::len).sum::<usize>() <= MAX_POINTS));
        let area = |ring: &Vec<LatLng>| {
            let next = ring.iter().cycle().skip(1);
            ring.iter().zip(next).map(|(a, b)| a.lng() * b.lat() - b.lng() * a.lat()).sum::<f64>().abs() / 2.0
        };
        let total: f64 = parts.iter().flatten().map(area).sum();
        assert!((total - std::f64::consts::PI).abs() < 1e-3, "{total}");
    }

    #[test]
    fn a_polygon_of_one_point_a_thousand_times_over_is_left_out() {
        assert!(split_polygon(vec![vec![p(1.0, 1.0); 9_000]], 0).is_empty());
    }
}
