//! The `rides.v1.City` service: the map, and the search for places by name.

use std::{pin::Pin, sync::Arc, sync::OnceLock};

use futures_util::{Stream, stream};
use prost::Message;
use rides_proto::{
    convert::pack_path,
    v1::{self, city_server},
};
use tonic::{Request, Response, Status};

use super::bad_request::{BadRequest, all, invalid};
use crate::city::{self, AreaKind, City, MapData, RailKind, StreetClass};

/// The maximum length of one message of the map, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// The maximum length of a query, in characters.
const MAX_QUERY: usize = 100;
/// The maximum number of places in a response.
const MAX_PLACES: u32 = 50;
/// The maximum number of places in the response to a request without a limit.
const DEFAULT_PLACES: u32 = 8;

/// The implementation of `rides.v1.City` for one city.
pub struct CityService {
    city: Arc<City>,
    /// The messages of the map after the first. They are made at the first request and shared by all streams.
    features: OnceLock<Arc<[v1::GetMapResponse]>>,
}

impl CityService {
    /// Makes the service for `city`.
    pub fn new(city: Arc<City>) -> Self {
        Self { city, features: OnceLock::new() }
    }

    fn info(&self) -> v1::GetMapResponse {
        let map = self.city.map();
        let info = v1::MapInfo {
            name: self.city.name().into(),
            bounds: Some(self.city.bounds().into()),
            attribution: self.city.attribution().into(),
            version: self.city.version().into(),
            streets: map.streets.len() as u32,
            areas: map.areas.len() as u32,
            rails: map.rails.len() as u32,
        };
        v1::GetMapResponse { info: Some(info), ..Default::default() }
    }
}

#[tonic::async_trait]
impl city_server::City for CityService {
    type GetMapStream = Pin<Box<dyn Stream<Item = Result<v1::GetMapResponse, Status>> + Send>>;

    async fn get_map(
        &self,
        request: Request<v1::GetMapRequest>,
    ) -> Result<Response<Self::GetMapStream>, Status> {
        let features = if request.get_ref().have_version == self.city.version() {
            Arc::default()
        } else {
            self.features.get_or_init(|| in_messages(self.city.map()).into()).clone()
        };
        let messages = (0..features.len()).map(move |i| features[i].clone());
        let all = std::iter::once(self.info()).chain(messages).map(Ok);
        Ok(Response::new(Box::pin(stream::iter(all))))
    }

    async fn find_places(
        &self,
        request: Request<v1::FindPlacesRequest>,
    ) -> Result<Response<v1::FindPlacesResponse>, Status> {
        let v1::FindPlacesRequest { query, limit } = request.into_inner();
        let (query, limit) = all((checked_query(query), checked_limit(limit)))?;
        let places = self.city.find_places(&query, limit as usize).into_iter();
        let places = places.map(|place| v1::Place {
            name: place.name,
            location: Some(place.at.into()),
            near: place.near,
        });
        Ok(Response::new(v1::FindPlacesResponse { places: places.collect() }))
    }
}

fn checked_query(query: String) -> Result<String, BadRequest> {
    match query.chars().count() > MAX_QUERY {
        true => Err(invalid("query", format!("must not be longer than {MAX_QUERY} characters"))),
        false => Ok(query),
    }
}

fn checked_limit(limit: u32) -> Result<u32, BadRequest> {
    match limit {
        0 => Ok(DEFAULT_PLACES),
        1..=MAX_PLACES => Ok(limit),
        _ => Err(invalid("limit", format!("must not exceed {MAX_PLACES}"))),
    }
}

/// One thing on the map.
enum Feature {
    Street(v1::Street),
    Area(v1::Area),
    Rail(v1::Rail),
}

impl Feature {
    /// Returns an upper bound of the bytes that the feature adds to a message: itself, one byte of tag, and its
    /// length in at most three bytes.
    fn encoded_len(&self) -> usize {
        let own = match self {
            Self::Street(street) => street.encoded_len(),
            Self::Area(area) => area.encoded_len(),
            Self::Rail(rail) => rail.encoded_len(),
        };
        own + 4
    }

    fn add_to(self, message: &mut v1::GetMapResponse) {
        match self {
            Self::Street(street) => message.streets.push(street),
            Self::Area(area) => message.areas.push(area),
            Self::Rail(rail) => message.rails.push(rail),
        }
    }
}

/// Splits the map into messages of at most [`MAX_MESSAGE`] bytes. Every feature fits into one message because it has at
/// most [`city::MAX_POINTS`] points.
fn in_messages(map: &MapData) -> Vec<v1::GetMapResponse> {
    let mut messages = vec![];
    let (mut message, mut len) = (v1::GetMapResponse::default(), 0);
    for feature in in_order(map) {
        let more = feature.encoded_len();
        if len + more > MAX_MESSAGE {
            messages.push(std::mem::take(&mut message));
            len = 0;
        }
        len += more;
        feature.add_to(&mut message);
    }
    if len > 0 {
        messages.push(message);
    }
    messages
}

/// Returns all features, the most visible first: ground areas, streets, tracks, buildings, and then the many footways.
/// The page draws the map in this order while it loads.
fn in_order(map: &MapData) -> impl Iterator<Item = Feature> + '_ {
    let streets = |on_foot: bool| {
        let streets = map.streets.iter().filter(move |s| (s.class == StreetClass::Footway) == on_foot);
        streets.map(|s| Feature::Street(street(s)))
    };
    let areas = |building: bool| {
        let areas = map.areas.iter().filter(move |a| (a.kind == AreaKind::Building) == building);
        areas.map(|a| Feature::Area(area(a)))
    };
    let rails = map.rails.iter().map(|r| Feature::Rail(rail(r)));
    areas(false).chain(streets(false)).chain(rails).chain(areas(true)).chain(streets(true))
}

