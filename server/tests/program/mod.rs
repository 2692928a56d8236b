//! The program as whoever starts it sees it: what it prints, and how it ends.

#[cfg(unix)]
mod drain;
mod leaving;

use std::net::TcpListener;

use http::StatusCode;
use tokio::{process::Command, time::timeout};

use crate::harness::{
    SOON,
    http::Http,
    process::{address, end, first_line, process},
};

/// Serving, without cars.
fn program(args: &[&str]) -> Command {
    process(&[&["--cars=0"], args].concat())
}

#[tokio::test]
async fn it_says_where_it_is_and_is_there() {
    let mut child = program(&["--listen=127.0.0.1:0"]).spawn().unwrap();
    let mut http = Http::h1(address(&mut child).await).await;
    assert_eq!(http.get("/readyz").await.status, StatusCode::OK);
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_in_good_order_when_told() {
    for signal in ["INT", "TERM"] {
        let mut child = program(&["--listen=127.0.0.1:0"]).spawn().unwrap();
        first_line(&mut child).await;
        assert_eq!(end(&mut child, signal).await.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let empty = tempfile::Builder::new().suffix(".osm.pbf").tempfile().unwrap();
    let map = format!("--map={}", empty.path().display());
    for (flag, says) in [
        ("--page=/nonexistent", "/nonexistent"),
        (listen.as_str(), "cannot listen on"),
        ("--map=/nonexistent.osm.pbf", "the map cannot be read: "),
        (map.as_str(), "the map is empty"),
    ] {
        let output = timeout(SOON, program(&[flag]).output()).await.unwrap().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("rides-server: "), "{stderr}");
        assert_eq!(stderr.matches(says).count(), 1, "said once: {stderr}");
    }
}

#[tokio::test]
async fn bad_flags_and_variables_are_refused() {
    let flags = program(&["--tick=99"]).output().await.unwrap();
    let variable = program(&[]).env("RIDES_TICK", "99").output().await.unwrap();
    for output in [flags, variable] {
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("must be a number from 0.5 to 30"), "{stderr}");
    }
}
