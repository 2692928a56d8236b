//! One test for each kind of fault of a disk.

use faulty_disk::Operation;
use futures_util::future::join_all;

use super::{Server, TestDisk};
use crate::rides::{
    RideError, Rides,
    journal::{Filter, Journal as _, JournalError, sqlite::OpenError},
    model::Ride,
    testing::{self, booking},
};

async fn book(rides: &Rides, request: &str) -> Result<Ride, RideError> {
    let key = testing::request(request, &[7]);
    rides.book(key, booking("ada")).await
}

/// Starts a server on a disk without faults so far.
async fn server(place: &TestDisk) -> Server {
    let journal = place.open().expect("the disk has no fault");
    Server::start(journal).await.expect("the disk has no fault")
}

/// L23 in docs/failures.md.
#[tokio::test]
async fn a_sync_comes_before_every_answer() {
    let place = TestDisk::new(1);
    let server = server(&place).await;
    let syncs = || place.disk.count(Operation::Sync);
    let booked = async |n: usize| {
        let before = syncs();
        book(&server.rides, &n.to_string()).await.expect("the disk has no fault");
        assert!(syncs() > before, "{n} was acknowledged before the sync");
    };
    for n in 0..20 {
        booked(n).await;
    }
    let before = syncs();
    join_all((20..120).map(booked)).await;
    assert!(syncs() - before < 100, "many bookings share a sync");
    server.end().await;
}

/// L21 in docs/failures.md.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_or_even_tried_until_a_restart() {
    for seed in 0..20 {
        let place = TestDisk::new(seed);
        let failing = server(&place).await;
        let first = book(&failing.rides, "first").await.expect("the disk has no fault");
        place.disk.fail(Operation::Sync, 1);
        let failed = |outcome| matches!(outcome, Err(RideError::Journal(JournalError::Failed(_))));
        assert!(failed(book(&failing.rides, "second").await));
        assert!(matches!(failing.journal.failed().await, JournalError::Failed(_)));
        let writes = place.disk.count(Operation::Write);
        assert!(failed(book(&failing.rides, "third").await));
        assert!(failed(book(&failing.rides, "second").await));
        assert_eq!(failing.rides.get(&first.id).await, Ok(first.clone()), "reads still work");
        if seed % 2 == 0 {
            place.disk.cut_power();
        }
        failing.end().await;
        assert_eq!(place.disk.count(Operation::Write), writes);

        place.disk.restore_power();
        let again = server(&place).await;
        assert_eq!(book(&again.rides, "first").await, Ok(first));
        let second = book(&again.rides, "second").await.expect("the disk has no fault");
        assert_eq!(book(&again.rides, "second").await, Ok(second));
        again.end().await;
        place.assert_sound();
    }
}

/// L21 in docs/failures.md: any sync fails, of those that create a journal and the first that use it.
#[tokio::test]
async fn no_failed_sync_goes_unnoticed() {
    for nth in 1..=40 {
        let place = TestDisk::new(nth);
        place.disk.fail(Operation::Sync, nth);
        let opened = place.open();
        assert_eq!(opened.is_err(), place.disk.injected_faults() > 0, "sync {nth}");
        let Ok(journal) = opened else { continue };
        let failing = Server::start(journal).await.expect("only a sync fails");
        let mut booked = Vec::new();
        while place.disk.injected_faults() == 0 {
            booked.extend(book(&failing.rides, &booked.len().to_string()).await.ok());
        }
        book(&failing.rides, "after it").await.expect_err("the journal has failed");
        place.disk.cut_power();
        failing.end().await;
        place.disk.restore_power();

        let again = server(&place).await;
        for ride in booked {
            assert_eq!(again.rides.get(&ride.id).await, Ok(ride), "sync {nth}");
        }
        again.end().await;
        place.assert_sound();
    }
}

