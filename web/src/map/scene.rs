//! The conversion of the city to vertices for the GPU. Pure.
//!
//! *Ground* coordinates are metres from the middle of the city in the Mercator projection, with x eastwards and
//! y southwards. They are small numbers, so that an f32 is exact to less than a millimetre.

use std::f64::consts::TAU;

use bytemuck::{Pod, Zeroable};
use earcut::Earcut;
use rides_proto::{
    geo::{Bounds, LatLng},
    math::cos,
    tiles::unit_mercator,
};

use super::camera::WorldPos;
use crate::{
    model::{Area, AreaKind, CityMap, Rail, RailKind, Street, StreetClass},
    sort::sort_by_rank,
};

/// The equatorial radius of WGS 84 in metres, which Web Mercator uses.
const MERCATOR_RADIUS_M: f64 = 6_378_137.0;
/// The height of a building whose height is unknown, in metres.
const USUAL_HEIGHT_M: f32 = 17.0;
/// The maximum drawn height in metres, so that a tower does not hide its neighbourhood.
const MAX_HEIGHT_M: f32 = 60.0;
/// An edge of a ring that is this close to the edge of the map, in metres, is a cut of the map and not a shore.
const CUT_M: f32 = 3.0;

/// A position on the ground, in metres.
pub type GroundPos = [f32; 2];

/// The projection between the world and the ground.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ground {
    origin: WorldPos,
    m_per_world: f64,
}

impl Ground {
    /// Returns the ground of a city.
    pub fn of(city: Bounds) -> Self {
        let middle = city.center();
        let m_per_world = TAU * MERCATOR_RADIUS_M * cos(middle.lat().to_radians());
        Self { origin: unit_mercator(middle), m_per_world }
    }

    /// Returns the width of the whole world in metres, at the city's latitude.
    pub fn m_per_world(&self) -> f64 {
        self.m_per_world
    }

    /// Returns the position on the ground of a position in the world.
    pub fn ground_from_world(&self, (x, y): WorldPos) -> GroundPos {
        let metres = |world: f64, origin: f64| ((world - origin) * self.m_per_world) as f32;
        [metres(x, self.origin.0), metres(y, self.origin.1)]
    }

    /// Returns the position on the ground of a point on Earth.
    pub fn ground_from_lat_lng(&self, point: LatLng) -> GroundPos {
        self.ground_from_world(unit_mercator(point))
    }
}

/// A segment of a line. The painter gives it a width, round ends and dashes.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Segment {
    /// The start on the ground.
    pub from: GroundPos,
    /// The end on the ground.
    pub to: GroundPos,
    /// The length of the line before `from`, in metres.
    pub along: f32,
    /// The height above the ground, in metres.
    pub height: f32,
    /// The index of the stroke: a [`StreetClass`] or a [`RailKind`] as a number.
    pub style: f32,
}

/// A vertex of a wall or a roof.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BuildingVertex {
    /// The position on the ground.
    pub at: GroundPos,
    /// The height above the ground, in metres.
    pub height: f32,
    /// The brightness, from 0 (dark) to 1 (lit).
    pub light: f32,
    /// The position along the wall in metres; negative for a roof.
    pub along: f32,
    /// A pseudorandom number of the building, from 0 to 1.
    pub seed: f32,
}

/// Indexed triangles.
#[derive(Clone, PartialEq, Debug)]
pub struct Mesh<V> {
    /// The vertices.
    pub vertices: Vec<V>,
    /// Three indices per triangle.
    pub indices: Vec<u32>,
}

impl<V> Default for Mesh<V> {
    fn default() -> Self {
        Self { vertices: Vec::new(), indices: Vec::new() }
    }
}

