//! A program that may open few files.

use std::future::pending;
#[cfg(target_os = "linux")]
use std::{fs, time::Duration};

use http::StatusCode;
use tokio::{net::TcpStream, task::JoinSet};

use crate::harness::{
    http::Http,
    process::{Log, address, with_files},
    soon,
};

/// What a process has had of a processor since it began. The kernel counts it in hundredths of a second.
#[cfg(target_os = "linux")]
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may be anything; of what follows these are user and system time.
    let after_name = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = after_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// That it does not try again and again what cannot be.
#[cfg(target_os = "linux")]
async fn assert_rests(pid: u32) {
    const WHILE: Duration = Duration::from_millis(1_500);
    let before = processor_time(pid);
    tokio::time::sleep(WHILE).await;
    let busy = processor_time(pid) - before;
    assert!(busy < WHILE / 5, "busy for {busy:?} of {WHILE:?}");
}

/// R8
#[tokio::test]
async fn who_runs_out_of_files_serves_on() {
    let mut child = with_files(128, &["--cars=0", "--listen=127.0.0.1:0"]).spawn().unwrap();
    let addr = address(&mut child).await;
    let mut early = Http::h1(addr).await;
    assert_eq!(early.get("/healthz").await.status, StatusCode::OK);

    // A thousand at once: what the server cannot take waits in the kernel, or is yet to get there.
    let mut crowd = JoinSet::new();
    for _ in 0..1_000 {
        crowd.spawn(async move {
            let _held = TcpStream::connect(addr).await;
            pending::<()>().await;
        });
    }
    let mut log = Log::of(&mut child);
    soon("the limit", log.says("cannot accept connections")).await;
    #[cfg(target_os = "linux")]
    assert_rests(child.id().unwrap()).await;
    for _ in 0..10 {
        assert_eq!(soon("an answer in the crowd", early.get("/healthz")).await.status, StatusCode::OK);
    }
    crowd.shutdown().await;
    let mut late = Http::h1(addr).await;
    assert_eq!(soon("an answer after it", late.get("/healthz")).await.status, StatusCode::OK);
}
