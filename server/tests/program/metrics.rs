//! The metrics at `/metrics`. The server is a separate process, because metrics are those of the whole process.

use std::{collections::BTreeSet, net::SocketAddr, process::Stdio};

use tempfile::TempDir;
use tokio::process::Child;

use super::program;
use crate::harness::{
    http::{FullResponse, Http},
    process::address,
    rider::Rider,
    web,
    wire::Wire,
};

/// Starts a server with a journal on disk.
async fn serving(data: &TempDir) -> (SocketAddr, Child) {
    let data_dir = format!("--data-dir={}", data.path().display());
    let mut child = program(&["--listen=127.0.0.1:0", &data_dir]).stderr(Stdio::null()).spawn().unwrap();
    (address(&mut child).await, child)
}

async fn metrics(addr: SocketAddr) -> FullResponse {
    Http::h1(addr).await.get("/metrics").await
}

/// The series in a response: names with their labels.
fn series(answer: &FullResponse) -> BTreeSet<String> {
    let samples = answer.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// Makes one call that succeeds and one that is refused.
async fn use_it(addr: SocketAddr) {
    Rider(Wire::Web(addr)).books("key").await;
    web::ask(&mut Http::h1(addr).await, web::call("/no.Such/Method", &())).await;
}

fn all_have_a_help_text_and_a_type(answer: &FullResponse) {
    let text = answer.text();
    let told = |about: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(about));
        lines.map(|line| line.split_once(' ').expect(line).0).collect()
    };
    let (helped, typed) = (told("# HELP "), told("# TYPE "));
    assert_eq!(helped, typed);
    assert!(!text.contains(" summary\n"), "{text}");
    for series in series(answer) {
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        assert!(typed.contains(name) || family.is_some_and(|family| typed.contains(family)), "{series}");
    }
}

/// CLIENT-13: this holds before and after the first calls.
#[tokio::test]
async fn every_metric_has_a_help_text_and_a_type_and_none_is_a_summary() {
    let data = tempfile::tempdir().unwrap();
    let (addr, _child) = serving(&data).await;
    all_have_a_help_text_and_a_type(&metrics(addr).await);
    use_it(addr).await;
    all_have_a_help_text_and_a_type(&metrics(addr).await);
}

/// CLIENT-13: a series with the value 0 is there before its first event, and events add no series.
#[tokio::test]
async fn every_series_is_there_before_its_first_event() {
    let data = tempfile::tempdir().unwrap();
    let (addr, _child) = serving(&data).await;
    let fresh = metrics(addr).await;
    for name in [
        "rides_refused_connections_total",
        "rides_viewers_let_go_total",
        "rides_journal_commit_seconds_count",
        "rides_journal_commit_events_bucket{le=\"1\"}",
        "rides_journal_log_pages",
        "rides_log_lines_dropped_total",
        "rides_rpcs_started_total{method=\"rides.v1.Rides/Book\"}",
        "rides_rpc_duration_seconds_count{method=\"rides.v1.Rides/Book\"}",
        "rides_rpcs_total{method=\"rides.v1.Rides/Book\",code=\"Ok\"}",
        "rides_rpcs_total{method=\"rides.v1.Fleet/Watch\",code=\"ResourceExhausted\"}",
        "rides_rpcs_total{method=\"unknown\",code=\"Unimplemented\"}",
    ] {
        assert!(fresh.text().contains(&format!("\n{name} 0\n")), "{name} in {}", fresh.text());
    }

    use_it(addr).await;
    let busy = metrics(addr).await;
    assert_eq!(busy.metric("rides_rpcs_total{method=\"rides.v1.Rides/Book\",code=\"Ok\"}"), 1.0);
    assert!(busy.metric("rides_journal_commit_events_bucket{le=\"1\"}") >= 1.0, "{}", busy.text());
    assert_eq!(series(&fresh), series(&busy));
}

/// CLIENT-13: the version, and on Linux the usage of the process.
#[tokio::test]
async fn the_process_and_its_build_are_among_the_metrics() {
    let data = tempfile::tempdir().unwrap();
    let (addr, _child) = serving(&data).await;
    let answer = metrics(addr).await;
    let build = series(&answer).into_iter().find(|series| series.starts_with("rides_build_info{"));
    let build = build.expect("a build");
    assert!(build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{build}");
    assert_eq!(answer.metric(&build), 1.0);
    if !cfg!(target_os = "linux") {
        return;
    }
    for (name, least) in [
        ("process_cpu_seconds_total", 0.0),
        ("process_open_fds", 3.0),
        ("process_max_fds", 256.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_virtual_memory_bytes", 1e6),
        ("process_start_time_seconds", 1.7e9),
    ] {
        assert!(answer.text().contains(&format!("\n{name} ")), "{name} in {}", answer.text());
        assert!(answer.metric(name) >= least, "{name} in {}", answer.text());
    }
}
