//! The graph of the streets on which taxis may drive.

use std::collections::{BTreeSet, HashMap};

use petgraph::{algo::kosaraju_scc, graph::DiGraph};
use rides_proto::geo::{Bounds, LatLng};

use super::{
    access::{Direction, drivable, is_barrier},
    names::Names,
    osm::{Osm, OsmWay, are_across_antimeridian},
    tags::{car_class, speed_kmh},
};

/// A strongly connected graph: every node can be reached from every other. Every point of a street is a node, so
/// every segment is straight.
#[derive(Default)]
pub(super) struct Roads {
    pub(super) nodes: Vec<LatLng>,
    pub(super) segments: Vec<Segment>,
    /// The names of streets. The first entry is the one without a name.
    pub(super) names: Vec<Names>,
}

/// The streets of a map that are not used.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct UnusedStreets {
    /// The names of streets of which no part is used, in alphabetical order.
    pub streets: Vec<String>,
    /// The length of all that is not used, including unnamed streets and parts of used streets.
    pub km: f64,
    /// `true` if some of it is on the other side of the antimeridian.
    pub across_antimeridian: bool,
}

/// A straight piece of street between two different nodes. Both may be at the same point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: u32,
    pub(super) to: u32,
    /// `false`: cars may only drive from `from` to `to`.
    pub(super) two_way: bool,
    /// Index into [`Roads::names`].
    pub(super) name: u32,
    pub(super) length_m: f64,
    /// The driving time from end to end, in milliseconds, at least 1.
    pub(super) millis: u32,
}

impl Segment {
    /// The driving time over a fraction of the segment, in milliseconds.
    pub(super) fn part_millis(&self, part: f64) -> usize {
        (f64::from(self.millis) * part).round() as usize
    }
}

/// Returns the ways on which a taxi may drive, with their directions.
pub(super) fn for_taxis(osm: &Osm) -> Vec<(&OsmWay, Direction)> {
    let for_cars = osm.ways.iter().filter(|way| car_class(&way.tags).is_some());
    for_cars.filter_map(|way| Some((way, drivable(&way.tags)?))).collect()
}

impl Roads {
    /// Builds the largest strongly connected part of `ways` inside `bounds`, and describes the rest.
    pub(super) fn new(
        osm: &Osm,
        ways: &[(&OsmWay, Direction)],
        bounds: Option<Bounds>,
    ) -> (Self, UnusedStreets) {
        let mut all = Builder {
            osm,
            bounds,
            roads: Self { names: vec![Names::default()], ..Self::default() },
            index: HashMap::new(),
            names: HashMap::from([(Names::default(), 0)]),
        };
        for (way, direction) in ways {
            all.add(way, *direction);
        }
        all.roads.largest_component()
    }

    /// Returns the point at a fraction of a segment.
    pub(super) fn point(&self, segment: &Segment, part: f64) -> LatLng {
        let (from, to) = (self.nodes[segment.from as usize], self.nodes[segment.to as usize]);
        // At the end `lerp` would round to a point beside the node.
        if part >= 1.0 { to } else { from.lerp(to, part) }
    }

    /// All directions of all segments, as from, to and milliseconds.
    pub(super) fn arcs(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.segments.iter().flat_map(|s| {
            let back = s.two_way.then_some((s.to, s.from, s.millis));
            std::iter::once((s.from, s.to, s.millis)).chain(back)
        })
    }

    fn add_node(&mut self, at: LatLng) -> u32 {
        self.nodes.push(at);
        self.nodes.len() as u32 - 1
    }

    /// The names of the streets, without repetition.
    pub(super) fn streets(&self) -> BTreeSet<&str> {
        let names = self.segments.iter().map(|s| self.names[s.name as usize].main.as_str());
        names.filter(|name| !name.is_empty()).collect()
    }

    pub(super) fn km(&self) -> f64 {
        self.segments.iter().map(|s| s.length_m).sum::<f64>() / 1_000.0
    }

