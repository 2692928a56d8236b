//! Tests of the guarantees of [`Journal`], which run on each implementation.

use std::{sync::Arc, time::SystemTime};

use proptest::prelude::*;
use rides_proto::ids::RideId;
use tempfile::TempDir;

use super::{sqlite::SqliteOptions, *};
use crate::rides::{
    machine::{self, Decision},
    model::{EventKind, RideState},
    testing::{self, any_command, booking, noon},
};

/// Returns a new journal and its directory, which is deleted when the second value is dropped.
fn sqlite() -> (SqliteJournal, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let journal = SqliteJournal::open(dir.path(), SqliteOptions::default()).expect("a new journal opens");
    (journal, dir)
}

fn id(n: u8) -> RideId {
    RideId::new(format!("ride-{n}"))
}

fn entry(ride: u8, version: u64, what: EventKind, request: Option<&str>) -> Entry {
    let event = RideEvent { ride: id(ride), version, time: noon(), what };
    let request = request.map(|id| testing::request(id, id.as_bytes()));
    Entry::new(Arc::new(event), request).expect("the event can be encoded")
}

fn opened(ride: u8, rider: &str) -> Entry {
    entry(ride, 1, EventKind::Requested(Arc::new(booking(rider))), Some(&format!("request-{ride}")))
}

#[tokio::test]
async fn a_batch_is_kept_as_a_whole_or_not_at_all() {
    let (sqlite, _dir) = sqlite();
    for journal in [&MemoryJournal::new() as &dyn Journal, &sqlite] {
        journal.append(vec![opened(1, "ada"), opened(2, "bob")]).await.expect("both rides are new");
        let gap = entry(1, 3, EventKind::Expired, None);
        let refused = journal.append(vec![opened(3, "eve"), gap]).await;
        assert_eq!(
            refused,
            Err(JournalError::OutOfSequence { ride: id(1), misfit: OutOfSequence { at: 1, found: 3 } })
        );
        assert_eq!(journal.ride(&id(3)).await, Ok(None));
        let known = journal
            .by_requests(&["request-1", "request-3"].map(|id| testing::request(id, id.as_bytes())))
            .await
            .expect("the journal can be read");
        assert_eq!(known.into_keys().map(|key| key.id).collect::<Vec<_>>(), ["request-1"]);

        let twice = journal.append(vec![opened(2, "bob")]).await;
        assert_eq!(
            twice,
            Err(JournalError::OutOfSequence { ride: id(2), misfit: OutOfSequence { at: 1, found: 1 } })
        );
        let orphan = journal.append(vec![entry(9, 2, EventKind::Expired, None)]).await;
        assert_eq!(
            orphan,
            Err(JournalError::OutOfSequence { ride: id(9), misfit: OutOfSequence { at: 0, found: 2 } })
        );
    }
}

#[tokio::test]
async fn one_append_that_does_not_fit_spoils_no_other() {
    let (journal, _dir) = sqlite();
    let journal = Arc::new(journal);
    let appends = (0..200u8).map(|n| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let bad = n % 3 == 0;
            let batch = if bad { entry(n, 2, EventKind::Expired, None) } else { opened(n, "ada") };
            (n, journal.append(vec![batch]).await)
        })
    });
    for append in appends.collect::<Vec<_>>() {
        let (n, outcome) = append.await.expect("no panic");
        assert_eq!(outcome.is_err(), n % 3 == 0, "{n}: {outcome:?}");
        assert_eq!(journal.ride(&id(n)).await.expect("the journal can be read").is_none(), n % 3 == 0, "{n}");
    }
}

