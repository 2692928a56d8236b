//! The program as whoever starts it sees it: what it prints, and how it ends.

use std::{net::TcpListener, process::Stdio};

use http::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::harness::{SOON, http::Http};

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rides-server"));
    command.args(["--cars=0"]).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut line = String::new();
    timeout(SOON, BufReader::new(stdout).read_line(&mut line)).await.expect("it says nothing").unwrap();
    line
}

#[tokio::test]
async fn it_says_where_it_is_and_is_there() {
    let mut child = program(&["--listen=127.0.0.1:0"]).spawn().unwrap();
    let line = first_line(&mut child).await;
    let addr = line.trim_end().strip_prefix("rides-server listening on http://").expect(&line);
    let mut http = Http::h1(addr.parse().unwrap()).await;
    assert_eq!(http.get("/readyz").await.status, StatusCode::OK);
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_in_good_order_when_told() {
    for signal in ["INT", "TERM"] {
        let mut child = program(&["--listen=127.0.0.1:0"]).spawn().unwrap();
        first_line(&mut child).await;
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap().success());
        let status = timeout(SOON, child.wait()).await.expect("it does not end").unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    for (flag, says) in [("--page=/nonexistent", "/nonexistent"), (listen.as_str(), "cannot listen on")] {
        let output = timeout(SOON, program(&[flag]).output()).await.unwrap().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("rides-server: ") && stderr.contains(says), "{stderr}");
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
