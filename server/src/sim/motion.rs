//! The motion of a car along a route. Pure.
//!
//! The car keeps to the limits of streets, slows down for corners, and starts and stops with a limited acceleration.

use rides_proto::geo::LatLng;

use crate::city::Route;

/// The acceleration, also of braking, in m/s².
const ACCELERATION: f64 = 1.8;
/// The speed through a right-angled corner, in m/s.
const CORNER_SPEED: f64 = 4.0;
/// The minimum speed between both ends of a route, in m/s. It bounds the time for a sharp corner.
const CRAWL: f64 = 1.5;

/// The position, heading and speed of a car.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pose {
    pub(super) at: LatLng,
    /// The heading in degrees clockwise from north.
    pub(super) heading_deg: f64,
    pub(super) speed_mps: f64,
}

/// A drive along a route, as a function of time. The speed is zero at both ends.
#[derive(Clone, Debug)]
pub(super) struct MotionProfile {
    legs: Vec<MotionSegment>,
    end: Pose,
}

/// The motion on one straight piece of a route: the car changes its speed from `enter` to `cruise`, keeps it, and
/// changes it to `leave`. Speeds are in m/s, times in seconds from the beginning of the drive.
#[derive(Clone, Debug)]
struct MotionSegment {
    from: LatLng,
    to: LatLng,
    heading_deg: f64,
    length_m: f64,
    begins_s: f64,
    ends_s: f64,
    enter: f64,
    cruise: f64,
    leave: f64,
}

impl MotionProfile {
    /// Makes a drive along `route`, at `pace` times the speeds of its streets. The heading at the end is `facing_deg`
    /// if the route has only one point.
    pub(super) fn along(route: &Route, pace: f64, facing_deg: f64) -> Self {
        let pieces = pieces(route, pace);
        let corners = corner_speeds(&pieces);
        let mut legs: Vec<MotionSegment> = Vec::with_capacity(pieces.len());
        let mut begins_s = 0.0;
        for (piece, speeds) in pieces.iter().zip(corners.windows(2)) {
            let leg = MotionSegment::new(piece, speeds[0], speeds[1], begins_s);
            begins_s = leg.ends_s;
            legs.push(leg);
        }
        let end = match (legs.last(), route.line.last()) {
            (Some(leg), _) => Pose { at: leg.to, heading_deg: leg.heading_deg, speed_mps: 0.0 },
            (None, Some(&at)) => Pose { at, heading_deg: facing_deg, speed_mps: 0.0 },
            (None, None) => unreachable!("a route has at least one point"),
        };
        Self { legs, end }
    }

    /// Makes a drive that stays at `at`.
    pub(super) fn parked(at: LatLng, heading_deg: f64) -> Self {
        Self { legs: Vec::new(), end: Pose { at, heading_deg, speed_mps: 0.0 } }
    }

    /// Returns the duration in seconds.
    pub(super) fn duration_s(&self) -> f64 {
        self.legs.last().map_or(0.0, |leg| leg.ends_s)
    }

    /// Returns the pose of the car `t` seconds after the beginning. After the end of the drive, the car stays there.
    pub(super) fn pose(&self, t: f64) -> Pose {
        let next = self.legs.partition_point(|leg| leg.ends_s <= t);
        self.legs.get(next).map_or(self.end, |leg| leg.pose(t - leg.begins_s))
    }
}

/// A straight piece of a route, with the speed limit of its street.
struct Piece {
    from: LatLng,
    to: LatLng,
    length_m: f64,
    heading_deg: f64,
    /// In m/s.
    limit: f64,
}

/// Splits a route into straight pieces. Pieces of at most 5 cm are left out.
fn pieces(route: &Route, pace: f64) -> Vec<Piece> {
    let points = route.line.windows(2).zip(route.at_s.windows(2));
    points
        .filter_map(|(ends, times)| {
            let (from, to) = (ends[0], ends[1]);
            let length_m = from.distance_m(to);
            let seconds = (times[1] - times[0]).max(1e-3);
            (length_m > 0.05).then(|| Piece {
                from,
                to,
                length_m,
                heading_deg: from.bearing_deg(to),
                limit: (length_m / seconds * pace).clamp(CRAWL, 40.0),
            })
        })
        .collect()
}

/// Returns the speed at each point between two pieces, in m/s, and zero at both ends. A speed is at most that of the
/// corner, and such that the car can reach it from the point before and brake to the point after.
fn corner_speeds(pieces: &[Piece]) -> Vec<f64> {
    let mut speeds = vec![0.0; pieces.len() + 1];
    for (i, pair) in pieces.windows(2).enumerate() {
        let turn = (pair[1].heading_deg - pair[0].heading_deg + 540.0).rem_euclid(360.0) - 180.0;
        let corner = CORNER_SPEED * (90.0 / turn.abs().max(1.0));
        speeds[i + 1] = corner.clamp(CRAWL, pair[0].limit.min(pair[1].limit));
    }
    let reach = |from: f64, length_m: f64| (from * from + 2.0 * ACCELERATION * length_m).sqrt();
    for (i, piece) in pieces.iter().enumerate() {
        speeds[i + 1] = speeds[i + 1].min(reach(speeds[i], piece.length_m));
    }
    for (i, piece) in pieces.iter().enumerate().rev() {
        speeds[i] = speeds[i].min(reach(speeds[i + 1], piece.length_m));
    }
    speeds
}

