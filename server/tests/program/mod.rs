//! The program as a process: its output, its exit codes, its flags and its files.

mod closed_streams;
#[cfg(unix)]
mod denied;
#[cfg(unix)]
mod drain;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod failing_reads;
#[cfg(unix)]
mod files;
mod keys;
mod listening;
mod log;
#[cfg(target_os = "linux")]
mod logging;
#[cfg(unix)]
mod lost_files;
mod maps;
mod metrics;
mod proxies;
mod stuck;
mod tokens;
mod variables;

use std::{
    fs::{self, File},
    net::TcpListener,
};

use http::StatusCode;
use tokio::{process::Command, time::timeout};

use crate::harness::{
    SOON,
    http::Http,
    process::{address, end, first_line, process},
    raw_h2,
    rider::Rider,
    soon,
    wire::Wire,
};

/// The program as a server without simulated cars.
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
        assert_eq!(stderr.matches(says).count(), 1, "the reason once: {stderr}");
    }
}

/// L24: a second server with the same data directory is refused.
#[tokio::test]
async fn two_on_one_data_directory_are_one_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let serving = ["--listen=127.0.0.1:0", &data_dir];
    let mut first = program(&serving).spawn().unwrap();
    first_line(&mut first).await;

    let second = timeout(SOON, program(&serving).output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("another rides-server (process "), "{stderr}");
    let rebuild = process(&["journal", "rebuild", &data_dir]).output().await.unwrap();
    assert_eq!(rebuild.status.code(), Some(1));
}

#[tokio::test]
async fn a_journal_can_be_looked_after_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let mut child = program(&["--listen=127.0.0.1:0", &data_dir]).spawn().unwrap();
    let addr = address(&mut child).await;
    let ride = Rider(Wire::Web(addr)).books("key").await;

    let journal = async |args: &[&str]| {
        let output = process(&[&["journal", &data_dir], args].concat()).output().await.unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let sound = (Some(0), "1 events of 1 rides, 1 of them not over\n".to_owned());
    assert_eq!(journal(&["check"]).await, sound, "checked while the server runs");
    let (code, line) = journal(&["export"]).await;
    assert_eq!(code, Some(0), "{line}");
    assert!(line.contains(&format!("\"ride\":\"{}\"", ride.ride_id)), "{line}");

    child.kill().await.unwrap();
    assert_eq!(journal(&["rebuild"]).await, sound);
    for action in ["check", "rebuild", "export"] {
        let nowhere = dir.path().join("nowhere");
        let data_dir = format!("--data-dir={}", nowhere.display());
        let nothing = process(&["journal", action, &data_dir]).output().await.unwrap();
        assert_eq!(nothing.status.code(), Some(1));
        assert_eq!(String::from_utf8(nothing.stderr).unwrap().lines().count(), 1);
        assert!(!nowhere.exists(), "{action} makes none");
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

/// The library h2 logs a warning at each flood. The default log level leaves such warnings out.
#[cfg(unix)]
#[tokio::test]
async fn a_flood_leaves_no_trace_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let resets = ["--max-resets=20", "--max-frames-per-second=1000000", "--exempt-addresses=192.0.2.1"];
    let mut program = program(&["--listen=127.0.0.1:0"]);
    program.args(resets);
    let mut server = program.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let (mut up, mut down) = raw_h2::connect(address(&mut server).await).await;
    let flood = async {
        for stream in (1..200_000).step_by(2) {
            up.call(stream, "/rides.v1.Rides/Get").await?;
            up.cancel(stream).await?;
        }
        std::io::Result::Ok(())
    };
    let (goaway, _cut) = tokio::join!(soon("the end", down.next_of(raw_h2::GOAWAY)), flood);
    assert_eq!(goaway.unwrap().error(), raw_h2::ENHANCE_YOUR_CALM);
    // A server that ends by itself writes the rest of its log first.
    end(&mut server, "TERM").await;
    let log = fs::read_to_string(log).unwrap();
    // In a container the program warns that it is not reachable from outside.
    let complains = log.lines().any(|line| line.contains("WARN") && !line.contains("rides_server::listen"));
    assert!(!complains && log.lines().count() < 20, "{log}");
}
