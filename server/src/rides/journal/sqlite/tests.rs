use std::{fs, time::Duration};

use rusqlite::Connection;
use tempfile::tempdir;

use super::{maintenance::Report, *};
use crate::rides::{
    journal::RequestId,
    model::{EventKind, RideEvent},
    testing::{booking, crew, noon, offer, request},
};

/// A timeout that is much longer than a reply takes.
const SOON: Duration = Duration::from_secs(20);

fn open(dir: &Path) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(dir, SqliteOptions::default())
}

fn booked(ride: &str) -> Entry {
    let what = EventKind::Requested(Arc::new(booking("ada")));
    let event = RideEvent { ride: RideId::new(ride), version: 1, time: noon(), what };
    let request = request(&format!("request of {ride}"), &[7]);
    Entry::new(Arc::new(event), Some(request)).expect("can be written")
}

fn offered(ride: &str) -> Entry {
    let what = EventKind::Offered { crew: crew(1), offer: offer(noon()) };
    let event = RideEvent { ride: RideId::new(ride), version: 2, time: noon(), what };
    Entry::new(Arc::new(event), None).expect("can be written")
}

/// Makes a closed journal with two rides, and returns its epoch.
async fn filled(dir: &Path) -> String {
    let journal = open(dir).expect("a new journal opens");
    journal.append(vec![booked("a"), booked("b"), offered("a")]).await.expect("the rides are new");
    journal.close().await;
    journal.epoch().to_owned()
}

/// Turns a journal back to schema version 3, in which request ids did not belong to a caller.
const THIRD: &str = "DROP INDEX events_by_request;
    ALTER TABLE events DROP COLUMN caller;
    CREATE UNIQUE INDEX events_by_request ON events (request) WHERE request IS NOT NULL;
    PRAGMA user_version = 3";

/// Runs `sql` on the file of a journal, as a program other than the server.
fn by_hand(dir: &Path, sql: &str) {
    Connection::open(dir.join(FILE))
        .expect("a database")
        .execute_batch(sql)
        .expect("the statements are valid");
}

/// L24 in docs/failures.md.
#[tokio::test]
async fn a_second_one_is_refused_until_the_first_is_closed() {
    let dir = tempdir().expect("a temporary directory");
    let first = open(dir.path()).expect("a new journal opens");
    let refused = open(dir.path()).map(drop).expect_err("the directory is in use");
    let line = refused.to_string();
    assert!(line.contains(&format!("process {}", std::process::id())), "{line}");
    assert!(line.contains("--data-dir"), "{line}");
    assert!(matches!(maintenance::rebuild(dir.path()), Err(OpenError::InUse { .. })));
    maintenance::check(dir.path()).expect("a check needs no lock");
    first.close().await;
    open(dir.path()).expect("the directory is free again");
}

/// BAD-5 in docs/failures.md: SQLite takes a damaged commit for the end of its log.
#[tokio::test]
async fn acknowledged_rides_that_a_damaged_log_lost_are_told_of_and_begin_a_new_epoch() {
    for (damaged_bytes, is_lost) in [(vec![], false), (vec![200], true), (vec![9], true)] {
        let dir = tempdir().expect("a temporary directory");
        let [file, log] = ["", "-wal"].map(|suffix| dir.path().join(format!("{FILE}{suffix}")));
        let before = open(dir.path()).expect("a new journal opens");
        for n in 0..6 {
            before.append(vec![booked(&n.to_string())]).await.expect("the rides are new");
        }
        let [crashed, mut crashed_log] = [&file, &log].map(|path| fs::read(path).expect("the file exists"));
        before.close().await;
        for at in damaged_bytes {
            crashed_log[at] ^= 1;
        }
        fs::write(&file, crashed).expect("the file can be overwritten");
        fs::write(&log, &crashed_log).expect("can be written");

        for _ in 0..2 {
            let problems = maintenance::check(dir.path()).expect("the journal can be checked").problems;
            let expected = if is_lost { "the write-ahead log is damaged in " } else { "" };
            assert!(
                problems.concat().starts_with(expected) && problems.len() == usize::from(is_lost),
                "{problems:?}"
            );
            if is_lost {
                assert!(matches!(maintenance::rebuild(dir.path()), Err(OpenError::DamagedLog(_))));
            }
        }
        let next = open(dir.path()).expect("the journal opens with the readable part");
        assert_eq!(next.epoch() != before.epoch(), is_lost, "only lost events need a new epoch");
        let read = next.ride(&RideId::new("5")).await.expect("the journal can be read");
        assert_eq!(read.is_none(), is_lost);
        let copies = fs::read_dir(dir.path()).expect("the directory can be listed").filter_map(|entry| {
            let path = entry.expect("the directory can be listed").path();
            let is_copy = path.to_string_lossy().contains(".damaged-");
            is_copy.then(|| fs::read(path.join(format!("{FILE}-wal"))).expect("the journal can be read"))
        });
        assert!(copies.eq(is_lost.then_some(crashed_log)), "the copy has the damaged log");
        next.append(vec![booked("new")]).await.expect("the rides are new");
        next.close().await;
        assert_eq!(maintenance::check(dir.path()).expect("the journal can be checked").problems, [""; 0]);
        let again = open(dir.path()).expect("the journal opens");
        assert_eq!(again.epoch(), next.epoch());
    }
}

