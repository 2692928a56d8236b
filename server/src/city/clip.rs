//! Clipping of lines and rings to a box.

use std::mem;

use rides_proto::geo::{Bounds, LatLng};

/// A half-plane beyond a parallel or meridian, given in degrees, including the edge.
#[derive(Clone, Copy, Debug)]
pub(super) enum HalfPlane {
    North(f64),
    South(f64),
    East(f64),
    West(f64),
}

impl HalfPlane {
    /// Returns the four half-planes whose intersection is the box.
    pub(super) fn around(bounds: Bounds) -> [Self; 4] {
        let (sw, ne) = (bounds.south_west(), bounds.north_east());
        [Self::North(sw.lat()), Self::East(sw.lng()), Self::South(ne.lat()), Self::West(ne.lng())]
    }

    /// The distance from the edge in degrees, positive inside.
    fn depth(self, point: LatLng) -> f64 {
        match self {
            Self::North(south) => point.lat() - south,
            Self::South(north) => north - point.lat(),
            Self::East(west) => point.lng() - west,
            Self::West(east) => east - point.lng(),
        }
    }

    /// Returns the point at which the line from `a` to `b` crosses the edge, or `None` if it does not.
    fn crossing(self, a: LatLng, b: LatLng) -> Option<LatLng> {
        let (da, db) = (self.depth(a), self.depth(b));
        ((da < 0.0) != (db < 0.0)).then(|| a.lerp(b, da / (da - db)))
    }

    /// Clips a ring with the Sutherland–Hodgman algorithm. Where the ring leaves the half-plane and returns, the
    /// result follows the edge. Empty if nothing is inside.
    pub(super) fn clip_ring(self, ring: &[LatLng]) -> Vec<LatLng> {
        let mut inside = Vec::with_capacity(ring.len());
        for (i, &point) in ring.iter().enumerate() {
            let next = ring[(i + 1) % ring.len()];
            inside.extend((self.depth(point) >= 0.0).then_some(point));
            inside.extend(self.crossing(point, next));
        }
        inside.dedup();
        if inside.len() < 3 { vec![] } else { inside }
    }

    /// Returns the parts of a line that are inside, each of at least two points.
    fn clip_line(self, line: &[LatLng]) -> Vec<Vec<LatLng>> {
        let (mut pieces, mut piece) = (vec![], vec![]);
        for (i, &point) in line.iter().enumerate() {
            let is_inside = self.depth(point) >= 0.0;
            if let Some(crossing) = i.checked_sub(1).and_then(|before| self.crossing(line[before], point)) {
                piece.push(crossing);
                if !is_inside {
                    pieces.push(mem::take(&mut piece));
                }
            }
            piece.extend(is_inside.then_some(point));
        }
        pieces.push(piece);
        pieces.iter_mut().for_each(Vec::dedup);
        pieces.retain(|piece| piece.len() >= 2);
        pieces
    }
}

/// Returns the part of a ring inside a box. Empty if nothing is inside.
pub(super) fn ring_inside(ring: Vec<LatLng>, bounds: Bounds) -> Vec<LatLng> {
    if ring.iter().all(|point| bounds.contains(*point)) {
        return if ring.len() < 3 { vec![] } else { ring };
    }
    HalfPlane::around(bounds).iter().fold(ring, |ring, half| half.clip_ring(&ring))
}

/// Returns the parts of a line inside a box.
pub(super) fn line_inside(line: Vec<LatLng>, bounds: Bounds) -> Vec<Vec<LatLng>> {
    let clip = |lines: Vec<Vec<LatLng>>, half: &HalfPlane| {
        lines.iter().flat_map(|line| half.clip_line(line)).collect()
    };
    HalfPlane::around(bounds).iter().fold(vec![line], clip)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::city) fn p(lat: f64, lng: f64) -> LatLng {
        LatLng::new(lat, lng).expect("on Earth")
    }

    fn unit_box() -> Bounds {
        Bounds::new(p(0.0, 0.0), p(1.0, 1.0)).expect("south-west before north-east")
    }

    /// Twice the area of a ring, positive if it runs counterclockwise.
    fn twice_area(ring: &[LatLng]) -> f64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter().zip(next).map(|(a, b)| a.lng() * b.lat() - b.lng() * a.lat()).sum()
    }

    #[test]
    fn a_ring_that_hangs_over_is_cut_at_the_edge() {
        let ring = vec![p(0.5, 0.5), p(0.5, 1.5), p(1.5, 1.5), p(1.5, 0.5)];
        let inside = ring_inside(ring, unit_box());
        assert!((twice_area(&inside) - 0.5).abs() < 1e-12, "{inside:?}");
    }

    #[test]
    fn a_line_that_leaves_and_returns_is_two_lines() {
        let line = vec![p(0.5, -0.5), p(0.5, 0.5), p(1.5, 0.5), p(1.5, 0.6), p(0.5, 0.6)];
        let inside = line_inside(line, unit_box());
        let expected = [vec![p(0.5, 0.0), p(0.5, 0.5), p(1.0, 0.5)], vec![p(1.0, 0.6), p(0.5, 0.6)]];
        assert_eq!(inside, expected);
    }

    #[test]
    fn a_long_line_right_through_keeps_its_middle() {
        let inside = line_inside(vec![p(0.5, -3.0), p(0.5, 3.0)], unit_box());
        assert_eq!(inside, [vec![p(0.5, 0.0), p(0.5, 1.0)]]);
    }

    proptest! {
        #[test]
        fn nothing_is_left_outside(line in prop::collection::vec((-2.0..3.0f64, -2.0..3.0f64), 0..12)) {
            let line: Vec<_> = line.into_iter().map(|(lat, lng)| p(lat, lng)).collect();
            let slack = Bounds::new(p(-1e-9, -1e-9), p(1.0 + 1e-9, 1.0 + 1e-9)).expect("a box");
            let pieces = line_inside(line.clone(), unit_box());
            prop_assert!(pieces.iter().flatten().all(|point| slack.contains(*point)));
            prop_assert!(ring_inside(line, unit_box()).iter().all(|point| slack.contains(*point)));
        }
    }
}
