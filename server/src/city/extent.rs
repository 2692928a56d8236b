//! The bounds of a map. They follow from the streets. The box in the file header only says where streets are cut.

use rides_proto::geo::{Bounds, EARTH_RADIUS_M, LatLng};

use super::osm::HeaderBox;

/// The northern and southern limit of Web Mercator, in degrees.
pub(super) const MAX_LATITUDE: f64 = 85.05;

/// The distance that a header box may extend beyond the streets, in metres. For a large city it is the longer side of
/// the streets.
const MAX_BOX_MARGIN_M: f64 = 1_000.0;
/// The reason to ignore a box without streets.
pub(super) const NO_STREETS_IN_BOX: &str = "holds no street";
/// The smallest margin around the streets, in metres, if the bounds do not come from a box.
const MARGIN_M: f64 = 150.0;
/// The smallest margin as a fraction of the longer side of the streets.
const MARGIN_SHARE: f64 = 0.05;

/// The use of the box in the header of a file.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum HeaderBoxUse {
    /// The header has no box.
    Absent,
    /// The box is the bounds of the map, and streets are cut at its edges.
    Used,
    /// The box is not used. The bounds of the map are the streets and a margin.
    Ignored {
        /// The box.
        header_box: HeaderBox,
        /// The reason, to be read after "the box".
        why: &'static str,
    },
}

/// Returns the header box as bounds if it is on Earth and holds at least half of the points in `streets`, or else the
/// reason to ignore it.
pub(super) fn checked_box(header_box: HeaderBox, streets: &[LatLng]) -> Result<Bounds, &'static str> {
    let HeaderBox { south, west, north, east } = header_box;
    let corners = LatLng::new(south, west).and_then(|sw| Ok((sw, LatLng::new(north, east)?)));
    let (south_west, north_east) = corners.map_err(|_| "is not on Earth")?;
    let bounds = Bounds::new(south_west, north_east).ok_or(if west > east && south <= north {
        "crosses the antimeridian: its western edge is east of its eastern edge"
    } else {
        "has its southern edge north of its northern edge"
    })?;
    match streets.iter().filter(|point| bounds.contains(**point)).count() {
        0 => Err(NO_STREETS_IN_BOX),
        held if held * 2 < streets.len() => Err("holds less than half of the streets"),
        _ => Ok(bounds),
    }
}

