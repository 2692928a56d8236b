//! Failures of the disk as callers see them: case L21.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
};

use faulty_disk::{Disk, Operation};
use rides_proto::v1::{self, RideState};
use rides_server::rides::journal::JournalError;
use rusqlite::Connection;
use tempfile::tempdir;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::harness::{
    car::car,
    places::place,
    rider::{Rider, booking},
    server,
    wire::{Wire, details},
};

/// Fills the disk, and books until a booking fails. Returns the error.
async fn fills(disk: &Disk, rider: &Rider) -> Status {
    disk.limit_size(Some(disk.used()));
    loop {
        if let Err(full) = rider.book(booking(&format!("at {}", disk.count(Operation::Sync)))).await {
            return full;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_bookings_and_nothing_else() {
    let (dir, disk) = (tempdir().unwrap(), Disk::new(1));
    let server = server().keeping_in(dir.path()).on_disk(&disk).run().await;
    for (n, rider) in server.wires().await.map(Rider).iter().enumerate() {
        let ride = rider.books(&format!("{n} first")).await;
        let mut followed = rider.watches(&ride.ride_id).await;
        assert_eq!(followed.event().await.unwrap().version, 1);

        let refused = fills(&disk, rider).await;
        assert_eq!(details(&refused), (Code::Unavailable, "DISK_FULL".into(), String::new()));
        assert!(refused.get_details_retry_info().is_some(), "a retry delay");
        let cancel = rider.cancel(&ride.ride_id).await.unwrap_err();
        assert_eq!(details(&cancel).1, "DISK_FULL");
        assert_eq!(rider.get(&ride.ride_id).await.unwrap(), ride);
        assert_eq!(rider.books(&format!("{n} first")).await, ride, "the ride that was booked before");
        rider.list(v1::ListRequest::default()).await.unwrap();

        disk.limit_size(None);
        rider.books(&format!("{n} again")).await;
        rider.cancel(&ride.ride_id).await.unwrap();
        assert_eq!(followed.versions().await, [2], "no event between");
    }
}

#[tokio::test]
async fn a_driver_whose_word_cannot_be_kept_says_it_again() {
    let (dir, disk) = (tempdir().unwrap(), Disk::new(1));
    let server = server().keeping_in(dir.path()).on_disk(&disk).run().await;
    let rider = Rider(Wire::Web(server.addr));
    let mut driver = car(1).at(place(3)).signs_on(&server).await;
    let ride = rider.books("key").await.ride_id;
    driver.takes(&ride).await;
    driver.arrives(&ride).await;
    driver.picks_up(&ride).await;

    fills(&disk, &rider).await;
    driver.says_drop_off(&ride).await;
    let put_off = driver.ends().await.unwrap_err();
    assert_eq!(details(&put_off), (Code::Unavailable, "DISK_FULL".into(), String::new()));
    assert!(put_off.get_details_retry_info().is_some(), "a retry delay");
    let mut driver = car(1).at(place(3)).signs_on(&server).await;
    assert_eq!(driver.is_assigned(&ride).await.state(), RideState::OnTrip, "the trip is kept");
    disk.limit_size(None);
    driver.drops_off(&ride).await;
}

/// BAD-8: the call succeeds when the caller tries again.
#[tokio::test]
async fn a_read_that_fails_is_unavailable_and_passes_when_it_is_tried_again() {
    let (dir, disk) = (tempdir().unwrap(), Disk::new(1));
    let server = server().keeping_in(dir.path()).on_disk(&disk).run().await;
    for (n, rider) in server.wires().await.map(Rider).iter().enumerate() {
        let [first, another] = ["first", "another"].map(|key| format!("{n} {key}"));
        let ride = rider.books(&first).await.ride_id;
        // The ride has ended, so that only the journal has it.
        let cancelled = rider.cancel(&ride).await.unwrap();
        for attempt in 0..5 {
            // After a commit the connections discard their page caches, so that the next read is from the disk.
            rider.books(&format!("{another} {attempt}")).await;
            disk.fail(Operation::Read, 1);
            let struck = disk.injected_faults();
            let refused = match attempt {
                0 => rider.get(&ride).await.unwrap_err(),
                1 => rider.book(booking(&first)).await.unwrap_err(),
                2 => rider.cancel(&ride).await.unwrap_err(),
                3 => rider.list(v1::ListRequest::default()).await.unwrap_err(),
                _ => rider.resumes(&ride, "", 0).await.err().unwrap(),
            };
            assert_eq!(disk.injected_faults(), struck + 1, "{attempt}");
            let expected = (Code::Unavailable, "JOURNAL_UNAVAILABLE".into(), String::new());
            assert_eq!(details(&refused), expected, "{attempt}");
            assert!(refused.get_details_retry_info().is_some(), "a retry delay");
        }
        assert_eq!(rider.get(&ride).await.unwrap(), cancelled);
        assert_eq!(rider.books(&first).await, cancelled);
    }
}

/// BAD-8: an event that cannot be parsed, and a page of the file with garbage.
#[tokio::test]
async fn a_damaged_ride_is_data_loss_and_keeps_no_other_from_being_served() {
    let sing =
        |db: &Connection| db.execute_batch("UPDATE events SET event = '\"sang\"' WHERE seq = 1").unwrap();
    for damages_page in [false, true] {
        let dir = tempdir().unwrap();
        let first = server().keeping_in(dir.path()).run().await;
        let rider = Rider(first.wires().await[0].clone());
        let ride = rider.books("first").await.ride_id;
        rider.cancel(&ride).await.unwrap();
        first.stop();
        first.stopped().await;
        let path = dir.path().join("rides.db");
        let db = Connection::open(&path).unwrap();
        match damages_page {
            false => sing(&db),
            true => {
                let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'events'";
                let page: u32 = db.query_row(root, [], |row| row.get(0)).unwrap();
                let size: u32 = db.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
                let mut file = File::options().write(true).open(&path).unwrap();
                file.seek(SeekFrom::Start(u64::from((page - 1) * size))).unwrap();
                file.write_all(&[0xff; 100]).unwrap();
            }
        }
        drop(db);

        let next = server().keeping_in(dir.path()).run().await;
        for rider in next.wires().await.map(Rider) {
            let expected = (Code::DataLoss, "BROKEN_RIDE".to_owned(), String::new());
            for refused in [
                rider.get(&ride).await.unwrap_err(),
                rider.cancel(&ride).await.unwrap_err(),
                rider.resumes(&ride, "", 0).await.err().unwrap(),
            ] {
                assert_eq!(details(&refused), expected);
                assert!(refused.get_details_retry_info().is_none(), "no retry delay");
            }
            if !damages_page {
                let another = rider.books("another").await;
                let listed = rider.list(v1::ListRequest::default()).await.unwrap().rides;
                assert_eq!(listed.iter().map(|ride| &ride.ride_id).collect::<Vec<_>>(), [&another.ride_id]);
            }
        }
    }
}

#[tokio::test]
async fn a_failed_sync_ends_the_server_and_the_next_one_has_all_that_was_acknowledged() {
    let (dir, disk) = (tempdir().unwrap(), Disk::new(1));
    let failing = server().keeping_in(dir.path()).on_disk(&disk).run().await;
    let rider = Rider(failing.wires().await[1].clone());
    let ride = rider.books("first").await;
    let followed = rider.watches(&ride.ride_id).await;
    let mut health = HealthClient::new(failing.channel().await);
    let mut health = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    disk.fail(Operation::Sync, 1);
    let refused = rider.book(booking("second")).await.unwrap_err();
    assert_eq!(details(&refused), (Code::Unavailable, "JOURNAL_UNAVAILABLE".into(), String::new()));
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let end = followed.expect_error().await;
    assert_eq!(end.code(), Code::Unavailable);
    assert!(end.get_details_retry_info().is_some(), "a retry delay");
    let why = failing.failed().await;
    assert!(matches!(why.downcast_ref(), Some(JournalError::Failed(_))), "{why}");

    disk.cut_power();
    disk.restore_power();
    let next = server().keeping_in(dir.path()).on_disk(&disk).run().await;
    for rider in next.wires().await.map(Rider) {
        assert_eq!(rider.get(&ride.ride_id).await.unwrap(), ride);
        assert_eq!(rider.books("first").await, ride);
    }
}
