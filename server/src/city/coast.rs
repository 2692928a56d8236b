//! The sea. OpenStreetMap has no polygons of it, but coastlines: lines with land on the left and water on the right
//! (wiki, "Tag:natural=coastline"). Where a coastline leaves the map, the sea continues along the edge of the map.

use rides_proto::geo::{Bounds, LatLng};

use super::clip::line_inside;

/// The largest gap between the end of a shore and the edge of the map, in metres. Extracts drop nodes outside of
/// their box.
const MAX_SHORE_GAP_M: f64 = 250.0;

/// Returns the sea as rings for the even-odd rule. Empty if there is no shore, or if a shore ends in the middle of
/// the map, so that water and land cannot be told apart.
///
/// `shores` are joined as far as possible. A closed shore repeats its first point at the end.
pub(super) fn sea(shores: Vec<Vec<LatLng>>, bounds: Bounds) -> Vec<Vec<LatLng>> {
    let (closed, open): (Vec<_>, Vec<_>) = shores
        .into_iter()
        .flat_map(|shore| inside(shore, bounds))
        .partition(|shore| shore.first() == shore.last());
    let Some(shores) = open.into_iter().map(|shore| Shore::new(shore, bounds)).collect::<Option<Vec<_>>>()
    else {
        return vec![];
    };
    let mut rings = along_the_edge(&shores, bounds);
    if rings.is_empty() && closed.iter().any(|ring| is_island(ring)) {
        rings.push((0..4).map(|corner| edge_point(f64::from(corner), bounds)).collect());
    }
    rings.extend(closed.into_iter().map(|mut ring| {
        ring.pop();
        ring
    }));
    rings
}

/// Returns the parts of a shore on the map. The first point of a ring that is cut does not split a part.
fn inside(shore: Vec<LatLng>, bounds: Bounds) -> Vec<Vec<LatLng>> {
    let is_ring = shore.first() == shore.last();
    let mut parts = line_inside(shore, bounds);
    if is_ring && parts.len() > 1 && parts[0].first() == parts[parts.len() - 1].last() {
        let head = parts.swap_remove(0);
        parts[0].extend(&head[1..]);
    }
    parts
}

/// Returns `true` if a closed shore has land inside. Land is on the left, so such a shore runs counterclockwise.
fn is_island(ring: &[LatLng]) -> bool {
    ring.windows(2)
        .map(|w| (w[1].lng() - w[0].lng()) * (w[1].lat() + w[0].lat() - 2.0 * ring[0].lat()))
        .sum::<f64>()
        < 0.0
}

/// A shore from edge to edge. A position on the edge is a number that grows clockwise: 0 is the north-western corner,
/// 1 the north-eastern, and so on up to 4.
struct Shore {
    line: Vec<LatLng>,
    enters: f64,
    leaves: f64,
}

impl Shore {
    fn new(mut line: Vec<LatLng>, bounds: Bounds) -> Option<Self> {
        let (enters, leaves) = (edge_place(*line.first()?, bounds)?, edge_place(*line.last()?, bounds)?);
        line.insert(0, edge_point(enters, bounds));
        line.push(edge_point(leaves, bounds));
        Some(Self { line, enters, leaves })
    }
}

/// Joins shores to rings: follows a shore to the edge, then the edge clockwise to the next shore, with the water on
/// the right.
fn along_the_edge(shores: &[Shore], bounds: Bounds) -> Vec<Vec<LatLng>> {
    let clockwise = |from: f64, to: f64| (to - from).rem_euclid(4.0);
    let mut used = vec![false; shores.len()];
    let mut rings = vec![];
    for start in 0..shores.len() {
        let (mut ring, mut current) = (vec![], start);
        while !used[current] {
            used[current] = true;
            let shore = &shores[current];
            ring.extend(&shore.line);
            let way_to = |next: &usize| clockwise(shore.leaves, shores[*next].enters);
            current = (0..shores.len()).min_by(|a, b| way_to(a).total_cmp(&way_to(b))).unwrap_or(start);
            let next_corner = shore.leaves.floor() + 1.0;
            let corners = (0..4).map(|i| next_corner + f64::from(i));
            ring.extend(
                corners.filter(|c| c - shore.leaves < way_to(&current)).map(|c| edge_point(c % 4.0, bounds)),
            );
        }
        if !ring.is_empty() {
            rings.push(ring);
        }
    }
    rings
}