/// Random batches of events for four rides, as far as the rules allow them.
fn lives() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let command = (0..4u8, any_command());
    prop::collection::vec(prop::collection::vec(command, 1..6), 1..12).prop_map(|batches| {
        let mut rides: [Option<Ride>; 4] = Default::default();
        let batch = |commands: Vec<(u8, _)>| {
            let happens = |(n, command)| {
                let ride = &mut rides[usize::from(n)];
                let Ok(Decision::Event(what)) = machine::decide(ride.as_ref(), &command) else {
                    return None;
                };
                let version = ride.as_ref().map_or(0, |ride| ride.version) + 1;
                let request = (version == 1).then(|| format!("request-{n}"));
                let entry = entry(n, version, what, request.as_deref());
                *ride = machine::evolve(ride.take(), &entry.event).ok();
                Some(entry)
            };
            commands.into_iter().filter_map(happens).collect()
        };
        batches.into_iter().map(batch).filter(|batch: &Vec<_>| !batch.is_empty()).collect()
    })
}

/// Returns the results of all queries of a journal, for four rides.
async fn all_it_says(
    journal: &dyn Journal,
) -> (Vec<Option<Arc<RideLog>>>, Vec<RideId>, KnownRequests, Vec<Vec<RideId>>) {
    let mut rides = Vec::new();
    for n in 0..4 {
        rides.push(journal.ride(&id(n)).await.expect("the journal can be read"));
    }
    let unfinished = journal
        .unfinished()
        .await
        .expect("the journal can be read")
        .iter()
        .map(|log| log.ride.id.clone())
        .collect();
    let requests: Vec<RequestKey> =
        (0..5).map(|n| format!("request-{n}")).map(|id| testing::request(&id, id.as_bytes())).collect();
    let known = journal.by_requests(&requests).await.expect("the journal can be read");
    let mut pages = Vec::new();
    for rider in [None, Some("ada".to_owned()), Some("nobody".to_owned())] {
        for states in [
            vec![],
            vec![RideState::Requested, RideState::Completed, RideState::Requested],
            vec![RideState::Offered],
        ] {
            let filter = Filter { rider: rider.clone(), states };
            for limit in [1, 3] {
                let mut below = None;
                loop {
                    let page = journal.page(&filter, below, limit).await.expect("the journal can be read");
                    pages.push(page.iter().map(|placed| placed.ride.id.clone()).collect());
                    let Some(last) = page.last().filter(|_| page.len() == limit) else { break };
                    below = Some(last.list_position);
                }
            }
        }
    }
    (rides, unfinished, known, pages)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Compares SQLite with memory, also after a restart and a rebuild of the lists.
    #[test]
    fn all_journals_say_the_same(batches in lives()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
        runtime.block_on(async {
            let memory = MemoryJournal::new();
            let (journal, dir) = sqlite();
            for batch in &batches {
                prop_assert_eq!(memory.append(batch.clone()).await, Ok(()));
                prop_assert_eq!(journal.append(batch.clone()).await, Ok(()));
            }
            let expected = all_it_says(&memory).await;
            prop_assert_eq!(&all_it_says(&journal).await, &expected);
            journal.close().await;
            prop_assert_eq!(journal.append(vec![opened(9, "late")]).await, Err(JournalError::Closed));
            let report = sqlite::maintenance::check(dir.path()).expect("the journal can be checked");
            prop_assert_eq!(report.problems, Vec::<String>::new());
            drop(journal);

            sqlite::maintenance::rebuild(dir.path()).expect("the lists can be rebuilt");
            let again = SqliteJournal::open(dir.path(), SqliteOptions::default()).expect("the journal opens again");
            prop_assert_eq!(&all_it_says(&again).await, &expected);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn times_are_kept_to_the_nanosecond() {
    let (journal, _dir) = sqlite();
    let event = RideEvent {
        ride: id(1),
        version: 1,
        time: SystemTime::now(),
        what: EventKind::Requested(Arc::new(booking("ada"))),
    };
    let entry = Entry::new(Arc::new(event.clone()), None).expect("the event can be encoded");
    journal.append(vec![entry]).await.expect("the ride is new");
    let log = journal.ride(&id(1)).await.expect("the journal can be read").expect("the ride is stored");
    assert_eq!(*log.events[0], event);
}
