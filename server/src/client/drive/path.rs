//! A route, and the position after a distance along it. Pure.

use rides_proto::geo::LatLng;

/// A route: a line from its first point to its last. It has at least one point.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct DrivePath {
    line: Vec<LatLng>,
    /// The distance of each point from the first along the line, in metres.
    at_m: Vec<f64>,
}

/// The position and heading of a car.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pose {
    /// The position.
    pub at: LatLng,
    /// The heading in degrees clockwise from north. `None` if the route has only one point.
    pub heading_deg: Option<f64>,
}

impl DrivePath {
    /// Makes a route from `from` along `drive_stream` to `to`.
    pub(super) fn new(from: LatLng, line: impl IntoIterator<Item = LatLng>, to: LatLng) -> Self {
        let mut way = Self { line: vec![from], at_m: vec![0.0] };
        line.into_iter().chain([to]).for_each(|point| way.go_on(point));
        way
    }

    /// Appends a point.
    fn go_on(&mut self, point: LatLng) {
        let (Some(last), Some(at_m)) = (self.line.last(), self.at_m.last()) else { return };
        let step_m = last.distance_m(point);
        // A repeated point is left out, because a step of no length has no heading.
        if step_m > 0.0 {
            self.at_m.push(at_m + step_m);
            self.line.push(point);
        }
    }

    /// Returns the length in metres.
    pub(super) fn length_m(&self) -> f64 {
        self.at_m.last().copied().unwrap_or_default()
    }

    /// Returns the position and heading after `gone_m` metres. Beyond the end, it is that of the last point.
    pub(super) fn pose(&self, gone_m: f64) -> Pose {
        let next = self.at_m.partition_point(|at_m| *at_m <= gone_m).clamp(1, self.line.len().max(2) - 1);
        let (from, to) = match (self.line.get(next - 1), self.line.get(next)) {
            (Some(from), Some(to)) => (*from, *to),
            _ => return Pose { at: self.line[0], heading_deg: None },
        };
        let (from_m, to_m) = (self.at_m[next - 1], self.at_m[next]);
        let at = from.lerp(to, (gone_m - from_m) / (to_m - from_m));
        Pose { at, heading_deg: Some(from.bearing_deg(to)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).unwrap()
    }

    #[test]
    fn a_way_is_driven_corner_by_corner() {
        let way = DrivePath::new(p(60.0, 25.0), [p(60.0, 25.0), p(60.001, 25.0)], p(60.001, 25.002));
        assert!((way.length_m() - 222.4).abs() < 0.5, "{}", way.length_m());
        assert_eq!(way.pose(0.0), Pose { at: p(60.0, 25.0), heading_deg: Some(0.0) });
        let later = way.pose(150.0);
        assert!((later.heading_deg.unwrap() - 90.0).abs() < 0.1 && later.at.lat() == 60.001, "{later:?}");
        assert_eq!(way.pose(1e9).at, p(60.001, 25.002), "beyond the end of the route");
    }

    #[test]
    fn a_way_to_where_one_is_is_none() {
        let way = DrivePath::new(p(60.0, 25.0), [], p(60.0, 25.0));
        assert_eq!(way.length_m(), 0.0);
        assert_eq!(way.pose(5.0), Pose { at: p(60.0, 25.0), heading_deg: None });
    }

    proptest! {
        #[test]
        fn nobody_jumps(
            steps in prop::collection::vec((-0.001..0.001f64, -0.001..0.001f64), 1..9),
            gone in 0.0..500.0f64,
        ) {
            let mut here = (60.0, 25.0);
            let line: Vec<_> = steps
                .into_iter()
                .map(|(north, east)| {
                    here = (here.0 + north, here.1 + east);
                    p(here.0, here.1)
                })
                .collect();
            let way = DrivePath::new(p(60.0, 25.0), line.iter().copied(), line[line.len() - 1]);
            let (before, after) = (way.pose(gone).at, way.pose(gone + 5.0).at);
            prop_assert!(before.distance_m(after) < 5.1);
        }
    }
}
