//! Places in arguments: a point or the name of a street.

use std::str::FromStr;

use anyhow::bail;
use rides_proto::{
    geo::{Bounds, LatLng},
    v1::{self, FindPlacesRequest, Location, city_client::CityClient},
};

use super::{servers::Servers, text::point};
use crate::terminal_text::strip_controls;

/// A place in an argument.
#[derive(Clone, PartialEq, Debug)]
pub enum PlaceArg {
    /// A point.
    Point(LatLng),
    /// The name of a street, or a part of it.
    Street(String),
}

impl FromStr for PlaceArg {
    type Err = String;

    /// Parses two numbers as a point and other text as a street. Fails if the point is not on Earth, or if the text
    /// is empty or looks like a flag.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match numbers(text).as_deref() {
            Some([lat, lng]) => LatLng::new(*lat, *lng).map(Self::Point).map_err(|why| why.to_string()),
            _ if text.is_empty() || text.starts_with("--") => Err("must be LAT,LNG or a street".to_owned()),
            _ => Ok(Self::Street(text.to_owned())),
        }
    }
}

impl PlaceArg {
    /// Returns the point. The server looks up a street, and its best match is used.
    ///
    /// Fails if no street matches, or if several streets have the name of the best match.
    pub async fn locate(&self, servers: &Servers) -> anyhow::Result<Location> {
        let query = match self {
            Self::Point(point) => return Ok((*point).into()),
            Self::Street(name) => name,
        };
        let request = FindPlacesRequest { query: query.clone(), limit: 0 };
        let find = async |channel, request| CityClient::new(channel).find_places(request).await;
        let found = servers.unary(request, find).await?.places;
        let Some((best, location)) = found.first().and_then(|best| Some((best, best.location?))) else {
            bail!("no street on the server's map is called {query:?}")
        };
        let same: Vec<_> = found.iter().filter(|place| place.name == best.name).map(told_apart).collect();
        match same.len() {
            1 => Ok(location),
            _ => {
                bail!("several streets are called {:?}: give one as LAT,LNG: {}", best.name, same.join("; "))
            }
        }
    }
}

/// Formats one of several streets of the same name, for example `51.46900,-0.11475 (near Mill Lane)`.
fn told_apart(place: &v1::Place) -> String {
    let at = point(place.location);
    if place.near.is_empty() { at } else { format!("{at} (near {})", strip_controls(&place.near)) }
}

/// Parses a box on the map: its southern, western, northern and eastern edges, in degrees.
pub(super) fn bounds(text: &str) -> Result<Bounds, String> {
    let corners = match numbers(text).as_deref() {
        Some([south, west, north, east]) => {
            LatLng::new(*south, *west).and_then(|corner| Ok((corner, LatLng::new(*north, *east)?)))
        }
        _ => return Err("must be SOUTH,WEST,NORTH,EAST in degrees".to_owned()),
    };
    let (south_west, north_east) = corners.map_err(|why| why.to_string())?;
    Bounds::new(south_west, north_east).ok_or_else(|| "must have SOUTH <= NORTH and WEST <= EAST".to_owned())
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split(',').map(|number| number.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_a_point_and_all_else_is_a_street() {
        let point = |lat, lng| Ok(PlaceArg::Point(LatLng::new(lat, lng).unwrap()));
        assert_eq!("60.17,24.94".parse(), point(60.17, 24.94));
        assert_eq!(" -33.8, 151.2 ".parse(), point(-33.8, 151.2));
        for street in ["Mannerheimintie", "5. linja", "60", "60.17;24.94", "Katu, 7"] {
            assert_eq!(street.parse(), Ok(PlaceArg::Street(street.to_owned())));
        }
        for bad in ["91,0", "0,181", "NaN,0", "", "  ", "--jsn"] {
            assert!(bad.parse::<PlaceArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_box_has_four_edges_the_right_way_round() {
        assert!(bounds("60.1,24.8,60.2,25.0").is_ok());
        for bad in ["60.1,24.8", "60.2,24.8,60.1,25.0", "60.1,24.8,91,25.0", "a,b,c,d"] {
            assert!(bounds(bad).is_err(), "{bad}");
        }
    }
}
