use serde_json::Value;

use super::{client, said, talking};
use crate::harness::{car::car, places::place, server};

#[tokio::test]
async fn a_table_lists_the_cars_of_the_city() {
    let server = server().run().await;
    let _one = car(7).at(place(1)).signs_on(&server).await;
    let _two = car(8).at(place(2)).signs_on(&server).await;
    for args in [&["top", "--once"][..], &["top"]] {
        let table = said(client(&[server.addr], args)).await;
        let lines: Vec<_> = table.well().lines().collect();
        assert!(lines[0].ends_with(" · 2 cars") && lines[1].contains("2 free"), "{lines:?}");
        assert!(lines[3].trim_start().starts_with("CAR  STATE"), "{lines:?}");
        assert_eq!(lines.len(), 6, "{lines:?}");
    }
    let here = place(1);
    let viewport = format!("{},{},{0},{1}", here.lat, here.lng);
    let one = said(client(&[server.addr], &["top", "--once", "--viewport", &viewport])).await;
    assert!(one.well().contains(&format!("{:.4}", here.lat)), "{one:?}");
}

#[tokio::test]
async fn frames_are_lines_for_scripts() {
    let server = server().run().await;
    let car = car(7).at(place(1)).signs_on(&server).await;
    let mut frames = talking(client(&[server.addr], &["top", "--json"]));
    let first: Value = serde_json::from_str(&frames.next().await.unwrap()).unwrap();
    assert_eq!(first["detail"], "MAP_DETAIL_CARS");
    frames.says(&format!("\"cars\":[{}]", car.number)).await;
    let once = said(client(&[server.addr], &["top", "--once", "--json"])).await;
    assert_eq!(once.json().len(), 1);
}
