//! The log line about the map, and the refusal of files that are not maps.

use std::fs;

use rides_proto::v1;
use tonic::Code;

use super::program;
use crate::harness::{
    places::test_map_flag,
    process::{Log, address},
    rider::Rider,
    soon,
    wire::{Wire, assert_refused},
};

#[tokio::test]
async fn the_log_says_what_was_kept_of_a_map_and_what_was_left_out() {
    let mut child = program(&["--listen=127.0.0.1:0", &test_map_flag("one-street")]).spawn().unwrap();
    let mut log = Log::of(&mut child);
    let mut lines = vec![];
    while !lines.last().is_some_and(|line: &String| line.contains("the map was loaded")) {
        lines.push(soon("the map", log.next()).await);
    }
    let loaded = lines.last().unwrap();
    for part in
        ["INFO", "kept 1 of 2 streets", "kept_km=0.043", "left_out_km=0.013", r#"left_out=["Cut off"]"#]
    {
        assert!(loaded.contains(part), "{part}: {loaded}");
    }
    let warned = lines.iter().find(|line| line.contains("the box in the map's header")).unwrap();
    assert!(warned.contains("WARN") && warned.contains("is far larger than the streets"), "{warned}");
}

#[tokio::test]
async fn names_in_the_log_move_no_cursor_and_turn_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("a\u{202e}b\u{1b}[31m.osm.pbf");
    fs::copy(test_map_flag("one-street").trim_start_matches("--map="), &map).unwrap();
    let mut child = program(&["--listen=127.0.0.1:0", &format!("--map={}", map.display())]).spawn().unwrap();
    let mut log = Log::of(&mut child);
    loop {
        let line = soon("the map", log.next()).await;
        assert!(!line.contains('\u{202e}') && !line.contains("\u{1b}[31m"), "{line:?}");
        if line.contains("the map was loaded") {
            break;
        }
    }
}

#[tokio::test]
async fn search_offers_what_quote_takes() {
    let mut child = program(&["--listen=127.0.0.1:0", &test_map_flag("one-street")]).spawn().unwrap();
    let wire = Wire::Web(address(&mut child).await);
    let find = async |query: &str| {
        let request = v1::FindPlacesRequest { query: query.into(), limit: 0 };
        let found: v1::FindPlacesResponse = wire.ask("/rides.v1.City/FindPlaces", request).await.unwrap();
        found.places
    };
    assert_eq!(find("cut off").await, []);
    let [kept] = &find("kept").await[..] else { panic!("one street") };
    let rider = Rider(wire.clone());
    let quote = |dropoff| v1::QuoteRequest { pickup: kept.location, dropoff, ..Default::default() };
    let nearby = Some(v1::Location { lat: 53.0203, lng: 8.5004 });
    assert_eq!(rider.quote(quote(nearby)).await.unwrap().pickup_name, "Kept");
    let cut_off = Some(v1::Location { lat: 53.06, lng: 8.78 });
    assert_refused(rider.quote(quote(cut_off)).await, Code::InvalidArgument, "OFF_MAP", "dropoff");
}

#[tokio::test]
async fn a_map_that_cannot_be_used_is_refused_in_one_line_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let xml = dir.path().join("map.osm.pbf");
    fs::write(&xml, "<?xml version='1.0'?><osm/>").unwrap();
    for (map, words) in [
        (
            test_map_flag("lzma-blobs"),
            "compressed with lzma, which is not supported: use a file with zlib, as \"osmium cat IN",
        ),
        (format!("--map={}", xml.display()), "this is OpenStreetMap XML"),
    ] {
        let output = soon("a refusal", program(&["--listen=127.0.0.1:0", &map]).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
}
