//! Tests that SQLite works on the disk, and that the disk fails as it says.

use faulty_disk::{Disk, Operation};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use rusqlite::{Connection, ErrorCode, OpenFlags, Result};

fn open(disk: &Disk, synchronous: &str) -> Result<Connection> {
    let db = Connection::open_with_flags_and_vfs("test.db", OpenFlags::default(), disk.vfs())?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.execute_batch("CREATE TABLE IF NOT EXISTS notes (n INTEGER PRIMARY KEY, of INTEGER, text TEXT)")?;
    Ok(db)
}

/// Writes the transaction `n` with `size` rows.
fn write(db: &mut Connection, n: i64, size: i64) -> Result<()> {
    let transaction = db.transaction()?;
    for i in 0..size {
        let text = "x".repeat(300);
        transaction.execute("INSERT INTO notes VALUES (?1, ?2, ?3)", (n * 100 + i, n, text))?;
    }
    transaction.commit()
}

/// Returns the number of rows of the transaction `n`.
fn rows(db: &Connection, n: i64) -> Result<i64> {
    db.query_row("SELECT count(*) FROM notes WHERE of = ?1", [n], |row| row.get(0))
}

fn is_whole(db: &Connection) -> Result<bool> {
    let said: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    Ok(said == "ok")
}

/// The result of repeated power cuts of a database.
#[derive(Default, PartialEq, Debug)]
struct Fate {
    cuts: u64,
    lost: u64,
    torn: u64,
    broken: u64,
}

/// Runs ten processes on one disk, each of which a power cut ends.
fn live(seed: u64, synchronous: &str) -> Fate {
    let mut rng = SmallRng::seed_from_u64(seed);
    let disk = Disk::new(seed);
    let mut fate = Fate::default();
    // Each transaction that began: its size, and whether it was committed.
    let mut written: Vec<(i64, bool)> = Vec::new();
    for _life in 0..10 {
        disk.cut_power_at(rng.random_range(1..60));
        let _power_cut: Result<()> = (|| {
            let mut db = open(&disk, synchronous)?;
            loop {
                let (n, size) = (written.len() as i64, rng.random_range(1..20));
                written.push((size, false));
                write(&mut db, n, size)?;
                written[n as usize].1 = true;
                if rng.random_bool(0.2) {
                    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
                }
            }
        })();
        assert!(!disk.has_power());
        fate.cuts += 1;
        disk.restore_power();

        let checked: Result<()> = (|| {
            let db = open(&disk, synchronous)?;
            for (n, (size, committed)) in written.iter_mut().enumerate() {
                let found = rows(&db, n as i64)?;
                fate.torn += u64::from(found != 0 && found != *size);
                fate.lost += u64::from(found == 0 && *committed);
                // A transaction that was not reported as committed may be there. Then it must stay.
                *committed = found == *size;
            }
            fate.broken += u64::from(!is_whole(&db)?);
            Ok(())
        })();
        if checked.is_err() {
            fate.broken += 1;
            break;
        }
    }
    fate
}

fn fates(seeds: u64, synchronous: &str) -> Fate {
    (0..seeds).map(|seed| live(seed, synchronous)).fold(Fate::default(), |sum, fate| Fate {
        cuts: sum.cuts + fate.cuts,
        lost: sum.lost + fate.lost,
        torn: sum.torn + fate.torn,
        broken: sum.broken + fate.broken,
    })
}

#[test]
fn what_is_committed_with_a_sync_survives_every_power_cut() {
    for seed in 0..50 {
        assert_eq!(live(seed, "full"), Fate { cuts: 10, ..Fate::default() }, "seed {seed}");
    }
}

#[test]
fn without_a_sync_at_each_commit_the_last_ones_are_lost_and_nothing_breaks() {
    let fate = fates(50, "normal");
    assert!(fate.lost > 0, "{fate:?}");
    assert_eq!((fate.torn, fate.broken), (0, 0));
}

