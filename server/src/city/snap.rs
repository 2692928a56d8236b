//! The search for the nearest street to a point.

use rides_proto::geo::{Bounds, EARTH_RADIUS_M, LatLng};
use rstar::{
    RTree,
    primitives::{GeomWithData, Line},
};

use super::roads::Roads;

/// The distance, in metres, within which a street without a name is called after a street with one.
const NAMED_WITHIN_M: f64 = 80.0;

/// A point moved to the nearest drivable street.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapped {
    /// The point on the street.
    pub at: LatLng,
    /// The distance to the original point, in metres.
    pub snap_distance_m: f64,
    /// The name of the street, or of the nearest street that has one. Empty if there is none near.
    pub street: String,
    /// The index of the segment.
    pub(super) segment: usize,
    /// The position on the segment, from 0 to 1.
    pub(super) part: f64,
}

impl Snapped {
    /// Returns the place at a fraction of a segment. `point` is the original point.
    pub(super) fn on(roads: &Roads, segment: usize, part: f64, point: Option<LatLng>) -> Self {
        let s = &roads.segments[segment];
        let at = roads.point(s, part);
        let off_m = point.map_or(0.0, |point| point.distance_m(at));
        Self { at, snap_distance_m: off_m, street: roads.names[s.name as usize].main.clone(), segment, part }
    }
}

/// A local projection to metres east and north of the city's centre.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    center: LatLng,
    /// Metres per degree of longitude and of latitude.
    scale: [f64; 2],
}

impl Plane {
    pub(super) fn around(center: LatLng) -> Self {
        let degree = EARTH_RADIUS_M.to_radians();
        Self { center, scale: [degree * center.lat().to_radians().cos(), degree] }
    }

    pub(super) fn place(&self, point: LatLng) -> [f64; 2] {
        let from_center = [point.lng() - self.center.lng(), point.lat() - self.center.lat()];
        [from_center[0] * self.scale[0], from_center[1] * self.scale[1]]
    }
}

/// A spatial index of all segments.
pub(super) struct SegmentIndex {
    plane: Plane,
    tree: RTree<GeomWithData<Line<[f64; 2]>, usize>>,
}

impl SegmentIndex {
    pub(super) fn new(roads: &Roads, bounds: Bounds) -> Self {
        let plane = Plane::around(bounds.center());
        let place = |node: u32| plane.place(roads.nodes[node as usize]);
        let lines = roads.segments.iter().map(|s| Line::new(place(s.from), place(s.to)));
        let tree = RTree::bulk_load(lines.zip(0..).map(|(line, i)| GeomWithData::new(line, i)).collect());
        Self { plane, tree }
    }

    /// Returns the nearest segment and the position on it, from 0 to 1. `None` only if there are no segments.
    pub(super) fn nearest(&self, point: LatLng) -> Option<(usize, f64)> {
        let point = self.plane.place(point);
        let found = self.tree.nearest_neighbor(&point)?;
        Some((found.data, part_along(found.geom(), point)))
    }

    /// Returns the distance to the nearest segment, in metres. `None` only if there are no segments.
    pub(super) fn off_m(&self, roads: &Roads, point: LatLng) -> Option<f64> {
        let (segment, part) = self.nearest(point)?;
        Some(roads.point(&roads.segments[segment], part).distance_m(point))
    }

    /// Returns the name of the nearest street that has one. Empty if there is none near.
    pub(super) fn name_near(&self, roads: &Roads, point: LatLng) -> String {
        self.names_near(roads, point, NAMED_WITHIN_M).next().map(str::to_owned).unwrap_or_default()
    }

    /// The street names within a distance in metres, nearest first, once per segment.
    pub(super) fn names_near<'a>(
        &'a self,
        roads: &'a Roads,
        point: LatLng,
        metres: f64,
    ) -> impl Iterator<Item = &'a str> {
        let nearest = self.tree.nearest_neighbor_iter_with_distance_2(&self.plane.place(point));
        nearest
            .take_while(move |(_, distance_2)| *distance_2 <= metres * metres)
            .map(|(found, _)| roads.names[roads.segments[found.data].name as usize].main.as_str())
            .filter(|name| !name.is_empty())
    }
}

/// Returns the position on `drive_stream` of the point nearest to `point`, from 0 to 1.
fn part_along(line: &Line<[f64; 2]>, point: [f64; 2]) -> f64 {
    let way = [line.to[0] - line.from[0], line.to[1] - line.from[1]];
    let off = [point[0] - line.from[0], point[1] - line.from[1]];
    let part = (off[0] * way[0] + off[1] * way[1]) / (way[0] * way[0] + way[1] * way[1]);
    // The squared length of a very short segment is 0. Either end is right then.
    if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_beside_a_line_lands_on_its_foot_and_never_past_the_ends() {
        let line = Line::new([0.0, 0.0], [10.0, 0.0]);
        for (point, expected) in [([3.0, 5.0], 0.3), ([-3.0, 5.0], 0.0), ([12.0, -1.0], 1.0)] {
            assert!((part_along(&line, point) - expected).abs() < 1e-12, "{point:?}");
        }
        assert_eq!(part_along(&Line::new([1.0, 1.0], [1.0, 1.0]), [0.0, 0.0]), 0.0);
    }

    #[test]
    fn the_plane_measures_in_metres() {
        let center = LatLng::new(60.17, 24.94).expect("on Earth");
        let there = LatLng::new(60.175, 24.95).expect("on Earth");
        let [east, north] = Plane::around(center).place(there);
        assert!((east.hypot(north) - center.distance_m(there)).abs() < 0.5);
    }
}
