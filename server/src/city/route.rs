//! Routes between two places on streets. A place is a point on a segment, and one-way streets are respected.

use std::time::Duration;

use fast_paths::ShortestPath;
use rides_proto::geo::{LatLng, length_m};

use super::{
    roads::{Roads, Segment},
    router::{PathEnd, Router},
    snap::Snapped,
};

/// A route by car.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// The points from start to end, at least one.
    pub line: Vec<LatLng>,
    /// The time at which each point of `drive_stream` is reached, in seconds from the start. Never decreases.
    pub at_s: Vec<f64>,
    /// The length in metres.
    pub distance_m: f64,
    /// The driving time.
    pub duration: Duration,
}

/// The course of a fastest route.
enum RouteCourse {
    /// Along the one segment that has both places, with the driving time in milliseconds.
    Along(usize),
    /// Over nodes, with the driving time to the first node in milliseconds.
    Over(ShortestPath, usize),
}

impl RouteCourse {
    fn millis(&self) -> usize {
        match self {
            Self::Along(millis) => *millis,
            Self::Over(path, _) => path.get_weight(),
        }
    }
}

/// Returns the duration of the fastest route, or `None` if no route connects the places.
pub(super) fn drive_time(roads: &Roads, router: &Router, from: &Snapped, to: &Snapped) -> Option<Duration> {
    Some(Duration::from_millis(course(roads, router, from, to)?.millis() as u64))
}

/// Returns the fastest route, or `None` if no route connects the places.
pub(super) fn route(roads: &Roads, router: &Router, from: &Snapped, to: &Snapped) -> Option<Route> {
    let course = course(roads, router, from, to)?;
    let mut steps = vec![(from.at, 0)];
    if let RouteCourse::Over(path, first_millis) = &course {
        let nodes = path.get_nodes();
        let times = router.times(nodes).map(|millis| first_millis + millis);
        steps.extend(nodes.iter().map(|node| roads.nodes[*node]).zip(times));
    }
    steps.push((to.at, course.millis()));
    steps.dedup_by_key(|(at, _)| *at);

    let (line, millis): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    Some(Route {
        at_s: millis.into_iter().map(|millis| millis as f64 / 1000.0).collect(),
        distance_m: length_m(&line),
        duration: Duration::from_millis(course.millis() as u64),
        line,
    })
}

fn course(roads: &Roads, router: &Router, from: &Snapped, to: &Snapped) -> Option<RouteCourse> {
    // A place of another city may have a segment index that this city lacks.
    let (first, last) = (roads.segments.get(from.segment)?, roads.segments.get(to.segment)?);
    let starts = ways_out(first, from.part);
    let over = router.fastest(starts.clone(), ways_in(last, to.part)).map(|path| {
        let first_millis = starts.iter().find(|(node, _)| *node == path.get_source()).map_or(0, |s| s.1);
        RouteCourse::Over(path, first_millis)
    });
    let can_go_along = from.segment == to.segment && (first.two_way || from.part <= to.part);
    let along = can_go_along.then(|| RouteCourse::Along(first.part_millis((to.part - from.part).abs())));
    along.into_iter().chain(over).min_by_key(RouteCourse::millis)
}

/// Returns the nodes that a car at a fraction of a segment can drive to. At fraction 0 of a one-way segment it is at
/// a node.
fn ways_out(segment: &Segment, part: f64) -> Vec<PathEnd> {
    let mut ways = vec![(segment.to as usize, segment.part_millis(1.0 - part))];
    if segment.two_way || part == 0.0 {
        ways.push((segment.from as usize, segment.part_millis(part)));
    }
    ways
}

/// Returns the nodes from which a car can drive to a fraction of a segment.
fn ways_in(segment: &Segment, part: f64) -> Vec<PathEnd> {
    let mut ways = vec![(segment.from as usize, segment.part_millis(part))];
    if segment.two_way || part == 1.0 {
        ways.push((segment.to as usize, segment.part_millis(1.0 - part)));
    }
    ways
}
