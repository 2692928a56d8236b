//! Requests with several bad fields: CLIENT-10.

use rides_proto::v1::{self, Location};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{
    places::{AT_SEA, NOWHERE, place},
    rider::booking,
    server,
    wire::{Wire, bad_fields},
};

/// Asserts that the message and the details name each of `fields`, and that the details have its reason.
#[track_caller]
fn assert_named<A: std::fmt::Debug>(outcome: Result<A, Status>, fields: &[(&str, &str)]) {
    let status = outcome.expect_err("the call succeeded");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let named = bad_fields(&status);
    let named: Vec<_> = named.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect();
    assert_eq!(named, fields);
    assert_eq!(status.get_details_error_info().unwrap().reason, fields[0].1, "the reason of the first field");
    for (field, _) in fields {
        assert!(status.message().contains(&format!("{field}: ")), "{field} in {:?}", status.message());
    }
}

#[tokio::test]
async fn every_bad_field_of_a_request_is_named() {
    let server = server().run().await;
    let off_map = [("pickup", "OFF_MAP"), ("dropoff", "OFF_MAP")];
    let nowhere = Some(NOWHERE);
    let far = Location { lat: 1.0, lng: 1.0 };
    for wire in server.wires().await {
        let quote = v1::QuoteRequest { pickup: nowhere, dropoff: None, r#type: 7 };
        let bad = [("pickup", "NOT_ON_EARTH"), ("dropoff", "MISSING"), ("type", "UNKNOWN_VALUE")];
        assert_named(wire.ask::<_, v1::QuoteResponse>("/rides.v1.Rides/Quote", quote).await, &bad);
        let quote = v1::QuoteRequest { pickup: Some(AT_SEA), dropoff: Some(far), r#type: 0 };
        assert_named(wire.ask::<_, v1::QuoteResponse>("/rides.v1.Rides/Quote", quote).await, &off_map);

        let book = v1::BookRequest {
            request_id: String::new(),
            rider_id: "x".repeat(65),
            pickup: None,
            dropoff: nowhere,
            r#type: -1,
            passenger_ids: vec!["x".repeat(65), String::new(), "y".repeat(65)],
        };
        let bad = [
            ("rider_id", "TOO_LONG"),
            ("request_id", "BAD_LENGTH"),
            ("pickup", "MISSING"),
            ("dropoff", "NOT_ON_EARTH"),
            ("type", "UNKNOWN_VALUE"),
            ("passenger_ids[0]", "TOO_LONG"),
            ("passenger_ids[2]", "TOO_LONG"),
        ];
        assert_named(wire.ask::<_, v1::BookResponse>("/rides.v1.Rides/Book", book).await, &bad);
        let book = v1::BookRequest { pickup: Some(AT_SEA), dropoff: Some(far), ..booking("key") };
        assert_named(wire.ask::<_, v1::BookResponse>("/rides.v1.Rides/Book", book).await, &off_map);

        let start = v1::StartRequest { car_id: 0, r#type: 9, ..Default::default() };
        let bad = [
            ("car_id", "NOT_POSITIVE"),
            ("driver_id", "MISSING"),
            ("location", "MISSING"),
            ("type", "UNKNOWN_VALUE"),
        ];
        assert_named(wire.ask::<_, v1::StartResponse>("/rides.v1.Rides/Start", start).await, &bad);

        let time = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
        let end = v1::EndRequest { location: nowhere, time, ..Default::default() };
        let bad = [("location", "NOT_ON_EARTH"), ("time", "BAD_TIME")];
        assert_named(wire.ask::<_, v1::EndResponse>("/rides.v1.Rides/End", end).await, &bad);

        let cancel = v1::CancelRequest { by: 9, reason: "x".repeat(201), ..Default::default() };
        let bad = [("by", "UNKNOWN_VALUE"), ("reason", "TOO_LONG")];
        assert_named(wire.ask::<_, v1::CancelResponse>("/rides.v1.Rides/Cancel", cancel).await, &bad);

        let list = v1::ListRequest { page_size: 201, states: vec![1, 0, 99], ..Default::default() };
        let bad = [("page_size", "TOO_MANY"), ("states[1]", "UNKNOWN_VALUE"), ("states[2]", "UNKNOWN_VALUE")];
        assert_named(wire.ask::<_, v1::ListResponse>("/rides.v1.Rides/List", list).await, &bad);

        let cursors = vec![v1::CellCursor { cell: u32::MAX, tick: 1 }; 2];
        let watch = v1::WatchFleetRequest { cursors, epoch: "yesterday".into(), ..Default::default() };
        let bad = [
            ("viewport", "INVALID_FIELD"),
            ("epoch", "BAD_EPOCH"),
            ("cursors[0].cell", "INVALID_FIELD"),
            ("cursors[1].cell", "INVALID_FIELD"),
        ];
        assert_named(opened::<v1::WatchFleetResponse>(&wire, "/rides.v1.Fleet/Watch", watch).await, &bad);

        let find = v1::FindPlacesRequest { query: "x".repeat(101), limit: 51 };
        let bad = [("query", "INVALID_FIELD"), ("limit", "INVALID_FIELD")];
        assert_named(wire.ask::<_, v1::FindPlacesResponse>("/rides.v1.City/FindPlaces", find).await, &bad);

        let sign_in = v1::SignInRequest { name: "x".repeat(65), role: 9, ..Default::default() };
        let bad = [("name", "INVALID_FIELD"), ("role", "INVALID_FIELD")];
        assert_named(wire.ask::<_, v1::SignInResponse>("/rides.v1.Sessions/SignIn", sign_in).await, &bad);
    }
}

async fn opened<A: prost::Message + Default + 'static>(
    wire: &Wire,
    path: &'static str,
    question: v1::WatchFleetRequest,
) -> Result<A, Status> {
    wire.open(path, question).await?.next().await.expect("neither a message nor a status")
}

#[tokio::test]
async fn a_bad_position_of_an_upload_is_named_and_so_is_how_many_were_taken() {
    let server = server().requiring_tokens().run().await;
    let good = |car_id| v1::TrackRequest { car_id, time: None, location: Some(place(1)) };
    // Positions are processed in batches: 200 positions are several batches.
    for taken in [0, 1, 3, 200] {
        let upload = async |last: v1::TrackRequest, token: String| {
            let sent: Vec<_> = std::iter::repeat_n(good(7), taken).chain([last, good(7)]).collect();
            let mut client = v1::rides_client::RidesClient::new(server.channel().await);
            let mut request = tonic::Request::new(tokio_stream::iter(sent));
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            client.track(request).await.expect_err("the last is bad")
        };
        let status = upload(v1::TrackRequest::default(), server.dispatcher()).await;
        let count = format!("(positions accepted before: {taken})");
        assert!(status.message().ends_with(&count), "{status:?}");
        let (car, location) = (format!("positions[{taken}].car_id"), format!("positions[{taken}].location"));
        assert_named(Err::<(), _>(status.clone()), &[(&car, "NOT_POSITIVE"), (&location, "MISSING")]);
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["positions_taken"], taken.to_string());

        let status = upload(good(8), server.driver(7)).await;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().ends_with(&count), "{status:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), &*info.metadata["positions_taken"]),
            ("NOT_YOUR_CAR", &*taken.to_string())
        );
    }
}
