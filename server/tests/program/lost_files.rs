//! The data directory, or a file in it, is deleted or replaced while the server runs: BAD-6.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use futures_util::future::join_all;
use rides_proto::v1;
use tokio::process::Child;

use super::program;
use crate::harness::{
    process::{Log, address},
    rider::{Rider, booking},
    soon,
    wire::Wire,
};

/// A way in which files get lost.
struct Loss {
    /// Applies the loss to the data directory.
    lose: fn(&Path),
    /// The path in the error, relative to the directory.
    named: &'static str,
    /// `true` if the next server still has the acknowledged rides.
    is_kept: bool,
}

impl Loss {
    const fn of_a_file(lose: fn(&Path), named: &'static str) -> Self {
        Self { lose, named, is_kept: true }
    }
}

fn delete(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).unwrap();
}

/// Moves the directory, and returns its new path.
fn moved(dir: &Path) -> PathBuf {
    let elsewhere = dir.with_extension("elsewhere");
    fs::rename(dir, &elsewhere).unwrap();
    elsewhere
}

/// Replaces the directory by a copy, as restoring a backup does.
fn replace_with_copy(dir: &Path) {
    let elsewhere = moved(dir);
    fs::create_dir(dir).unwrap();
    for entry in fs::read_dir(elsewhere).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
}

const LOSSES: [Loss; 9] = [
    Loss { lose: |dir| fs::remove_dir_all(dir).unwrap(), named: "", is_kept: false },
    Loss { lose: |dir| drop(moved(dir)), named: "", is_kept: false },
    Loss { lose: replace_with_copy, named: "", is_kept: true },
    Loss { lose: |dir| delete(dir, "rides.db"), named: "rides.db", is_kept: false },
    Loss::of_a_file(|dir| delete(dir, "rides.db-wal"), "rides.db-wal"),
    Loss::of_a_file(|dir| delete(dir, "rides.db-shm"), "rides.db-shm"),
    Loss::of_a_file(|dir| delete(dir, "rides.lock"), "rides.lock"),
    Loss::of_a_file(|dir| delete(dir, "revoked.db"), "revoked.db"),
    Loss::of_a_file(|dir| delete(dir, "tokens.pem"), "tokens.pem"),
];

async fn serving(dir: &Path) -> (Child, SocketAddr) {
    let data_dir = format!("--data-dir={}", dir.display());
    let mut child = program(&["--listen=127.0.0.1:0", &data_dir]).spawn().unwrap();
    let addr = address(&mut child).await;
    (child, addr)
}

/// Waits for the exit with code 1, after which a supervisor starts the server again. The error names `path`.
async fn ends_because_of(child: &mut Child, path: &Path) {
    let mut log = Log::of(child);
    let why =
        format!("rides-server: {} was deleted or replaced while the server was using it", path.display());
    soon(&why, log.says(&why)).await;
    assert_eq!(soon("the exit of the program", child.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_server_whose_files_are_deleted_or_replaced_ends_and_the_next_has_what_is_left() {
    let losses = LOSSES.map(async |Loss { lose, named, is_kept }| {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let (mut child, addr) = serving(&dir).await;
        let ride = Rider(Wire::Web(addr)).books("key").await;
        lose(&dir);
        let lost = if named.is_empty() { dir.clone() } else { dir.join(named) };
        ends_because_of(&mut child, &lost).await;

        let (_next, addr) = serving(&dir).await;
        let rider = Rider(Wire::Web(addr));
        let listed = rider.list(v1::ListRequest::default()).await.unwrap().rides;
        let ids: Vec<_> = listed.iter().map(|ride| ride.ride_id.as_str()).collect();
        let expected = if is_kept { vec![ride.ride_id.as_str()] } else { vec![] };
        assert_eq!(ids, expected, "{}", lost.display());
        rider.books("another").await;
    });
    join_all(losses).await;
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_was_deleted() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let (mut child, addr) = serving(&dir).await;
    let rider = Rider(Wire::Web(addr));
    rider.books("before").await;
    fs::remove_dir_all(&dir).unwrap();
    let refused = soon("a refusal", rider.book(booking("after"))).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    assert_eq!(soon("the exit of the program", child.wait()).await.unwrap().code(), Some(1));
}
