//! The addresses that the program listens on, and its messages about them.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use http::StatusCode;

use super::program;
use crate::{
    fleet::viewer::{Viewer, helsinki},
    harness::{
        http::Http,
        process::{Log, first_line, process, unused_port},
        soon,
        wire::Wire,
    },
};

/// The URL that a server prints in its first line.
fn url(line: &str) -> &str {
    line.trim_end().strip_prefix("rides-server listening on ").expect(line)
}

#[tokio::test]
async fn each_way_to_name_an_address_opens_where_people_look() {
    let port = unused_port();
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let here = format!("http://localhost:{port}");
    for (listen, says, over_ipv6) in [
        (format!("localhost:{port}"), &here, true),
        (port.to_string(), &here, true),
        (format!(":{port}"), &here, true),
        (format!("*:{port}"), &here, true),
        (format!("0.0.0.0:{port}"), &here, false),
        (format!("127.0.0.1:{port}"), &format!("http://127.0.0.1:{port}"), false),
    ] {
        let mut child = program(&["--listen", &listen, "--auth=open"]).spawn().unwrap();
        let line = first_line(&mut child).await;
        assert_eq!(url(&line), says, "{listen}");
        let mut http = Http::h1((Ipv4Addr::LOCALHOST, port).into()).await;
        assert_eq!(http.get("/readyz").await.status, StatusCode::OK, "{listen}");
        let v6 = tokio::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await;
        assert_eq!(v6.is_ok(), over_ipv6 && has_ipv6, "{listen}");
        child.kill().await.unwrap();
    }
}

/// The simulated cars reach the server on every address that it listens on.
#[tokio::test]
async fn a_fleet_drives_on_all_interfaces() {
    let mut child = process(&["--cars=3", "--listen=:0", "--auth=open"]).spawn().unwrap();
    let line = first_line(&mut child).await;
    let port = url(&line).rsplit_once(':').unwrap().1.parse().unwrap();
    let viewer = Wire::Web((Ipv4Addr::LOCALHOST, port).into());
    let there = async {
        while Viewer::of(&viewer, helsinki()).await.cars.len() < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    soon("three cars", there).await;
}

#[tokio::test]
async fn a_loopback_that_another_program_has_stops_the_start() {
    let Ok(taken) = TcpListener::bind("[::1]:0") else { return };
    let port = taken.local_addr().unwrap().port();
    let output = soon("a refusal", program(&["--listen", &port.to_string()]).output()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with(&format!("rides-server: cannot listen on [::1]:{port}: ")), "{stderr}");
    assert!(stderr.contains("another program listens there"), "{stderr}");
}

#[tokio::test]
async fn in_a_container_the_log_says_first_how_to_be_reached() {
    let mut program = program(&["--listen=127.0.0.1:0"]);
    let mut child = program.env("KUBERNETES_SERVICE_HOST", "10.0.0.1").spawn().unwrap();
    let line = first_line(&mut child).await;
    let port = url(&line).rsplit_once(':').unwrap().1.to_owned();
    let first = soon("the log", Log::of(&mut child).next()).await;
    for part in [format!("--listen 0.0.0.0:{port}"), format!("docker run -p {port}:{port}")] {
        assert!(first.contains(&part), "{part}: {first}");
    }
}

#[tokio::test]
async fn plain_http_on_an_open_address_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let plain = program(&["--listen=0.0.0.0:0"]).spawn().unwrap();
    let over_tls = program(&["--listen=0.0.0.0:0", "--tls=self-signed", &data_dir]).spawn().unwrap();
    for (mut child, warns) in [(plain, true), (over_tls, false)] {
        first_line(&mut child).await;
        let mut log = Log::of(&mut child);
        let mut said = String::new();
        while !said.contains("calls need a token") {
            said += &soon("the log", log.next()).await;
        }
        assert_eq!(said.contains("tokens and rides travel unencrypted"), warns, "{said}");
        assert_eq!(said.contains("--tls-cert"), warns, "{said}");
    }
}