    /// Returns the strongly connected component with the greatest length of streets, and describes the rest.
    fn largest_component(self) -> (Self, UnusedStreets) {
        let mut graph = DiGraph::<(), (), u32>::default();
        self.nodes.iter().for_each(|_| _ = graph.add_node(()));
        graph.extend_with_edges(self.arcs().map(|(from, to, _)| (from, to)));
        let mut part_of = vec![0; self.nodes.len()];
        let mut metres = vec![];
        for (part, nodes) in kosaraju_scc(&graph).into_iter().enumerate() {
            nodes.iter().for_each(|node| part_of[node.index()] = part);
            metres.push(0.0);
        }
        for s in &self.segments {
            let part = part_of[s.from as usize];
            metres[part] += if part == part_of[s.to as usize] { s.length_m } else { 0.0 };
        }
        let largest = (0..metres.len()).filter(|part| metres[*part] > 0.0);
        let largest = largest.max_by(|a, b| metres[*a].total_cmp(&metres[*b]));

        let mut new_index = vec![None; self.nodes.len()];
        let kept = (0..self.nodes.len()).filter(|node| Some(part_of[*node]) == largest);
        let kept: Vec<_> = kept.collect();
        kept.iter().zip(0u32..).for_each(|(node, new)| new_index[*node] = Some(new));
        let renumbered = |s: &Segment| {
            let (from, to) = (new_index[s.from as usize]?, new_index[s.to as usize]?);
            Some(Segment { from, to, ..*s })
        };
        let part = Self {
            nodes: kept.iter().map(|node| self.nodes[*node]).collect(),
            segments: self.segments.iter().filter_map(renumbered).collect(),
            names: self.names.clone(),
        };
        let left_out = self.left_out(&part);
        (part, left_out)
    }

    fn left_out(&self, part: &Self) -> UnusedStreets {
        let is_across =
            |at: &LatLng| part.nodes.first().is_some_and(|kept| are_across_antimeridian(*kept, *at));
        UnusedStreets {
            streets: self.streets().difference(&part.streets()).map(|&name| name.to_owned()).collect(),
            km: (self.km() - part.km()).max(0.0),
            across_antimeridian: self.nodes.iter().any(is_across),
        }
    }
}

struct Builder<'a> {
    osm: &'a Osm,
    bounds: Option<Bounds>,
    roads: Roads,
    index: HashMap<i64, u32>,
    names: HashMap<Names, u32>,
}

impl Builder<'_> {
    fn add(&mut self, way: &OsmWay, direction: Direction) {
        let name = self.name(Names::of(&way.tags));
        let metres_per_second = speed_kmh(&way.tags) / 3.6;
        for pair in way.nodes.windows(2) {
            let ends = (self.node(pair[0], way), self.node(pair[1], way));
            let (Some(mut from), Some(mut to)) = ends else { continue };
            if direction == Direction::Backward {
                (from, to) = (to, from);
            }
            let length_m = self.roads.nodes[from as usize].distance_m(self.roads.nodes[to as usize]);
            // A segment from a node to itself is left out. One between two nodes at the same point connects streets.
            if from != to {
                let millis = (length_m / metres_per_second * 1000.0).round().max(1.0) as u32;
                let two_way = direction == Direction::Both;
                self.roads.segments.push(Segment { from, to, two_way, name, length_m, millis });
            }
        }
    }

    /// Returns the index of a node, or `None` if it is not on the map. A node that is a barrier becomes a separate
    /// node for each street, so that streets end there.
    fn node(&mut self, id: i64, way: &OsmWay) -> Option<u32> {
        let in_bounds = |at: &&LatLng| self.bounds.is_none_or(|bounds| bounds.contains(**at));
        let at = *self.osm.nodes.get(&id).filter(in_bounds)?;
        if self.osm.node_tags.get(&id).is_some_and(|node| is_barrier(node, &way.tags)) {
            return Some(self.roads.add_node(at));
        }
        Some(*self.index.entry(id).or_insert_with(|| self.roads.add_node(at)))
    }

    fn name(&mut self, names: Names) -> u32 {
        *self.names.entry(names).or_insert_with_key(|names| {
            self.roads.names.push(names.clone());
            self.roads.names.len() as u32 - 1
        })
    }
}