/// BAD-5 in docs/failures.md: the rest of a damaged log does not overwrite newer pages of the database.
#[tokio::test]
async fn rides_that_are_in_the_file_are_not_lost_to_a_damaged_log() {
    let dir = tempdir().expect("a temporary directory");
    let [file, log] = ["", "-wal"].map(|suffix| dir.path().join(format!("{FILE}{suffix}")));
    let before = open(dir.path()).expect("a new journal opens");
    for n in 0..20 {
        before.append(vec![booked(&n.to_string())]).await.expect("the rides are new");
    }
    by_hand(dir.path(), "PRAGMA wal_checkpoint(PASSIVE)");
    let [moved, moved_log] = [&file, &log].map(|path| fs::read(path).expect("the file exists"));
    before.close().await;
    for part in 1..8 {
        let mut damaged = moved_log.clone();
        damaged[moved_log.len() / 8 * part] ^= 1;
        fs::write(&file, &moved).expect("the file can be overwritten");
        fs::write(&log, damaged).expect("can be written");
        let next = open(dir.path()).expect("the journal opens");
        for n in 0..20 {
            assert!(
                next.ride(&RideId::new(n.to_string())).await.expect("the journal can be read").is_some(),
                "{n}"
            );
        }
        assert_ne!(next.epoch(), before.epoch());
        next.close().await;
        assert_eq!(maintenance::check(dir.path()).expect("the journal can be checked").problems, [""; 0]);
    }
}

/// BAD-6 in docs/failures.md.
#[cfg(unix)]
#[tokio::test]
async fn a_second_one_is_refused_though_the_file_of_the_lock_was_deleted() {
    let dir = tempdir().expect("a temporary directory");
    let first = open(dir.path()).expect("a new journal opens");
    fs::remove_file(dir.path().join("rides.lock")).expect("the file can be deleted");
    for _ in 0..2 {
        let refused = open(dir.path()).map(drop).expect_err("the directory is in use");
        assert!(matches!(refused, OpenError::InUse { process: None, .. }), "{refused}");
    }
    first.close().await;
    open(dir.path()).expect("the directory is free again");
}

/// BAD-6 in docs/failures.md: earlier programs lock the file alone.
#[test]
fn a_directory_that_an_earlier_program_has_is_refused() {
    let dir = tempdir().expect("a temporary directory");
    let lock = fs::File::create(dir.path().join("rides.lock")).expect("the file can be created");
    lock.lock().expect("no process has the lock");
    assert!(matches!(open(dir.path()), Err(OpenError::InUse { .. })));
}