impl MotionSegment {
    /// Makes the fastest motion on `piece` with the speeds `enter` and `leave` at its ends.
    fn new(piece: &Piece, enter: f64, leave: f64, begins_s: f64) -> Self {
        let peak = (ACCELERATION * piece.length_m + (enter * enter + leave * leave) / 2.0).sqrt();
        let cruise = peak.min(piece.limit).max(enter).max(leave);
        let changing_m = (2.0 * cruise * cruise - enter * enter - leave * leave) / (2.0 * ACCELERATION);
        let cruising_s = (piece.length_m - changing_m).max(0.0) / cruise;
        let changing_s = (2.0 * cruise - enter - leave) / ACCELERATION;
        Self {
            from: piece.from,
            to: piece.to,
            heading_deg: piece.heading_deg,
            length_m: piece.length_m,
            begins_s,
            ends_s: begins_s + changing_s + cruising_s,
            enter,
            cruise,
            leave,
        }
    }

    /// Returns the pose `t` seconds after the beginning of the leg.
    fn pose(&self, t: f64) -> Pose {
        let t = t.max(0.0);
        let total_s = self.ends_s - self.begins_s;
        let speeding_up_s = (self.cruise - self.enter) / ACCELERATION;
        let braking_s = (self.cruise - self.leave) / ACCELERATION;
        let (gone_m, speed_mps) = if t < speeding_up_s {
            (self.enter * t + ACCELERATION * t * t / 2.0, self.enter + ACCELERATION * t)
        } else if t < total_s - braking_s {
            let speeding_up_m = (self.cruise + self.enter) / 2.0 * speeding_up_s;
            (speeding_up_m + self.cruise * (t - speeding_up_s), self.cruise)
        } else {
            let left_s = (total_s - t).max(0.0);
            let left_m = self.leave * left_s + ACCELERATION * left_s * left_s / 2.0;
            (self.length_m - left_m, self.leave + ACCELERATION * left_s)
        };
        let at = self.from.lerp(self.to, gone_m / self.length_m);
        Pose { at, heading_deg: self.heading_deg, speed_mps }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn route(points: &[(f64, f64)], mps: f64) -> Route {
        let line: Vec<_> = points.iter().map(|&(a, b)| LatLng::new(a, b).expect("on Earth")).collect();
        let mut at_s = vec![0.0];
        for pair in line.windows(2) {
            at_s.push(at_s[at_s.len() - 1] + pair[0].distance_m(pair[1]) / mps);
        }
        let distance_m = rides_proto::geo::length_m(&line);
        let duration = Duration::from_secs_f64(at_s[at_s.len() - 1]);
        Route { line, at_s, distance_m, duration }
    }

    #[test]
    fn a_long_street_is_driven_at_its_limit_and_ends_at_a_standstill() {
        let drive = MotionProfile::along(&route(&[(60.0, 25.0), (60.01, 25.0)], 10.0), 1.0, 0.0);
        let middle = drive.pose(drive.duration_s() / 2.0);
        assert!((middle.speed_mps - 10.0).abs() < 0.01, "{middle:?}");
        assert!(middle.heading_deg.abs() < 0.01, "{middle:?}");
        let end = drive.pose(drive.duration_s() + 5.0);
        assert_eq!(end.speed_mps, 0.0);
        assert!(end.at.distance_m(LatLng::new(60.01, 25.0).expect("on Earth")) < 0.1);
    }

    #[test]
    fn corners_are_taken_slowly() {
        let corner = (60.005, 25.0);
        let drive = MotionProfile::along(&route(&[(60.0, 25.0), corner, (60.005, 25.01)], 13.0), 1.0, 0.0);
        let at_corner = LatLng::new(corner.0, corner.1).expect("on Earth");
        let slowest = (0..2000)
            .map(|i| drive.pose(f64::from(i) * drive.duration_s() / 2000.0))
            .filter(|pose| pose.at.distance_m(at_corner) < 2.0)
            .map(|pose| pose.speed_mps)
            .fold(f64::INFINITY, f64::min);
        assert!(slowest < CORNER_SPEED + 0.7, "{slowest} m/s through a right angle");
    }

    #[test]
    fn a_route_of_one_point_is_over_at_once() {
        let drive = MotionProfile::along(&route(&[(60.0, 25.0)], 10.0), 1.0, 77.0);
        assert_eq!(drive.duration_s(), 0.0);
        assert_eq!(drive.pose(0.0).heading_deg, 77.0);
    }

    proptest! {
        #[test]
        fn a_car_never_jumps_nor_exceeds_the_limit(
            steps in prop::collection::vec((-0.002..0.002f64, -0.004..0.004f64), 1..20),
            mps in 5.0..20.0f64,
        ) {
            let mut points = vec![(60.0, 25.0)];
            for (d_lat, d_lng) in steps {
                let (lat, lng) = points[points.len() - 1];
                points.push((lat + d_lat, lng + d_lng));
            }
            let drive = MotionProfile::along(&route(&points, mps), 1.0, 0.0);
            prop_assert!(drive.duration_s().is_finite());
            let step = 0.25;
            let mut last = drive.pose(0.0);
            let mut t = 0.0;
            while t < drive.duration_s() {
                t += step;
                let pose = drive.pose(t);
                prop_assert!(pose.speed_mps <= mps + 1e-6, "{pose:?}");
                let moved = last.at.distance_m(pose.at);
                prop_assert!(moved <= mps * step * 1.02 + 0.1, "moved {moved} m in {step} s at {mps} m/s");
                last = pose;
            }
        }
    }
}
