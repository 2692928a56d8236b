//! A low limit on open files.

use std::future::pending;
#[cfg(target_os = "linux")]
use std::{fs, time::Duration};

use http::StatusCode;
use tokio::{net::TcpStream, task::JoinSet};

use crate::harness::{
    http::Http,
    process::{Log, address, first_line, with_files},
    rider::Rider,
    soon,
    wire::Wire,
};

/// The processor time that a process has used. The kernel counts it in hundredths of a second.
#[cfg(target_os = "linux")]
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may contain anything. Fields 11 and 12 after it are user and system time.
    let after_name = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = after_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Asserts that the process does not retry in a busy loop.
#[cfg(target_os = "linux")]
async fn assert_rests(pid: u32) {
    const WHILE: Duration = Duration::from_millis(1_500);
    let before = processor_time(pid);
    tokio::time::sleep(WHILE).await;
    let busy = processor_time(pid) - before;
    assert!(busy < WHILE / 5, "busy for {busy:?} of {WHILE:?}");
}

#[tokio::test]
async fn too_few_files_to_serve_are_said_in_one_line() {
    for few in [16, 63] {
        let output = soon("a refusal", with_files(few, &["--cars=0", "--listen=127.0.0.1:0"]).output()).await;
        let output = output.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with(&format!("rides-server: the limit on open files is {few} (`ulimit -n`)")),
            "{stderr}"
        );
        assert!(stderr.contains("needs at least 64"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

/// The lowest limit is enough for everything that a server has without clients: a journal, a page and simulated
/// cars.
#[tokio::test]
async fn as_few_files_as_are_asked_for_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let mut child = with_files(64, &["--cars=120", "--listen=localhost:0", &data_dir]).spawn().unwrap();
    let line = first_line(&mut child).await;
    let port = line.trim_end().rsplit_once(':').unwrap().1.parse().unwrap();
    let addr = (std::net::Ipv4Addr::LOCALHOST, port).into();
    for n in 0..5 {
        Rider(Wire::Web(addr)).books(&n.to_string()).await;
    }
    assert_eq!(Http::h1(addr).await.get("/readyz").await.status, StatusCode::OK);
}

/// R8: a server without free file descriptors keeps serving the connections that it has.
#[tokio::test]
async fn who_runs_out_of_files_serves_on() {
    let mut child = with_files(128, &["--cars=0", "--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut child).await;
    let mut early = Http::h1(addr).await;
    assert_eq!(early.get("/healthz").await.status, StatusCode::OK);

    // 1,000 connections at once. Those that the server cannot accept wait in the backlog of the kernel or in
    // the client.
    let mut crowd = JoinSet::new();
    for _ in 0..1_000 {
        crowd.spawn(async move {
            let _held = TcpStream::connect(addr).await;
            pending::<()>().await;
        });
    }
    let mut log = Log::of(&mut child);
    soon("the limit", log.says("failed to accept connections")).await;
    #[cfg(target_os = "linux")]
    assert_rests(child.id().unwrap()).await;
    for _ in 0..10 {
        assert_eq!(soon("a response in the crowd", early.get("/healthz")).await.status, StatusCode::OK);
    }
    crowd.shutdown().await;
    let mut late = Http::h1(addr).await;
    assert_eq!(soon("a response after the crowd", late.get("/healthz")).await.status, StatusCode::OK);
}