/// BAD-6 in docs/failures.md.
#[cfg(unix)]
#[tokio::test]
async fn nothing_is_acknowledged_into_files_that_were_deleted() {
    for (name, left) in [("rides.db", 0), ("rides.db-wal", 2), ("rides.db-shm", 2), ("rides.lock", 2)] {
        let dir = tempdir().expect("a temporary directory");
        let journal = open(dir.path()).expect("a new journal opens");
        journal.append(vec![booked("a")]).await.expect("the rides are stored");
        fs::remove_file(dir.path().join(name)).expect("the file can be deleted");
        let refused = journal.append(vec![booked("b")]).await.expect_err("the file was deleted");
        let JournalError::Failed(why) = &refused else { panic!("{refused}") };
        assert!(why.contains(name), "{why}");
        assert_eq!(journal.failed().await, refused);
        assert_eq!(journal.append(vec![booked("c")]).await, Err(refused), "the journal does not try again");
        journal.close().await;

        // An append that failed with `Failed` may be stored. Here it is.
        let next = open(dir.path()).expect("the journal opens again");
        assert_eq!(next.unfinished().await.map(|logs| logs.len()), Ok(left), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_appends_while_it_closes_is_answered() {
    for round in 0..100 {
        let dir = tempdir().expect("a temporary directory");
        let journal = Arc::new(open(dir.path()).expect("a new journal opens"));
        let appends = (0..8).map(|n| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let mut kept = 0;
                while journal.append(vec![booked(&format!("{n} {kept}"))]).await.is_ok() {
                    kept += 1;
                }
                kept
            })
        });
        let appends: Vec<_> = appends.collect();
        journal.append(vec![booked("first")]).await.expect("the journal is open");
        journal.close().await;
        let late = tokio::time::timeout(SOON, journal.append(vec![booked("late")])).await;
        assert_eq!(late.expect("a reply"), Err(JournalError::Closed));
        let mut kept = 1;
        for append in appends {
            kept += tokio::time::timeout(SOON, append).await.expect("a reply").expect("no panic");
        }
        let report = maintenance::check(dir.path()).expect("the journal can be read");
        assert_eq!((report.events, report.problems), (kept, vec![]), "round {round}");
    }
}

/// L9 in docs/failures.md.
#[tokio::test]
async fn a_journal_keeps_its_epoch_until_it_is_another_file() {
    let dir = tempdir().expect("a temporary directory");
    let (file, backup) = (dir.path().join(FILE), dir.path().join("backup"));
    let first = filled(dir.path()).await;
    fs::copy(&file, &backup).expect("the file can be copied");
    let again = open(dir.path()).expect("the journal opens again");
    assert_eq!(again.epoch(), first);
    again.close().await;

    // Both files exist at once, so that the second one has an inode of its own.
    fs::rename(&backup, &file).expect("the copy can be moved");
    let restored = open(dir.path()).expect("the journal opens again");
    assert_ne!(restored.epoch(), first);
    assert_eq!(restored.unfinished().await.map(|logs| logs.len()), Ok(2));
    let second = restored.epoch().to_owned();
    restored.close().await;
    fs::remove_file(&file).expect("the file can be deleted");
    assert!(![first, second].contains(&open(dir.path()).expect("a new journal opens").epoch().to_owned()));
}