/// A part of the city, ready to be uploaded to the GPU.
#[derive(Default, Debug)]
pub struct SceneBatch {
    /// Parks, flat on the ground.
    pub parks: Mesh<GroundPos>,
    /// Water, flat on the ground. It is painted over parks, which may contain ponds.
    pub water: Mesh<GroundPos>,
    /// Squares, flat on the ground.
    pub squares: Mesh<GroundPos>,
    /// The edges between water and land.
    pub shores: Vec<Segment>,
    /// Streets, the least important class first.
    pub streets: Vec<Segment>,
    /// Rails.
    pub rails: Vec<Segment>,
    /// Walls and roofs.
    pub buildings: Mesh<BuildingVertex>,
    /// The edges of roofs.
    pub roof_edges: Vec<Segment>,
}

/// A builder that converts a growing city to batches of bounded size.
pub struct SceneBuilder {
    ground: Ground,
    min: GroundPos,
    max: GroundPos,
    areas: usize,
    streets: usize,
    rails: usize,
    earcut: Earcut<f32>,
}

impl SceneBuilder {
    /// Returns a builder for a city with these bounds.
    pub fn new(city: Bounds) -> Self {
        let ground = Ground::of(city);
        let [west, south] = ground.ground_from_lat_lng(city.south_west());
        let [east, north] = ground.ground_from_lat_lng(city.north_east());
        Self {
            ground,
            min: [west, north],
            max: [east, south],
            areas: 0,
            streets: 0,
            rails: 0,
            earcut: Earcut::new(),
        }
    }

    /// Returns the ground of the batches.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// Returns the city's box on the ground: its north-western and south-eastern corners.
    pub fn extent(&self) -> (GroundPos, GroundPos) {
        (self.min, self.max)
    }

    /// Converts features that the map has gained since the last call, with about `budget` points at most.
    /// Returns `None` if there are none.
    pub fn advance(&mut self, map: &CityMap, budget: usize) -> Option<SceneBatch> {
        let mut batch = SceneBatch::default();
        let mut left = budget;
        // Streets come first, because the cars drive on them.
        let streets = take(&map.streets, &mut self.streets, &mut left, |s| s.line.len());
        let areas = take(&map.areas, &mut self.areas, &mut left, |a| a.rings.iter().map(Vec::len).sum());
        let rails = take(&map.rails, &mut self.rails, &mut left, |r| r.line.len());
        if areas.is_empty() && streets.is_empty() && rails.is_empty() {
            return None;
        }
        for area in areas {
            self.add_area(&mut batch, area);
        }
        for street in streets {
            self.add_street(&mut batch, street);
        }
        // Important streets are painted last, over the others.
        sort_by_rank(&mut batch.streets, |segment| -segment.style);
        for rail in rails {
            self.add_rail(&mut batch, rail);
        }
        Some(batch)
    }

    fn add_street(&self, batch: &mut SceneBatch, street: &Street) {
        self.add_line(&mut batch.streets, &street.line, street_style(street.class));
    }

    fn add_rail(&self, batch: &mut SceneBatch, rail: &Rail) {
        self.add_line(&mut batch.rails, &rail.line, rail_style(rail.kind));
    }

    fn add_line(&self, segments: &mut Vec<Segment>, line: &[LatLng], style: f32) {
        let points: Vec<_> = line.iter().map(|p| self.ground.ground_from_lat_lng(*p)).collect();
        segments.extend(line_segments(&points, 0.0, style));
    }

    fn add_area(&mut self, batch: &mut SceneBatch, area: &Area) {
        let rings: Vec<Vec<GroundPos>> = area
            .rings
            .iter()
            .filter(|ring| ring.len() >= 3)
            .map(|ring| ring.iter().map(|p| self.ground.ground_from_lat_lng(*p)).collect())
            .collect();
        if rings.is_empty() {
            return;
        }
        match area.kind {
            AreaKind::Park => fill(&mut self.earcut, &rings, &mut batch.parks, |at| at),
            AreaKind::Square => fill(&mut self.earcut, &rings, &mut batch.squares, |at| at),
            AreaKind::Water => {
                fill(&mut self.earcut, &rings, &mut batch.water, |at| at);
                self.add_shore(batch, &rings);
            }
            AreaKind::Building => self.add_building(batch, &rings, area.height_m),
        }
    }

