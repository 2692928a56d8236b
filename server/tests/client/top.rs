//! `rides-server client top`: the table of cars, in a terminal and for scripts.

#[cfg(unix)]
use std::process::Stdio;

#[cfg(unix)]
use rides_proto::v1;
use serde_json::Value;

use super::{client, run, start};
#[cfg(target_os = "linux")]
use crate::harness::terminal::Terminal;
use crate::harness::{car::car, places::place, server, soon};
#[cfg(unix)]
use crate::{
    fleet::viewer::{helsinki, watch},
    harness::{
        process::{address, process, signal},
        wire::Wire,
    },
};

#[tokio::test]
async fn a_table_lists_the_cars_of_the_city() {
    let server = server().run().await;
    let _one = car(7).at(place(1)).signs_on(&server).await;
    let _two = car(8).at(place(2)).signs_on(&server).await;
    for args in [&["top", "--once"][..], &["top"]] {
        let table = run(client(&[server.addr], args)).await;
        let lines: Vec<_> = table.success_output().lines().collect();
        assert!(lines[0].ends_with(" · 2 cars") && lines[1].contains("2 free"), "{lines:?}");
        assert!(lines[3].trim_start().starts_with("CAR  STATE"), "{lines:?}");
        assert_eq!(lines.len(), 6, "{lines:?}");
    }
    let here = place(1);
    let viewport = format!("{},{},{0},{1}", here.lat, here.lng);
    let one = run(client(&[server.addr], &["top", "--once", "--viewport", &viewport])).await;
    assert!(one.success_output().contains(&format!("{:.5},{:.5}", here.lat, here.lng)), "{one:?}");
}

#[tokio::test]
async fn frames_are_lines_for_scripts() {
    let server = server().run().await;
    let car = car(7).at(place(1)).signs_on(&server).await;
    let mut frames = start(client(&[server.addr], &["top", "--json"]));
    let mut line = frames.next().await.unwrap();
    let first: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["detail"], "MAP_DETAIL_CARS");
    // The car is in the first frame, or in a later one if its tick comes after the first frame. It is in no other.
    let cars = format!("\"cars\":[{}]", car.number);
    while !line.contains(&cars) {
        line = soon("a frame with the car", frames.next()).await.unwrap();
    }
    let once = run(client(&[server.addr], &["top", "--once", "--json"])).await;
    assert_eq!(once.json().len(), 1);
}

/// CLIENT-12: a client that continues after a stop skips the frames that came meanwhile.
#[cfg(unix)]
#[tokio::test]
async fn a_client_that_was_stopped_goes_on_with_the_newest_frame() {
    const TICKS: u64 = 60;
    let mut serving = process(&["--cars=20", "--tick=20", "--listen=127.0.0.1:0"]);
    let mut serving = serving.stderr(Stdio::null()).spawn().unwrap();
    let addr = address(&mut serving).await;
    let request = v1::WatchFleetRequest { viewport: Some(helsinki()), ..Default::default() };
    let mut beside = watch(&Wire::Web(addr), request).await.unwrap();
    let mut frames = start(client(&[addr], &["top", "--json"]));
    let tick = |line: String| -> u64 {
        let frame: Value = serde_json::from_str(&line).unwrap();
        frame["tick"].as_str().unwrap().parse().unwrap()
    };
    let stopped_at = tick(frames.next().await.unwrap());

    signal(&frames.child, "STOP").await;
    let mut newest = stopped_at;
    while newest < stopped_at + TICKS {
        newest = beside.expect().await.tick;
    }
    signal(&frames.child, "CONT").await;

    let mut late = 0;
    while tick(frames.next().await.unwrap()) < newest {
        late += 1;
    }
    assert!(late < TICKS / 3, "{late} frames of {TICKS} were passed on late");
}

/// The client draws on the alternate screen, follows its size, and restores the terminal at the end.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_terminal_shows_the_fleet_until_somebody_has_seen_enough() {
    let server = server().run().await;
    let _one = car(7).at(place(1)).signs_on(&server).await;
    for enough in ["q", "\u{3}", "\u{1b}"] {
        let mut terminal = Terminal::new(80, 24);
        assert!(terminal.is_plain());
        let mut top = terminal.start(&client(&[server.addr], &["top"]));
        terminal.shows_raw("\u{1b}[?1049h").await;
        let screen = terminal.shows("a car", |screen| screen[0].contains(" · 1 car · ")).await;
        assert_eq!(screen.len(), 24);
        assert!(
            screen[3].trim_start().starts_with("CAR  STATE") && screen[4].contains("free"),
            "{screen:#?}"
        );
        assert!(screen[0].ends_with("q quit  s sort by state  ↑↓ scroll"), "{screen:#?}");
        assert!(!terminal.is_plain());

        let two = car(8).at(place(2)).signs_on(&server).await;
        terminal.shows("another", |screen| screen[0].contains(" · 2 cars · ")).await;
        terminal.resize(50, 6);
        let small = terminal.shows("a smaller screen", |screen| screen.len() == 6).await;
        assert!(
            small.iter().all(|line| line.chars().count() <= 50) && small[5].contains("free"),
            "{small:#?}"
        );

        terminal.types(enough);
        assert!(soon("the end", top.wait()).await.unwrap().success(), "{enough:?}");
        let last = terminal.shows_raw("\u{1b}[?25h").await;
        assert!(last.contains("\u{1b}[?1049l"), "{last:?}");
        assert!(terminal.is_plain());
        two.signs_off().await;
    }
}