#[tokio::test]
async fn a_later_schema_and_other_databases_are_refused() {
    let later = tempdir().expect("a temporary directory");
    filled(later.path()).await;
    by_hand(later.path(), "PRAGMA user_version = 99");
    let refused = open(later.path()).map(drop).expect_err("the schema is newer");
    assert!(matches!(refused, OpenError::Newer { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains("newer rides-server"), "{refused}");

    let other = tempdir().expect("a temporary directory");
    by_hand(other.path(), "CREATE TABLE recipes (name TEXT)");
    assert!(matches!(open(other.path()), Err(OpenError::NotAJournal)));
    fs::write(
        other.path().join(FILE),
        "not a database at all, but long enough for a header of one, or so it seems",
    )
    .expect("can be written");
    assert!(matches!(open(other.path()), Err(OpenError::Journal(JournalError::Damaged(_)))));
}

#[tokio::test]
async fn an_earlier_schema_is_brought_up_to_date() {
    let first = format!("{THIRD}; DROP TABLE rides; PRAGMA user_version = 1");
    let second = format!(
        "{THIRD}; DROP TABLE rides;
        CREATE TABLE rides (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, rider TEXT NOT NULL) STRICT;
        CREATE INDEX rides_by_rider_and_state ON rides (rider, place);
        PRAGMA user_version = 2"
    );
    for (version, schema) in [(1, &*first), (2, &*second), (3, THIRD)] {
        let dir = tempdir().expect("a temporary directory");
        let epoch = filled(dir.path()).await;
        by_hand(dir.path(), schema);
        let older = maintenance::check(dir.path()).expect_err("the schema is older");
        assert!(matches!(older, OpenError::Older { found, known: 4 } if found == version), "{older}");
        let journal = open(dir.path()).expect("the journal is migrated");
        assert_eq!(journal.epoch(), epoch);
        let page = journal.page(&Filter::default(), None, 10).await.expect("the journal can be read");
        assert_eq!(page.iter().map(|placed| placed.ride.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(page[1].ride.version, 2);
    }
}

/// BAD-7 in docs/failures.md: the stored requests have no caller. A repeat finds its ride, and the request of a
/// stranger does not block it.
#[tokio::test]
async fn requests_of_an_earlier_schema_stay_what_they_were() {
    let dir = tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    by_hand(dir.path(), THIRD);
    let key = |caller: &str, fingerprint| {
        let id = RequestId { caller: caller.into(), id: "request of a".into() };
        RequestKey { id, fingerprint: vec![fingerprint] }
    };
    let rides_of = async |journal: &SqliteJournal, requests: [RequestKey; 4]| {
        let known = journal.by_requests(&requests).await.expect("the journal can be read");
        requests.map(|request| known.get(&request.id).map(|(ride, _)| ride.to_string()))
    };
    let a = || Some("a".to_owned());
    for migrated in [false, true] {
        let journal = open(dir.path()).expect("the journal is migrated");
        let asked = [key("ada", 7), key("a dispatcher", 7), key("ada", 8), key("bob", 8)];
        let bobs = migrated.then(|| "c".to_owned());
        assert_eq!(rides_of(&journal, asked).await, [a(), a(), a(), bobs]);
        if !migrated {
            let what = EventKind::Requested(Arc::new(booking("bob")));
            let event = RideEvent { ride: RideId::new("c"), version: 1, time: noon(), what };
            let entry = Entry::new(Arc::new(event), Some(key("bob", 8))).expect("can be written");
            journal.append(vec![entry]).await.expect("the id is one of bob");
        }
        journal.close().await;
    }
    assert_eq!(maintenance::check(dir.path()).expect("the journal can be read").problems, [""; 0]);
}

/// BAD-7 in docs/failures.md: a search does not read requests of other callers with the same id.
#[tokio::test]
async fn a_request_is_found_by_its_id_and_its_caller() {
    let dir = tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    let db = Connection::open(dir.path().join(FILE)).expect("a database");
    for select in [read::OF_CALLER, read::OF_UNKNOWN] {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {select}")).expect("a statement");
        let parameters: Vec<_> = vec!["x"; plan.parameter_count()];
        let steps =
            plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>("detail"));
        let steps: Vec<_> = steps.expect("a plan").map(|step| step.expect("a step")).collect();
        assert_eq!(steps, ["SEARCH events USING INDEX events_by_request (request=? AND caller=?)"]);
    }
}

/// L10 in docs/failures.md.
#[tokio::test]
async fn a_place_is_never_given_twice() {
    let dir = tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    by_hand(dir.path(), "DELETE FROM events; DELETE FROM rides");
    let journal = open(dir.path()).expect("the journal opens again");
    journal.append(vec![booked("c")]).await.expect("the rides are new");
    let page = journal.page(&Filter::default(), None, 10).await.expect("the journal can be read");
    assert_eq!(page.iter().map(|placed| placed.list_position).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_new_file_has_large_pages_and_an_older_one_keeps_its_own() {
    for (before, pages) in [("", 16_384), ("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL", 4_096)] {
        let dir = tempdir().expect("a temporary directory");
        by_hand(dir.path(), before);
        let _journal = open(dir.path()).expect("the database is empty");
        let file = DatabaseFile { path: dir.path().join(FILE), vfs: None };
        let db = file.connect(OpenFlags::empty()).expect("a connection");
        assert_eq!(schema::page_size(&db).expect("a pragma"), pages);
    }
}

/// L23 in docs/failures.md: the settings of SQLite. That a sync comes before the reply is tested on the faulty disk.
#[test]
fn commits_are_synced_and_sqlite_is_recent() {
    let dir = tempdir().expect("a temporary directory");
    let _journal = open(dir.path()).expect("a new journal opens");
    let db = DatabaseFile { path: dir.path().join(FILE), vfs: None }
        .connect(OpenFlags::empty())
        .expect("a connection");
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a pragma");
    assert_eq!((pragma("synchronous"), pragma("wal_autocheckpoint")), (2, 0));
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a pragma");
    assert_eq!(mode, "wal");
    // In earlier versions the restart of a log could corrupt the database.
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

/// L22 in docs/failures.md.
#[tokio::test]
async fn the_log_is_moved_into_the_file_once_nobody_reads() {
    let dir = tempdir().expect("a temporary directory");
    let journal = open(dir.path()).expect("a new journal opens");
    let log = dir.path().join(format!("{FILE}-wal"));
    let size = || fs::metadata(&log).expect("the log exists").len();
    let reader = DatabaseFile { path: dir.path().join(FILE), vfs: None }
        .connect(OpenFlags::empty())
        .expect("a connection");
    let snapshot = reader.unchecked_transaction().expect("a transaction begins");
    let events =
        |db: &Connection| db.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0));
    assert_eq!(events(&snapshot), Ok(0));

    let mut rides = 0;
    let mut fill = async || {
        let batch: Vec<Entry> = (0..1000).map(|n| booked(&format!("{rides}-{n}"))).collect();
        rides += 1;
        journal.append(batch).await.expect("the rides are new");
    };
    let limit = schema::WAL_SIZE_LIMIT as u64;
    while size() < 2 * limit {
        fill().await;
    }
    assert_eq!(events(&snapshot), Ok(0), "a snapshot does not change");
    drop(snapshot);
    while size() > limit {
        fill().await;
    }
    assert_eq!(events(&reader), Ok(rides * 1000));
}

#[tokio::test]
async fn a_check_finds_what_is_wrong_and_a_rebuild_mends_the_lists() {
    let dir = tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    let sound = Report { events: 3, rides: 2, unfinished: 2, problems: vec![] };
    assert_eq!(maintenance::check(dir.path()).expect("the journal can be read"), sound);

    by_hand(
        dir.path(),
        "UPDATE rides SET state = 'completed' WHERE id = 'a'; DELETE FROM rides WHERE id = 'b'",
    );
    assert_eq!(maintenance::check(dir.path()).expect("the journal can be read").problems.len(), 2);
    maintenance::rebuild(dir.path()).expect("can be written");
    assert_eq!(maintenance::check(dir.path()).expect("the journal can be read"), sound);

    by_hand(
        dir.path(),
        "UPDATE events SET version = 3 WHERE seq = 3; UPDATE events SET event = '\"sang\"' WHERE seq = 2",
    );
    let problems = maintenance::check(dir.path()).expect("the journal can be read").problems;
    assert!(problems.iter().any(|line| line.contains("event 3 does not follow version 1")), "{problems:?}");
    assert!(problems.iter().any(|line| line.contains("event 2: unknown variant")), "{problems:?}");
    let journal = open(dir.path()).expect("the journal opens");
    assert!(matches!(journal.ride(&RideId::new("b")).await, Err(JournalError::Damaged(_))));
    assert_eq!(journal.unfinished().await, Ok(vec![]), "both are damaged");
    assert_eq!(journal.page(&Filter::default(), None, 10).await, Ok(vec![]));
    journal.append(vec![booked("c")]).await.expect("the append succeeds");
    assert_eq!(journal.unfinished().await.map(|logs| logs.len()), Ok(1));
    journal.close().await;
    maintenance::rebuild(dir.path()).expect("can be written");
    let left = maintenance::check(dir.path()).expect("the journal can be read").problems;
    assert_eq!(left, problems[..2], "the lists are correct, and no event was changed");
}

#[tokio::test]
async fn a_list_goes_on_below_what_is_damaged() {
    let dir = tempdir().expect("a temporary directory");
    let journal = open(dir.path()).expect("the journal opens");
    journal.append(["a", "b", "c", "d"].map(booked).into()).await.expect("the rides are stored");
    journal.close().await;
    by_hand(dir.path(), "UPDATE events SET event = '\"sang\"' WHERE ride IN ('b', 'c')");
    let journal = open(dir.path()).expect("the journal opens");
    for (limit, expected) in [(1, &["d"][..]), (2, &["d", "a"]), (3, &["d", "a"])] {
        let page = journal.page(&Filter::default(), None, limit).await.expect("the journal can be read");
        let ids: Vec<_> = page.iter().map(|placed| placed.ride.id.as_str()).collect();
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn an_export_is_one_object_a_line() {
    let dir = tempdir().expect("a temporary directory");
    filled(dir.path()).await;
    let mut out = Vec::new();
    assert_eq!(maintenance::export(dir.path(), &mut out).expect("the journal can be read"), 3);
    let text = String::from_utf8(out).expect("the export is UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("the line is JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["request"], &lines[1]["caller"]), (&"request of b".into(), &"ada".into()));
    assert_eq!(lines[1]["fingerprint"], "Bw==");
    let third = r#"{"seq":3,"ride":"a","version":2,"time":"2027-01-15T08:00:00Z","event":{"offered":{"crew":{"car":1,"driver":"driver-1"},"offer":{"pickup_eta":"60s","expires_at":"2027-01-15T08:00:10Z"}}}}"#;
    assert_eq!(text.lines().last(), Some(third));
}
