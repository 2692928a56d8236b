//! A log that cannot be written, or whose reader does not read: BAD-1.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, ErrorKind, PipeReader, PipeWriter, Write as _},
    net::SocketAddr,
    process::Stdio,
    thread,
};

use futures_util::future::join_all;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::{net::TcpStream, process::Command, sync::oneshot};
use tonic::Code;

use super::program;
use crate::harness::{
    http::Http,
    process::{PROGRAM, address, end, process, signal, unused_port, without_disk},
    rider::{Rider, booking},
    soon,
    wire::{Wire, details},
};

const DROPPED: &str = "rides_log_lines_dropped_total";

fn full_device() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose reader is closed.
fn without_reader() -> Stdio {
    let (_gone, writer) = io::pipe().unwrap();
    writer.into()
}

/// A full pipe whose reader has not read yet.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for chunk in [4_096, 1] {
        while writer.write(&vec![b'\n'; chunk]).is_ok() {}
    }
    assert_eq!(writer.write(b"\n").unwrap_err().kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Waits until a line contains `text`. The rest is read and discarded, until the writer closes the pipe.
async fn reads_until(reader: PipeReader, text: &'static str) {
    let (found, finding) = oneshot::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        if lines.any(|line| line.contains(text)) {
            found.send(()).ok();
        }
        lines.for_each(drop);
    });
    soon(text, finding).await.unwrap();
}

async fn dropped(addr: SocketAddr) -> f64 {
    Http::h1(addr).await.get("/metrics").await.metric(DROPPED)
}

#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_end_the_server() {
    for stderr in [full_device(), without_reader()] {
        let mut child = program(&["--listen=127.0.0.1:0", "--log=debug"]).stderr(stderr).spawn().unwrap();
        let addr = address(&mut child).await;
        Rider(Wire::Web(addr)).books("key").await;
        let counted = async { while dropped(addr).await < 1.0 {} };
        soon("a count of dropped lines", counted).await;
        assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
    }
}

/// The server prints its address on stdout. It serves also if that fails.
#[tokio::test]
async fn an_address_that_cannot_be_said_does_not_end_the_server() {
    let (_unread, stuck) = full_pipe();
    for stdout in [full_device(), without_reader(), stuck.into()] {
        let addr = SocketAddr::from(([127, 0, 0, 1], unused_port()));
        let mut child = program(&[&format!("--listen={addr}")]).stdout(stdout).spawn().unwrap();
        let up = async { while TcpStream::connect(addr).await.is_err() {} };
        soon("a server", up).await;
        Rider(Wire::Web(addr)).books("key").await;
        assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_reader_of_the_log_that_is_stuck_delays_neither_start_nor_calls_nor_shutdown() {
    let (_unread, stuck) = full_pipe();
    let mut program = program(&["--listen=127.0.0.1:0", "--log=trace"]);
    let mut child = program.stderr(stuck).spawn().unwrap();
    let addr = address(&mut child).await;
    let rider = Rider(Wire::Web(addr));
    let until_dropped = async {
        for n in 0.. {
            rider.books(&n.to_string()).await;
            if dropped(addr).await > 0.0 {
                break;
            }
        }
    };
    soon("the first dropped line", until_dropped).await;
    rider.books("one more").await;
    assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_again_says_how_many_lines_were_dropped() {
    let (reader, stuck) = full_pipe();
    let mut program = program(&["--listen=127.0.0.1:0", "--log=trace"]);
    let mut child = program.stderr(stuck).spawn().unwrap();
    // Closes the copy of the writing end in this process.
    drop(program);
    let addr = address(&mut child).await;
    let until_dropped = async { while dropped(addr).await == 0.0 {} };
    soon("the first dropped line", until_dropped).await;
    reads_until(reader, "log lines were dropped: stderr did not take them").await;
    assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
}

#[tokio::test]
async fn exit_codes_do_not_depend_on_stderr() {
    let nowhere = "--data-dir=/nonexistent/rides";
    for (args, code) in [
        (vec!["--cars=0", "--map=/nonexistent"], 1),
        (vec!["journal", "check", nowhere], 1),
        (vec!["token", "--role=rider", "--subject=ada", nowhere], 1),
        (vec!["token", "revoke", "--subject=ada", nowhere], 1),
        (vec!["sim", "--connect=http://127.0.0.1:1", "--map=/nonexistent"], 1),
        (vec!["client", "--connect=http://127.0.0.1:1", "--timeout=1", "list"], 78),
    ] {
        let (_unread, stuck) = full_pipe();
        let ends = [full_device(), without_reader(), stuck.into()].map(async |stderr| {
            let ended = soon("the exit", process(&args).stderr(stderr).status()).await.unwrap();
            assert_eq!(ended.code(), Some(code), "{args:?}");
        });
        join_all(ends).await;
    }
}

/// The limit applies to the log and to the journal, as a full disk does.
#[tokio::test]
async fn a_limit_on_the_size_of_files_refuses_bookings_and_does_not_end_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().join("data").display());
    let log = File::create(dir.path().join("log")).unwrap();
    let mut limited = Command::new("sh");
    // The limit is in blocks of 512 bytes.
    limited.arg("-c").arg("ulimit -f 2048 && exec \"$0\" \"$@\"").arg(PROGRAM);
    limited.args(["--cars=0", "--listen=127.0.0.1:0", "--log=trace", &data_dir]);
    let mut child = without_disk(limited).stderr(log).spawn().unwrap();
    let addr = address(&mut child).await;
    let rider = Rider(Wire::Web(addr));
    let first = rider.books("first").await;
    let until_refused = async {
        for n in 0.. {
            if let Err(refused) = rider.book(booking(&n.to_string())).await {
                return refused;
            }
        }
        unreachable!("the numbers are endless")
    };
    let refused = soon("a refusal", until_refused).await;
    assert_eq!(details(&refused), (Code::Unavailable, "JOURNAL_UNAVAILABLE".into(), String::new()));
    assert_eq!(rider.get(&first.ride_id).await.unwrap(), first);
    let counted = async { while dropped(addr).await < 1.0 {} };
    soon("a full log", counted).await;
    assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
}

#[tokio::test]
async fn a_hangup_drains_like_a_termination() {
    let mut heeding = Command::new("env");
    // SIGHUP may be ignored where this test runs, and the child would inherit that.
    heeding.args(["--default-signal=HUP", PROGRAM, "--cars=0", "--listen=127.0.0.1:0"]);
    let mut child = without_disk(heeding).spawn().unwrap();
    let rider = Rider(Wire::Web(address(&mut child).await));
    let followed = rider.watches(&rider.books("key").await.ride_id).await;
    signal(&child, "HUP").await;
    assert_eq!(details(&followed.expect_error().await).1, "GOING_DOWN");
    assert_eq!(soon("the exit of the program", child.wait()).await.unwrap().code(), Some(0));
}

/// BAD-1: `nohup` starts a program in this way.
#[tokio::test]
async fn a_hangup_that_is_ignored_from_the_start_stays_ignored() {
    let mut ignoring = Command::new("sh");
    ignoring.arg("-c").arg("trap '' HUP && exec \"$0\" \"$@\"").arg(PROGRAM);
    ignoring.args(["--cars=0", "--listen=127.0.0.1:0"]);
    let mut child = without_disk(ignoring).spawn().unwrap();
    let addr = address(&mut child).await;
    signal(&child, "HUP").await;
    Rider(Wire::Web(addr)).books("key").await;
    assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
}
