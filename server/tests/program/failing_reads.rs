//! Reads of the journal that the system refuses with EIO, in the program itself: BAD-8. SQLite reports some of
//! them as a corrupt file.

use std::{fs, path::Path};

use rides_proto::v1;
use tempfile::TempDir;
use tokio::process::Command;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::program;
use crate::harness::{
    process::{address, end, process},
    rider::{Rider, booking},
    soon,
    wire::{Wire, details},
};

/// A preloaded library that makes reads fail while a file exists. It is compiled from C; SQLite needs a C
/// compiler too.
struct FailingReads(TempDir);

impl FailingReads {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/failing_reads.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(dir.path().join("reads.so")).arg(source).arg("-ldl");
        assert!(soon("a library", compiler.status()).await.unwrap().success());
        Self(dir)
    }

    fn fail(&self) {
        fs::write(self.0.path().join("flag"), "").unwrap();
    }

    fn succeed(&self) {
        fs::remove_file(self.0.path().join("flag")).unwrap();
    }

    fn load_into(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", self.0.path().join("reads.so"));
        command.env("FAIL_READS_WHILE", self.0.path().join("flag"));
        command
    }
}

fn assert_unavailable(refused: &Status) {
    assert_eq!(details(refused), (Code::Unavailable, "JOURNAL_UNAVAILABLE".into(), String::new()));
    assert!(refused.get_details_retry_info().is_some(), "a retry delay");
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_is_unavailable_and_no_damage() {
    let (dir, reads) = (tempfile::tempdir().unwrap(), FailingReads::new().await);
    let data_dir = format!("--data-dir={}", dir.path().display());
    let serving = program(&["--listen=127.0.0.1:0", &data_dir]);
    let mut child = reads.load_into(serving).spawn().unwrap();
    let rider = Rider(Wire::Web(address(&mut child).await));
    let ride = rider.books("first").await.ride_id;
    // The ride has ended, so that only the journal has it.
    let cancelled = rider.cancel(&ride).await.unwrap();

    reads.fail();
    assert_unavailable(&rider.get(&ride).await.unwrap_err());
    assert_unavailable(&rider.list(v1::ListRequest::default()).await.unwrap_err());
    assert_unavailable(&rider.book(booking("first")).await.unwrap_err());
    assert_unavailable(&rider.book(booking("second")).await.unwrap_err());
    reads.succeed();
    assert_eq!(rider.get(&ride).await.unwrap(), cancelled);
    rider.books("second").await;
    assert_eq!(end(&mut child, "TERM").await.code(), Some(0));
}

#[tokio::test]
async fn tools_and_a_start_say_that_the_journal_cannot_be_read() {
    let (dir, reads) = (tempfile::tempdir().unwrap(), FailingReads::new().await);
    let data_dir = format!("--data-dir={}", dir.path().display());
    let serve = ["--cars=0", "--listen=127.0.0.1:0", &data_dir];
    let mut child = process(&serve).spawn().unwrap();
    Rider(Wire::Web(address(&mut child).await)).books("key").await;
    child.kill().await.unwrap();
    reads.fail();
    for args in [&serve[..], &["journal", "check", &data_dir], &["journal", "export", &data_dir]] {
        let output = soon("the exit of the program", reads.load_into(process(args)).output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        // The message is that of the system or that of SQLite.
        let says_why = stderr.contains("Input/output error") || stderr.contains("disk I/O error");
        assert!(says_why && !stderr.contains("damaged"), "{args:?}: {stderr}");
    }
}