#[test]
fn without_any_sync_databases_break() {
    let fate = fates(50, "off");
    assert!(fate.lost > 0 && fate.broken > 0, "{fate:?}");
}

#[test]
fn a_killed_process_leaves_what_it_wrote() {
    let disk = Disk::new(1);
    let mut db = open(&disk, "off").unwrap();
    write(&mut db, 0, 5).unwrap();
    disk.kill();
    assert!(write(&mut db, 1, 5).is_err());
    let db = open(&disk, "off").unwrap();
    assert_eq!((rows(&db, 0).unwrap(), rows(&db, 1).unwrap()), (5, 0));
}

#[test]
fn a_full_disk_refuses_and_takes_more_once_there_is_room() {
    let disk = Disk::new(1);
    let mut db = open(&disk, "full").unwrap();
    write(&mut db, 0, 5).unwrap();
    disk.limit_size(Some(disk.used() + 2000));
    let refused = write(&mut db, 1, 50).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DiskFull));
    assert_eq!(rows(&db, 0).unwrap(), 5, "reads still work");
    disk.limit_size(None);
    write(&mut db, 2, 50).unwrap();
    assert_eq!((rows(&db, 1).unwrap(), rows(&db, 2).unwrap()), (0, 50));
    assert!(is_whole(&db).unwrap());
}

#[test]
fn each_operation_fails_when_told_to() {
    for (operation, says) in [
        (Operation::Write, rusqlite::ffi::SQLITE_IOERR_WRITE),
        (Operation::Sync, rusqlite::ffi::SQLITE_IOERR_FSYNC),
    ] {
        let disk = Disk::new(1);
        let mut db = open(&disk, "full").unwrap();
        disk.fail(operation, 1);
        let failure = write(&mut db, 0, 1).unwrap_err();
        assert_eq!(failure.sqlite_error().unwrap().extended_code, says);
        assert_eq!(rows(&db, 0).unwrap(), 0, "{operation:?}");
        write(&mut db, 1, 1).unwrap();
    }
}

#[test]
fn a_commit_syncs_once_and_syncs_are_counted() {
    let disk = Disk::new(1);
    let mut db = open(&disk, "full").unwrap();
    write(&mut db, 0, 1).unwrap();
    let before = disk.count(Operation::Sync);
    write(&mut db, 1, 1).unwrap();
    assert_eq!(disk.count(Operation::Sync), before + 1);
}

#[test]
fn connections_share_it_and_a_reader_keeps_its_snapshot() {
    let disk = Disk::new(1);
    let mut writer = open(&disk, "full").unwrap();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags_and_vfs("test.db", flags, disk.vfs()).unwrap();
    write(&mut writer, 0, 3).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    assert_eq!(rows(&snapshot, 0).unwrap(), 3);
    write(&mut writer, 1, 3).unwrap();
    assert_eq!(rows(&snapshot, 1).unwrap(), 0);
    snapshot.finish().unwrap();
    assert_eq!(rows(&reader, 1).unwrap(), 3);

    let _writing = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let mut other = Connection::open_with_flags_and_vfs("test.db", OpenFlags::default(), disk.vfs()).unwrap();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    let busy = write(&mut other, 2, 1).unwrap_err();
    assert_eq!(busy.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
}

#[test]
fn writers_and_readers_on_many_threads_stay_whole() {
    let disk = Disk::new(1);
    open(&disk, "full").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let disk = &disk;
            scope.spawn(move || {
                let mut db = open(disk, "full").unwrap();
                for n in 0..25 {
                    db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
                    let write =
                        db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
                    let row = thread * 25 + n;
                    write.execute("INSERT INTO notes VALUES (?1, ?1, '')", [row]).unwrap();
                    write.commit().unwrap();
                    assert_eq!(rows(&db, row).unwrap(), 1);
                }
            });
        }
    });
    let db = open(&disk, "full").unwrap();
    assert_eq!(db.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)), Ok(100));
    assert!(is_whole(&db).unwrap());
}