    fn add_shore(&self, batch: &mut SceneBatch, rings: &[Vec<GroundPos>]) {
        let on_edge = |at: GroundPos, axis: usize| {
            (at[axis] - self.min[axis]).abs() < CUT_M || (at[axis] - self.max[axis]).abs() < CUT_M
        };
        let is_cut = |s: &Segment| (0..2).any(|axis| on_edge(s.from, axis) && on_edge(s.to, axis));
        for ring in rings {
            batch.shores.extend(ring_segments(ring, 0.0).filter(|s| !is_cut(s)));
        }
    }

    fn add_building(&mut self, batch: &mut SceneBatch, rings: &[Vec<GroundPos>], height_m: u32) {
        let height = match height_m {
            0 => USUAL_HEIGHT_M,
            known => (known as f32).min(MAX_HEIGHT_M),
        };
        let [x, y] = rings[0][0];
        let seed = noise(x, y);
        let roof = |at| BuildingVertex { at, height, light: 1.0, along: -1.0, seed };
        fill(&mut self.earcut, rings, &mut batch.buildings, roof);
        for ring in rings {
            for wall in ring_segments(ring, height) {
                add_wall(&mut batch.buildings, &wall, seed);
                batch.roof_edges.push(wall);
            }
        }
    }
}

/// Returns a pseudorandom number in [0, 1) for a position.
fn noise(x: f32, y: f32) -> f32 {
    let bits = x.to_bits().wrapping_mul(0x9e37_79b1) ^ y.to_bits().wrapping_mul(0x85eb_ca77);
    let mixed = (bits ^ bits >> 15).wrapping_mul(0x2c1b_3c6d);
    (mixed >> 8) as f32 / (1 << 24) as f32
}

/// Returns the number of a class for [`Segment::style`].
pub fn street_style(class: StreetClass) -> f32 {
    f32::from(class as u8)
}

/// Returns the number of a kind of rail for [`Segment::style`].
pub fn rail_style(kind: RailKind) -> f32 {
    f32::from(kind as u8)
}

/// Returns the segments of a line.
pub fn line_segments(points: &[GroundPos], height: f32, style: f32) -> impl Iterator<Item = Segment> + '_ {
    let mut along = 0.0;
    points.windows(2).map(move |pair| {
        let segment = Segment { from: pair[0], to: pair[1], along, height, style };
        along += length(&segment);
        segment
    })
}

fn ring_segments(ring: &[GroundPos], height: f32) -> impl Iterator<Item = Segment> + '_ {
    let mut along = 0.0;
    ring.iter().zip(ring.iter().cycle().skip(1)).map(move |(from, to)| {
        let segment = Segment { from: *from, to: *to, along, height, style: 0.0 };
        along += length(&segment);
        segment
    })
}

fn length(segment: &Segment) -> f32 {
    (segment.to[0] - segment.from[0]).hypot(segment.to[1] - segment.from[1])
}

/// Takes the next items that fit into the budget, and advances `cursor`. While the budget is not used up, one
/// more item always fits.
fn take<'a, T>(
    items: &'a [T],
    cursor: &mut usize,
    budget: &mut usize,
    cost: impl Fn(&T) -> usize,
) -> &'a [T] {
    let start = (*cursor).min(items.len());
    let mut end = start;
    while end < items.len() && *budget > 0 {
        *budget = budget.saturating_sub(cost(&items[end]));
        end += 1;
    }
    *cursor = end;
    &items[start..end]
}

/// Triangulates a polygon and adds it to the mesh. The first ring is the outer one.
fn fill<V>(
    earcut: &mut Earcut<f32>,
    rings: &[Vec<GroundPos>],
    mesh: &mut Mesh<V>,
    vertex: impl Fn(GroundPos) -> V,
) {
    let mut holes: Vec<u32> = Vec::new();
    let mut count = 0u32;
    for ring in rings {
        if count > 0 {
            holes.push(count);
        }
        count += ring.len() as u32;
    }
    let mut triangles: Vec<u32> = Vec::new();
    earcut.earcut(rings.iter().flatten().copied(), &holes, &mut triangles);
    let base = mesh.vertices.len() as u32;
    mesh.indices.extend(triangles.iter().map(|i| i + base));
    mesh.vertices.extend(rings.iter().flatten().map(|at| vertex(*at)));
}