/// Returns the bounds of a map with the given bounds of its streets, and the use of the header box. A box that is
/// `Ok` holds all of `streets`.
pub(super) fn map_bounds(
    streets: Bounds,
    header: Option<(HeaderBox, Result<Bounds, &'static str>)>,
) -> (Bounds, HeaderBoxUse) {
    let longer_m = longer_side_m(streets);
    let margin = expanded(streets, MARGIN_M.max(longer_m * MARGIN_SHARE));
    match header {
        None => (margin, HeaderBoxUse::Absent),
        Some((header_box, Err(why))) => (margin, HeaderBoxUse::Ignored { header_box, why }),
        Some((_, Ok(bounds))) if contains_box(expanded(streets, MAX_BOX_MARGIN_M.max(longer_m)), bounds) => {
            (bounds, HeaderBoxUse::Used)
        }
        Some((header_box, Ok(bounds))) => (
            intersection(margin, bounds),
            HeaderBoxUse::Ignored { header_box, why: "is far larger than the streets" },
        ),
    }
}

fn longer_side_m(bounds: Bounds) -> f64 {
    let (sw, ne) = (bounds.south_west(), bounds.north_east());
    let corner = LatLng::new(sw.lat(), ne.lng()).unwrap_or(ne);
    sw.distance_m(corner).max(corner.distance_m(ne))
}

/// Returns the bounds with a margin on each side, clamped to the limits of Web Mercator.
fn expanded(bounds: Bounds, metres: f64) -> Bounds {
    let (sw, ne) = (bounds.south_west(), bounds.north_east());
    let north = (metres / EARTH_RADIUS_M).to_degrees();
    let east = north / bounds.center().lat().to_radians().cos().max(0.01);
    let corner =
        |lat: f64, lng: f64| LatLng::new(lat.clamp(-MAX_LATITUDE, MAX_LATITUDE), lng.clamp(-180.0, 180.0));
    let corners = (corner(sw.lat() - north, sw.lng() - east), corner(ne.lat() + north, ne.lng() + east));
    let (Ok(south_west), Ok(north_east)) = corners else { return bounds };
    Bounds::new(south_west, north_east).unwrap_or(bounds)
}

fn contains_box(outer: Bounds, inner: Bounds) -> bool {
    outer.contains(inner.south_west()) && outer.contains(inner.north_east())
}

/// Returns the intersection, or `a` if the two do not overlap.
fn intersection(a: Bounds, b: Bounds) -> Bounds {
    let (a_sw, a_ne, b_sw, b_ne) = (a.south_west(), a.north_east(), b.south_west(), b.north_east());
    let south_west = LatLng::new(a_sw.lat().max(b_sw.lat()), a_sw.lng().max(b_sw.lng()));
    let north_east = LatLng::new(a_ne.lat().min(b_ne.lat()), a_ne.lng().min(b_ne.lng()));
    south_west.ok().zip(north_east.ok()).and_then(|(sw, ne)| Bounds::new(sw, ne)).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::clip::tests::p;

    fn header(south: f64, west: f64, north: f64, east: f64) -> HeaderBox {
        HeaderBox { south, west, north, east }
    }

    fn bounds(south: f64, west: f64, north: f64, east: f64) -> Bounds {
        Bounds::new(p(south, west), p(north, east)).expect("south-west before north-east")
    }

    #[test]
    fn a_box_that_cannot_be_right_is_not_believed() {
        let streets = [p(52.5, 13.3), p(52.51, 13.31), p(52.52, 13.32)];
        for (header_box, why) in [
            (header(0.0, 0.0, 0.0, 0.0), "holds no street"),
            (header(10.0, 10.0, 11.0, 11.0), "holds no street"),
            (header(52.0, 13.0, 52.505, 14.0), "holds less than half of the streets"),
            (header(53.0, 13.0, 52.0, 14.0), "has its southern edge north of its northern edge"),
            (
                header(52.0, 177.0, 53.0, -178.0),
                "crosses the antimeridian: its western edge is east of its eastern edge",
            ),
            (header(-91.0, 13.0, 53.0, 14.0), "is not on Earth"),
            (header(52.0, 13.0, 53.0, f64::NAN), "is not on Earth"),
            (header(f64::NEG_INFINITY, 13.0, f64::INFINITY, 14.0), "is not on Earth"),
        ] {
            assert_eq!(checked_box(header_box, &streets), Err(why), "{header_box:?}");
        }
        assert_eq!(checked_box(header(52.0, 13.0, 53.0, 14.0), &streets), Ok(bounds(52.0, 13.0, 53.0, 14.0)));
    }

    /// Returns the bounds of a map with this box in its header.
    fn with_box(streets: Bounds, bounds: Bounds) -> (Bounds, HeaderBoxUse) {
        map_bounds(streets, Some((header(0.0, 0.0, 0.0, 0.0), Ok(bounds))))
    }

    #[test]
    fn a_box_around_the_streets_is_the_view() {
        let streets = bounds(52.50, 13.30, 52.54, 13.36);
        for header_box in [bounds(52.49, 13.29, 52.55, 13.37), streets] {
            assert_eq!(with_box(streets, header_box), (header_box, HeaderBoxUse::Used));
        }
    }

    #[test]
    fn a_box_far_larger_than_the_streets_is_cut_down_to_them() {
        let streets = bounds(52.50, 13.30, 52.54, 13.36);
        for header_box in [bounds(-90.0, -180.0, 90.0, 180.0), bounds(52.49, 13.29, 52.55, 14.0)] {
            let (view, used) = with_box(streets, header_box);
            assert!(matches!(used, HeaderBoxUse::Ignored { why: "is far larger than the streets", .. }));
            assert!(contains_box(view, streets) && contains_box(header_box, view), "{view:?}");
            assert!(longer_side_m(view) < longer_side_m(streets) * 1.11, "{view:?}");
        }
    }

    #[test]
    fn a_single_short_street_has_room_around_it() {
        let (view, used) = map_bounds(bounds(53.02, 8.5, 53.02, 8.5), None);
        assert_eq!(used, HeaderBoxUse::Absent);
        assert!((299.0..301.0).contains(&longer_side_m(view)), "{view:?}");
    }

    #[test]
    fn no_view_reaches_beyond_the_edges_of_a_web_map() {
        for streets in [bounds(84.9, 179.9, 85.0, 180.0), bounds(-85.0, -180.0, -84.9, -179.9)] {
            let (view, _) = map_bounds(streets, None);
            assert!(contains_box(bounds(-MAX_LATITUDE, -180.0, MAX_LATITUDE, 180.0), view), "{view:?}");
        }
    }
}
