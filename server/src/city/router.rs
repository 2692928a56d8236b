//! The router: fastest paths between nodes, by a contraction hierarchy that is built once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use fast_paths::{FastGraph, InputGraph, PathCalculator, ShortestPath};

use super::roads::Roads;

/// A node, and the driving time between it and a place on a segment, in milliseconds.
pub(super) type PathEnd = (usize, usize);

pub(super) struct Router {
    graph: FastGraph,
    /// The driving time from a node to its neighbour, in milliseconds.
    arcs: HashMap<(usize, usize), usize>,
    /// A pool of the working memory of queries.
    idle: Mutex<Vec<PathCalculator>>,
}

impl Router {
    pub(super) fn new(roads: &Roads) -> Self {
        let mut arcs = HashMap::new();
        for (from, to, millis) in roads.arcs() {
            let fastest = arcs.entry((from as usize, to as usize)).or_insert(usize::MAX);
            *fastest = (millis as usize).min(*fastest);
        }
        let mut input = InputGraph::new();
        for (&(from, to), &millis) in &arcs {
            input.add_edge(from, to, millis);
        }
        input.freeze();
        Self { graph: fast_paths::prepare(&input), arcs, idle: Mutex::default() }
    }

    /// Returns the fastest path from any of `starts` to any of `ends`. Neither may be empty.
    pub(super) fn fastest(&self, starts: Vec<PathEnd>, ends: Vec<PathEnd>) -> Option<ShortestPath> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = idle().pop();
        let mut calculator = pooled.unwrap_or_else(|| fast_paths::create_calculator(&self.graph));
        let path = calculator.calc_path_multiple_sources_and_targets(&self.graph, starts, ends);
        idle().push(calculator);
        path
    }

    /// Returns the driving time from the first node of a path to each of its nodes, in milliseconds. The path is one
    /// of [`Router::fastest`].
    pub(super) fn times<'a>(&'a self, nodes: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let steps = nodes.windows(2).map(|pair| self.arcs.get(&(pair[0], pair[1])).copied().unwrap_or(0));
        std::iter::once(0).chain(steps).scan(0, |sum, step| {
            *sum += step;
            Some(*sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use petgraph::{
        algo::dijkstra,
        graph::{DiGraph, NodeIndex},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::city::roads::Segment;

    /// Roads without geometry.
    fn roads(arcs: Vec<(u32, u32, u32, bool)>) -> Roads {
        let segment =
            |(from, to, millis, two_way)| Segment { from, to, two_way, name: 0, length_m: 1.0, millis };
        Roads { segments: arcs.into_iter().filter(|a| a.0 != a.1).map(segment).collect(), ..Roads::default() }
    }

    proptest! {
        #[test]
        fn is_as_fast_as_dijkstra(
            arcs in prop::collection::vec((0..30u32, 0..30u32, 1..1000u32, any::<bool>()), 1..120),
            pairs in prop::collection::vec((0..30usize, 0..30usize), 10),
        ) {
            let mut arcs = arcs;
            arcs.push((28, 29, 5, false));
            let roads = roads(arcs);
            let router = Router::new(&roads);
            let plain = DiGraph::<(), u32>::from_edges(roads.arcs());
            for (from, to) in pairs {
                let times = dijkstra(&plain, NodeIndex::new(from), None, |e| *e.weight() as usize);
                let expected = times.get(&NodeIndex::new(to)).copied();
                let got = router.fastest(vec![(from, 0)], vec![(to, 0)]);
                prop_assert_eq!(got.as_ref().map(ShortestPath::get_weight), expected);
                if let Some(path) = got {
                    prop_assert_eq!(router.times(path.get_nodes()).last(), Some(path.get_weight()));
                }
            }
        }
    }
}
