//! A journal whose write-ahead log cannot be copied into its file.

use rusqlite::Connection;

use super::program;
use crate::harness::{
    http::Http,
    process::{Log, address},
    rider::Rider,
    soon,
    wire::Wire,
};

/// L22: a reader holds a transaction open, which blocks the checkpoint.
#[tokio::test]
async fn who_reads_the_file_without_end_is_complained_of() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", dir.path().display());
    let mut child = program(&["--listen=127.0.0.1:0", &data_dir]).spawn().unwrap();
    let addr = address(&mut child).await;
    let reader = Connection::open(dir.path().join("rides.db")).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    snapshot.query_row("SELECT count(*) FROM events", [], |_| Ok(())).unwrap();

    let mut log = Log::of(&mut child);
    let rider = Rider(Wire::Web(addr));
    let bookings = async {
        for n in 0.. {
            rider.books(&n.to_string()).await;
        }
    };
    let either = async {
        tokio::select! {
            () = log.says("the journal's write-ahead log has grown") => {}
            () = bookings => {}
        }
    };
    soon("the warning", either).await;
    let pages = Http::h1(addr).await.get("/metrics").await.metric("rides_journal_log_pages");
    assert!(pages > 4_000.0, "more pages than a log with checkpoints: {pages}");
}