/// BAD-8 in docs/failures.md: any read fails. A ride that cannot be read is neither damaged nor left out.
#[tokio::test]
async fn no_failed_read_leaves_a_ride_out() {
    let unavailable = |error: &JournalError| matches!(error, JournalError::Unavailable(_));
    let mut failed = 0;
    for nth in 1..=60 {
        let place = TestDisk::new(nth);
        let server = server(&place).await;
        for n in 0..40 {
            book(&server.rides, &n.to_string()).await.expect("the disk has no fault");
        }
        server.end().await;

        place.disk.fail(Operation::Read, nth);
        match place.open() {
            Err(OpenError::Journal(error)) => assert!(unavailable(&error), "read {nth}: {error}"),
            Err(error) => panic!("read {nth}: {error}"),
            Ok(journal) => {
                let listed = journal.page(&Filter::default(), None, 100).await.map(|rides| rides.len());
                let taken_up = journal.unfinished().await.map(|rides| rides.len());
                for found in [listed, taken_up] {
                    assert!(found == Ok(40) || found.as_ref().is_err_and(unavailable), "{nth}: {found:?}");
                    failed += u32::from(found.is_err());
                }
                journal.close().await;
            }
        }
    }
    assert!(failed > 0, "no read of a ride failed");
}

/// L21 in docs/failures.md: after the failed sync the cache still has the data, and a power cut removes it later.
#[tokio::test]
async fn what_is_acknowledged_after_a_failed_sync_and_a_restart_is_kept() {
    for seed in 0..50 {
        let place = TestDisk::new(seed);
        let failing = server(&place).await;
        place.disk.fail(Operation::Sync, 1);
        book(&failing.rides, "first").await.expect_err("the sync fails");
        place.disk.kill();
        failing.end().await;

        let next = server(&place).await;
        let second = book(&next.rides, "second").await.expect("the disk has no fault");
        place.disk.cut_power();
        next.end().await;
        place.disk.restore_power();

        let last = server(&place).await;
        assert_eq!(last.rides.get(&second.id).await, Ok(second), "seed {seed}");
        last.end().await;
        place.assert_sound();
    }
}

/// L21 in docs/failures.md.
#[tokio::test]
async fn a_full_disk_takes_nothing_loses_nothing_and_takes_more_once_there_is_room() {
    let place = TestDisk::new(1);
    let server = server(&place).await;
    let first = book(&server.rides, "first").await.expect("the disk has room");
    place.disk.limit_size(Some(place.disk.used() + 20_000));
    let mut booked = Vec::new();
    let refused = loop {
        match book(&server.rides, &format!("another {}", booked.len())).await {
            Ok(ride) => booked.push(ride),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, RideError::Journal(JournalError::Full));
    assert_eq!(server.rides.get(&first.id).await, Ok(first.clone()), "reads still work");
    assert_eq!(book(&server.rides, "first").await, Ok(first), "a repeat stores nothing");

    place.disk.limit_size(None);
    booked.push(book(&server.rides, &format!("another {}", booked.len())).await.expect("the disk has room"));
    place.disk.cut_power();
    server.end().await;
    place.disk.restore_power();
    let again = self::server(&place).await;
    for ride in booked {
        assert_eq!(again.rides.get(&ride.id).await, Ok(ride.clone()));
    }
    again.end().await;
    place.assert_sound();
}

/// L22 in docs/failures.md.
#[tokio::test]
async fn the_log_grows_while_someone_reads_and_no_longer() {
    let place = TestDisk::new(1);
    let server = server(&place).await;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = place.dir.path().join("rides.db");
    let reader = rusqlite::Connection::open_with_flags_and_vfs(file, flags, place.disk.vfs())
        .expect("the journal opens");
    let snapshot = reader.unchecked_transaction().expect("a transaction begins");
    let events = "SELECT count(*) FROM events";
    assert_eq!(snapshot.query_row(events, [], |row| row.get(0)), Ok(0));

    let log = || place.disk.size("-wal");
    let mut n = 0;
    while log() < 1_000_000 {
        n += 1;
        book(&server.rides, &n.to_string()).await.expect("the disk has no fault");
    }
    assert_eq!(snapshot.query_row(events, [], |row| row.get(0)), Ok(0), "a snapshot does not change");
    drop(snapshot);
    let mut sizes = Vec::new();
    for _ in 0..2 {
        for _ in 0..40 {
            n += 1;
            book(&server.rides, &n.to_string()).await.expect("the disk has no fault");
        }
        sizes.push(log());
    }
    assert_eq!(sizes[0], sizes[1], "the log is overwritten from its beginning");
    server.end().await;
}
