//! The map and the search for streets.

use prost::Message as _;
use rides_proto::{
    convert::unpack_path,
    v1::{self, AreaKind, GetMapRequest, GetMapResponse, StreetClass},
};
use tonic::Code;

use crate::harness::{
    places::CITY,
    server,
    wire::{Wire, assert_refused},
};

async fn get_map(wire: &Wire, have_version: &str) -> Vec<GetMapResponse> {
    let request = GetMapRequest { have_version: have_version.into() };
    let mut answers = wire.open("/rides.v1.City/GetMap", request).await.unwrap();
    let mut messages = Vec::new();
    while let Some(message) = answers.next().await {
        messages.push(message.unwrap());
    }
    messages
}

#[tokio::test]
async fn the_map_comes_whole_in_small_messages_with_what_it_is_first() {
    let server = server().run().await;
    for wire in server.wires().await {
        let messages = get_map(&wire, "").await;
        assert!(messages.iter().all(|message| message.encoded_len() <= 64 * 1024));
        let (first, features) = messages.split_first().unwrap();
        let info = first.info.as_ref().unwrap();
        assert_eq!((first.streets.len(), first.areas.len(), first.rails.len()), (0, 0, 0), "only info");
        assert!(features.iter().all(|message| message.info.is_none()));
        assert_eq!(
            (info.name.as_str(), info.attribution.as_str()),
            ("Helsinki", "© OpenStreetMap contributors")
        );
        assert_eq!(info.bounds, Some(CITY.bounds().into()));

        let streets: Vec<_> = features.iter().flat_map(|message| &message.streets).collect();
        let areas: Vec<_> = features.iter().flat_map(|message| &message.areas).collect();
        let rails = features.iter().flat_map(|message| &message.rails).count();
        let counts = [streets.len(), areas.len(), rails];
        assert_eq!(counts.map(|count| count as u32), [info.streets, info.areas, info.rails]);
        assert!(counts.iter().all(|&count| count > 100), "{counts:?}");

        let kind = |kind| areas.iter().filter(|area| area.kind() == kind).count();
        assert!([AreaKind::Building, AreaKind::Water, AreaKind::Park].into_iter().all(|a| kind(a) > 0));
        assert!(streets.iter().any(|street| street.name == "Mannerheimintie"));
        assert!(streets.iter().all(|street| street.class() != StreetClass::Unspecified));
        let lines = streets.iter().filter_map(|street| street.path.as_ref());
        assert!(
            lines.clone().count() == streets.len() && lines.clone().all(|line| unpack_path(line).is_some())
        );
    }
}

#[tokio::test]
async fn who_has_the_map_is_told_so_and_no_more() {
    let server = server().run().await;
    for wire in server.wires().await {
        let whole = get_map(&wire, "another").await;
        let version = whole[0].info.as_ref().unwrap().version.clone();
        assert!(!version.is_empty() && whole.len() > 1);
        let again = get_map(&wire, &version).await;
        assert_eq!(again, whole[..1]);
    }
}

#[tokio::test]
async fn streets_are_found_by_name() {
    let server = server().run().await;
    for wire in server.wires().await {
        let find = async |query: &str, limit| {
            let request = v1::FindPlacesRequest { query: query.into(), limit };
            wire.ask::<_, v1::FindPlacesResponse>("/rides.v1.City/FindPlaces", request).await
        };
        let names =
            |found: v1::FindPlacesResponse| found.places.into_iter().map(|p| p.name).collect::<Vec<_>>();
        for query in ["mannerheimintie", "MANNERHEIMINT", "Mannerheimvägen", "mannerheimvagen"] {
            let found = find(query, 1).await.unwrap();
            let at = found.places[0].location.unwrap().try_into().unwrap();
            assert!(CITY.snap(at).snap_distance_m < 50.0, "the result is on the street");
            assert!(names(found)[0].starts_with("Mannerheim"), "{query}");
        }
        assert_eq!(names(find("katu", 0).await.unwrap()).len(), 8, "the default limit");
        assert_eq!(names(find("a", 50).await.unwrap()).len(), 50);
        for nothing in ["", "   ", "qqqqqq", "\0", "💥"] {
            assert_eq!(names(find(nothing, 0).await.unwrap()), [""; 0], "{nothing:?}");
        }
        assert_refused(find(&"å".repeat(101), 0).await, Code::InvalidArgument, "INVALID_FIELD", "query");
        assert_refused(find("katu", 51).await, Code::InvalidArgument, "INVALID_FIELD", "limit");
        assert!(find(&"å".repeat(100), 0).await.is_ok());
    }
}
