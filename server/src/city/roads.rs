//! The streets that cars may drive on, as a graph.

use std::collections::HashMap;

use petgraph::{algo::kosaraju_scc, graph::DiGraph};
use rides_proto::geo::{Bounds, LatLng};

use super::{
    osm::{Osm, OsmWay},
    tags::{Direction, car_class, direction, may_drive, speed_kmh},
};

/// A graph in which every node can be reached from every other. A node is a point of a street, so every
/// segment is straight.
#[derive(Default)]
pub(super) struct Roads {
    pub(super) nodes: Vec<LatLng>,
    pub(super) segments: Vec<Segment>,
    /// What streets are called; the first has no name.
    pub(super) names: Vec<String>,
}

/// A straight piece of street between two nodes, which differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: u32,
    pub(super) to: u32,
    /// Otherwise cars only go from `from` to `to`.
    pub(super) two_way: bool,
    /// Index into [`Roads::names`].
    pub(super) name: u32,
    pub(super) length_m: f64,
    /// Driving time from end to end, at least 1.
    pub(super) millis: u32,
}

impl Segment {
    /// Driving time over a part of the segment, in milliseconds.
    pub(super) fn part_millis(&self, part: f64) -> usize {
        (f64::from(self.millis) * part).round() as usize
    }
}

impl Roads {
    /// All streets inside `bounds`, cut down to the largest part in which no car is ever stuck.
    pub(super) fn new(osm: &Osm, bounds: Bounds) -> Self {
        let mut all =
            Builder { osm, bounds, roads: Self::default(), index: HashMap::new(), names: HashMap::new() };
        all.name("");
        for way in &osm.ways {
            if car_class(&way.tags).is_some() && may_drive(&way.tags) {
                all.add(way);
            }
        }
        all.roads.largest_component()
    }

    /// The point a part of the way along a segment.
    pub(super) fn point(&self, segment: &Segment, part: f64) -> LatLng {
        let (from, to) = (self.nodes[segment.from as usize], self.nodes[segment.to as usize]);
        // Not lerp at the very end: rounding would put the point beside the node.
        if part >= 1.0 { to } else { from.lerp(to, part) }
    }

    /// Every direction of every segment: from, to, milliseconds.
    pub(super) fn arcs(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.segments.iter().flat_map(|s| {
            let back = s.two_way.then_some((s.to, s.from, s.millis));
            std::iter::once((s.from, s.to, s.millis)).chain(back)
        })
    }

    fn largest_component(self) -> Self {
        let mut graph = DiGraph::<(), (), u32>::default();
        self.nodes.iter().for_each(|_| _ = graph.add_node(()));
        graph.extend_with_edges(self.arcs().map(|(from, to, _)| (from, to)));
        let mut kept = kosaraju_scc(&graph).into_iter().max_by_key(Vec::len).unwrap_or_default();
        kept.sort_unstable();

        let mut new_index = vec![None; self.nodes.len()];
        kept.iter().zip(0u32..).for_each(|(node, new)| new_index[node.index()] = Some(new));
        let renumbered = |s: Segment| {
            let (from, to) = (new_index[s.from as usize]?, new_index[s.to as usize]?);
            Some(Segment { from, to, ..s })
        };
        Self {
            nodes: kept.iter().map(|node| self.nodes[node.index()]).collect(),
            segments: self.segments.into_iter().filter_map(renumbered).collect(),
            names: self.names,
        }
    }
}

struct Builder<'a> {
    osm: &'a Osm,
    bounds: Bounds,
    roads: Roads,
    index: HashMap<i64, u32>,
    names: HashMap<String, u32>,
}

impl Builder<'_> {
    fn add(&mut self, way: &OsmWay) {
        let name = self.name(way.tags.get("name").unwrap_or_default());
        let direction = direction(&way.tags);
        let metres_per_second = speed_kmh(&way.tags) / 3.6;
        for pair in way.nodes.windows(2) {
            let (Some(mut from), Some(mut to)) = (self.node(pair[0]), self.node(pair[1])) else { continue };
            if direction == Direction::Backward {
                (from, to) = (to, from);
            }
            let length_m = self.roads.nodes[from as usize].distance_m(self.roads.nodes[to as usize]);
            if length_m > 0.0 {
                let millis = (length_m / metres_per_second * 1000.0).round().max(1.0) as u32;
                let two_way = direction == Direction::Both;
                self.roads.segments.push(Segment { from, to, two_way, name, length_m, millis });
            }
        }
    }

    /// The index of a node; `None` when it is not on the map.
    fn node(&mut self, id: i64) -> Option<u32> {
        let at = *self.osm.nodes.get(&id).filter(|at| self.bounds.contains(**at))?;
        Some(*self.index.entry(id).or_insert_with(|| {
            self.roads.nodes.push(at);
            self.roads.nodes.len() as u32 - 1
        }))
    }

    fn name(&mut self, name: &str) -> u32 {
        *self.names.entry(name.into()).or_insert_with(|| {
            self.roads.names.push(name.into());
            self.roads.names.len() as u32 - 1
        })
    }
}