/// Adds a wall as two triangles from the ground to the roof.
/// The light comes from the north-west, and a wall is lit by its angle. Rings may have either orientation, so
/// both sides of a wall count as lit.
fn add_wall(mesh: &mut Mesh<BuildingVertex>, wall: &Segment, seed: f32) {
    let size = length(wall).max(1e-3);
    let (dx, dy) = ((wall.to[0] - wall.from[0]) / size, (wall.to[1] - wall.from[1]) / size);
    let light = 0.4 + 0.6 * (dx * 0.8 - dy * 0.6).abs();
    let base = mesh.vertices.len() as u32;
    let corner = |at, height, along| BuildingVertex { at, height, light, along, seed };
    mesh.vertices.extend([
        corner(wall.from, 0.0, wall.along),
        corner(wall.to, 0.0, wall.along + size),
        corner(wall.from, wall.height, wall.along),
        corner(wall.to, wall.height, wall.along + size),
    ]);
    mesh.indices.extend([0, 1, 2, 2, 1, 3].map(|i| base + i));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn city() -> Bounds {
        Bounds::around([p(60.15, 24.90), p(60.19, 24.98)]).expect("two points")
    }

    fn area(kind: AreaKind, rings: Vec<Vec<LatLng>>) -> Area {
        Area { kind, rings, name: String::new(), height_m: 0 }
    }

    fn map(areas: Vec<Area>) -> CityMap {
        let line = vec![p(60.16, 24.93), p(60.17, 24.94), p(60.17, 24.95)];
        let street = |class| Street { class, name: String::new(), line: line.clone(), one_way: false };
        CityMap {
            name: String::new(),
            bounds: city(),
            attribution: String::new(),
            version: String::new(),
            streets: vec![street(StreetClass::Primary), street(StreetClass::Footway)],
            areas,
            rails: vec![Rail { kind: RailKind::Tram, line }],
            complete: true,
        }
    }

    fn square(south: f64, west: f64, side: f64) -> Vec<LatLng> {
        let (north, east) = (south + side, west + side);
        vec![p(south, west), p(south, east), p(north, east), p(north, west)]
    }

    /// Returns the area of a flat mesh in square metres.
    fn mesh_m2(mesh: &Mesh<GroundPos>) -> f64 {
        let corner = |i: u32| mesh.vertices[i as usize].map(f64::from);
        let triangles = mesh.indices.as_chunks::<3>().0;
        triangles.iter().map(|[a, b, c]| ring_m2(&[corner(*a), corner(*b), corner(*c)])).sum()
    }

    /// Returns the area of a ring by the shoelace formula.
    fn ring_m2(ring: &[[f64; 2]]) -> f64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>().abs() / 2.0
    }

    #[test]
    fn a_hole_is_not_filled() {
        let rings = vec![square(60.16, 24.93, 0.01), square(60.163, 24.933, 0.004)];
        let ground = Ground::of(city());
        let expected: Vec<f64> = rings
            .iter()
            .map(|ring| {
                ring.iter().map(|at| ground.ground_from_lat_lng(*at).map(f64::from)).collect::<Vec<_>>()
            })
            .map(|ring| ring_m2(&ring))
            .collect();
        let batch = SceneBuilder::new(city()).advance(&map(vec![area(AreaKind::Park, rings)]), 1000);
        let parks = batch.expect("there is a park").parks;
        assert_eq!(parks.indices.len(), 8 * 3);
        let difference = (mesh_m2(&parks) - (expected[0] - expected[1])).abs();
        assert!(difference < expected[0] * 1e-4, "{difference} m²");
    }

    #[test]
    fn a_house_has_a_roof_and_a_wall_on_every_side() {
        let areas = vec![area(AreaKind::Building, vec![square(60.17, 24.94, 0.001)])];
        let batch = SceneBuilder::new(city()).advance(&map(areas), 1000).expect("there is a house");
        assert_eq!(batch.buildings.indices.len(), (2 + 4 * 2) * 3);
        assert_eq!(batch.roof_edges.len(), 4);
        assert!(batch.buildings.vertices.iter().all(|v| v.height == 0.0 || v.height == USUAL_HEIGHT_M));
    }

    #[test]
    fn where_the_map_was_cut_there_is_no_shore() {
        let areas = vec![area(AreaKind::Water, vec![square(60.15, 24.90, 0.01)])];
        let batch = SceneBuilder::new(city()).advance(&map(areas), 1000).expect("there is water");
        assert_eq!(batch.shores.len(), 2, "the southern and western edges are the map's");
    }

    #[test]
    fn a_growing_city_is_taken_in_bounded_pieces_and_nothing_twice() {
        let mut builder = SceneBuilder::new(city());
        let mut whole =
            map((0..10).map(|_| area(AreaKind::Park, vec![square(60.17, 24.94, 0.001)])).collect());
        let later = whole.areas.split_off(6);
        let mut parks = 0;
        let mut streets = 0;
        while let Some(batch) = builder.advance(&whole, 8) {
            assert!(batch.parks.vertices.len() <= 8);
            (parks, streets) = (parks + batch.parks.vertices.len(), streets + batch.streets.len());
        }
        assert_eq!((parks, streets), (6 * 4, 2 * 2));
        whole.areas.extend(later);
        let rest = builder.advance(&whole, 1000).expect("the city grew");
        assert_eq!((rest.parks.vertices.len(), rest.streets.len()), (4 * 4, 0));
        assert!(builder.advance(&whole, 1000).is_none());
    }

    #[test]
    fn streets_come_before_what_lies_beside_them() {
        let park = area(AreaKind::Park, vec![square(60.17, 24.94, 0.001)]);
        let first = SceneBuilder::new(city()).advance(&map(vec![park]), 1).expect("there are streets");
        assert!(!first.streets.is_empty() && first.parks.vertices.is_empty());
    }

    #[test]
    fn the_important_street_is_painted_last() {
        let batch = SceneBuilder::new(city()).advance(&map(vec![]), 1000).expect("there are streets");
        assert_eq!(batch.streets.first().map(|s| s.style), Some(street_style(StreetClass::Footway)));
        assert_eq!(batch.streets.last().map(|s| s.style), Some(street_style(StreetClass::Primary)));
    }

    #[test]
    fn broken_rings_are_left_out() {
        let at = p(60.17, 24.94);
        let rings = [vec![], vec![vec![]], vec![vec![at, at]], vec![vec![at, at, at]]];
        for kind in [AreaKind::Building, AreaKind::Water] {
            let areas = rings.iter().map(|rings| area(kind, rings.clone())).collect();
            let batch = SceneBuilder::new(city()).advance(&map(areas), 1000).expect("there are streets");
            let corners = &batch.buildings.vertices;
            assert!(corners.iter().all(|v| v.light.is_finite() && v.seed.is_finite() && v.along.is_finite()));
        }
    }

    proptest! {
        #[test]
        fn triangles_cover_a_star_exactly(radii in prop::collection::vec(0.001..0.01f64, 3..40)) {
            let turn = |i: usize| TAU * i as f64 / radii.len() as f64;
            let star: Vec<_> = radii
                .iter()
                .enumerate()
                .map(|(i, r)| p(60.17 + r * turn(i).sin(), 24.94 + r * turn(i).cos()))
                .collect();
            let ground = Ground::of(city());
            let ring: Vec<_> = star.iter().map(|at| ground.ground_from_lat_lng(*at).map(f64::from)).collect();
            let batch = SceneBuilder::new(city()).advance(&map(vec![area(AreaKind::Park, vec![star])]), 1000);
            let parks = batch.expect("there is a park").parks;
            prop_assert!(parks.vertices.iter().flatten().all(|v| v.is_finite()));
            prop_assert!((mesh_m2(&parks) - ring_m2(&ring)).abs() < ring_m2(&ring) * 1e-3 + 1.0);
        }
    }
}