/// Returns the position on the edge that is nearest to `point`, or `None` if it is more than [`MAX_WALK_M`] away.
fn edge_place(point: LatLng, bounds: Bounds) -> Option<f64> {
    let (sw, ne) = (bounds.south_west(), bounds.north_east());
    let part = |v: f64, from: f64, to: f64| {
        if from == to { 0.0 } else { ((v - from) / (to - from)).clamp(0.0, 1.0) }
    };
    let east = part(point.lng(), sw.lng(), ne.lng());
    let south = part(point.lat(), ne.lat(), sw.lat());
    [east, 1.0 + south, 3.0 - east, (4.0 - south) % 4.0]
        .into_iter()
        .map(|place| (place, edge_point(place, bounds).distance_m(point)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, off_m)| *off_m <= MAX_SHORE_GAP_M)
        .map(|(place, _)| place)
}

/// Returns the point at a position on the edge, from 0 to 4.
fn edge_point(place: f64, bounds: Bounds) -> LatLng {
    let (sw, ne) = (bounds.south_west(), bounds.north_east());
    let corner = |lat: LatLng, lng: LatLng| LatLng::new(lat.lat(), lng.lng()).unwrap_or(lat);
    let corners = [corner(ne, sw), ne, corner(sw, ne), sw];
    let side = place.floor() as usize % 4;
    corners[side].lerp(corners[(side + 1) % 4], place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::clip::tests::p;

    /// A square of about 1.1 km at the equator.
    fn map() -> Bounds {
        Bounds::new(p(0.0, 0.0), p(0.01, 0.01)).expect("south-west before north-east")
    }

    fn is_water(rings: &[Vec<LatLng>], at: LatLng) -> bool {
        let crosses = |a: LatLng, b: LatLng| {
            (a.lat() > at.lat()) != (b.lat() > at.lat())
                && at.lng() < a.lng() + (at.lat() - a.lat()) / (b.lat() - a.lat()) * (b.lng() - a.lng())
        };
        let count = |ring: &Vec<LatLng>| {
            (0..ring.len()).filter(|i| crosses(ring[*i], ring[(i + 1) % ring.len()])).count()
        };
        rings.iter().map(count).sum::<usize>() % 2 == 1
    }

    #[test]
    fn water_is_on_the_right_of_a_shore() {
        let north_is_water = sea(vec![vec![p(0.005, 0.02), p(0.005, -0.02)]], map());
        let south_is_water = sea(vec![vec![p(0.005, -0.02), p(0.005, 0.02)]], map());
        for (at, north) in [(p(0.007, 0.003), true), (p(0.002, 0.008), false)] {
            assert_eq!(is_water(&north_is_water, at), north);
            assert_eq!(is_water(&south_is_water, at), !north);
        }
    }

    #[test]
    fn a_strait_lies_between_its_shores() {
        let rings =
            sea(vec![vec![p(0.007, -0.02), p(0.007, 0.02)], vec![p(0.003, 0.02), p(0.003, -0.02)]], map());
        for (lat, water) in [(0.009, false), (0.005, true), (0.001, false)] {
            assert_eq!(is_water(&rings, p(lat, 0.004)), water, "{lat}");
        }
    }

    #[test]
    fn an_island_in_the_open_sea_is_dry() {
        let island =
            vec![p(0.004, 0.004), p(0.004, 0.006), p(0.006, 0.006), p(0.006, 0.004), p(0.004, 0.004)];
        let rings = sea(vec![island], map());
        assert!(is_water(&rings, p(0.002, 0.002)) && !is_water(&rings, p(0.005, 0.005)));
    }

    #[test]
    fn an_island_over_the_edge_is_cut_wherever_its_ring_begins() {
        let island = [p(0.004, 0.008), p(0.004, 0.02), p(0.006, 0.02), p(0.006, 0.008)];
        for start in 0..4 {
            let ring = (0..=4).map(|i| island[(start + i) % 4]).collect();
            let rings = sea(vec![ring], map());
            assert!(is_water(&rings, p(0.005, 0.005)) && !is_water(&rings, p(0.005, 0.009)), "from {start}");
        }
    }

    #[test]
    fn a_shore_that_ends_just_short_of_the_edge_reaches_it() {
        let rings = sea(vec![vec![p(0.005, 0.009), p(0.005, 0.001)]], map());
        assert!(is_water(&rings, p(0.007, 0.0005)) && !is_water(&rings, p(0.003, 0.0005)));
    }

    #[test]
    fn a_shore_that_ends_in_the_middle_makes_no_sea() {
        assert!(sea(vec![vec![p(0.005, 0.02), p(0.005, 0.005)]], map()).is_empty());
    }
}