fn street(street: &city::Street) -> v1::Street {
    let class = match street.class {
        StreetClass::Motorway => v1::StreetClass::Motorway,
        StreetClass::Primary => v1::StreetClass::Primary,
        StreetClass::Secondary => v1::StreetClass::Secondary,
        StreetClass::Tertiary => v1::StreetClass::Tertiary,
        StreetClass::Residential => v1::StreetClass::Residential,
        StreetClass::Service => v1::StreetClass::Service,
        StreetClass::Footway => v1::StreetClass::Footway,
    };
    v1::Street {
        class: class.into(),
        name: street.name.clone(),
        path: Some(pack_path(&street.line)),
        one_way: street.one_way,
    }
}

fn area(area: &city::Area) -> v1::Area {
    let kind = match area.kind {
        AreaKind::Water => v1::AreaKind::Water,
        AreaKind::Park => v1::AreaKind::Park,
        AreaKind::Square => v1::AreaKind::Square,
        AreaKind::Building => v1::AreaKind::Building,
    };
    v1::Area {
        kind: kind.into(),
        rings: area.rings.iter().map(|ring| pack_path(ring)).collect(),
        name: area.name.clone(),
        height_m: area.height_m,
    }
}

fn rail(rail: &city::Rail) -> v1::Rail {
    let kind = match rail.kind {
        RailKind::Train => v1::RailKind::Train,
        RailKind::Subway => v1::RailKind::Subway,
        RailKind::Tram => v1::RailKind::Tram,
    };
    v1::Rail { kind: kind.into(), path: Some(pack_path(&rail.line)) }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use rides_proto::{convert::unpack_path, geo::LatLng, v1::city_server::City as _};

    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    fn service() -> CityService {
        CityService::new(Arc::new(City::embedded()))
    }

    async fn map(service: &CityService, have_version: &str) -> Vec<v1::GetMapResponse> {
        let request = v1::GetMapRequest { have_version: have_version.into() };
        let answer = service.get_map(Request::new(request)).await.expect("a stream");
        answer.into_inner().try_collect().await.expect("no error")
    }

    #[tokio::test]
    async fn the_map_comes_as_info_and_then_as_many_features_as_it_says() {
        let service = service();
        let messages = map(&service, "another").await;
        let info = messages[0].info.clone().expect("info first");
        assert_eq!(messages[0], v1::GetMapResponse { info: Some(info.clone()), ..Default::default() });
        assert_eq!(
            (info.name.as_str(), info.attribution.as_str()),
            ("Helsinki", "© OpenStreetMap contributors")
        );

        let count = |of: fn(&v1::GetMapResponse) -> usize| messages.iter().map(of).sum::<usize>() as u32;
        assert_eq!(info.streets, count(|m| m.streets.len()));
        assert_eq!(info.areas, count(|m| m.areas.len()));
        assert_eq!(info.rails, count(|m| m.rails.len()));
        assert!(messages.iter().all(|m| m.encoded_len() <= MAX_MESSAGE));
        assert_eq!(messages[1].areas[0].kind(), v1::AreaKind::Water);
        let footway =
            |m: &v1::GetMapResponse| m.streets.iter().any(|s| s.class() == v1::StreetClass::Footway);
        assert!(!footway(&messages[1]) && messages.last().is_some_and(footway));
        let paths = messages.iter().flat_map(|m| &m.streets).filter_map(|street| street.path.as_ref());
        assert!(paths.clone().count() > 1_000 && paths.into_iter().all(|path| unpack_path(path).is_some()));
    }

    #[tokio::test]
    async fn who_has_the_map_gets_only_info() {
        let service = service();
        let version = service.city.version().to_owned();
        assert_eq!(map(&service, &version).await, [service.info()]);
    }

    #[tokio::test]
    async fn places_are_found_and_limits_kept() {
        let service = service();
        let find = |query: &str, limit| {
            let request = v1::FindPlacesRequest { query: query.into(), limit };
            service.find_places(Request::new(request))
        };
        let count = |answer: Response<v1::FindPlacesResponse>| answer.get_ref().places.len();
        assert_eq!(count(find("katu", 0).await.expect("valid")), 8);
        assert_eq!(count(find("a", 50).await.expect("valid")), 50);
        assert_eq!(count(find(&"ä".repeat(100), 1).await.expect("valid")), 0);

        for (query, limit, field) in [("katu".to_owned(), 51, "limit"), ("ä".repeat(101), 0, "query")] {
            let status = find(&query, limit).await.expect_err("out of range");
            assert_eq!(status.code(), Code::InvalidArgument);
            let bad_request = status.get_details_bad_request().expect("details");
            assert_eq!(bad_request.field_violations[0].field, field);
        }
    }

    #[test]
    fn the_largest_feature_fits_whatever_it_holds() {
        let corners =
            [(-90.0, -180.0), (90.0, 180.0)].map(|(lat, lng)| LatLng::new(lat, lng).expect("on Earth"));
        let name = "😀".repeat(255);
        let line: Vec<_> = corners.into_iter().cycle().take(city::MAX_POINTS).collect();
        let rings = line.chunks(3).map(<[_]>::to_vec).collect();
        let map = MapData {
            streets: vec![city::Street {
                class: StreetClass::Service,
                name: name.clone(),
                line,
                one_way: true,
            }],
            areas: vec![city::Area { kind: AreaKind::Building, name, rings, height_m: u32::MAX }],
            rails: vec![],
        };
        let messages = in_messages(&map);
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|message| message.encoded_len() <= MAX_MESSAGE));
    }
}
