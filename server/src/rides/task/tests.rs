use std::{pin::pin, time::Duration};

use futures_util::poll;
use tokio::sync::Mutex;

use super::*;
use crate::rides::{
    Rides,
    journal::{Filter, JournalFuture, MemoryJournal},
    list::ListQuery,
    machine::Refusal,
    model::{Actor, RideState},
    open_ride_limits::Holder,
    testing::{AppendHook, FailingJournal, HookedJournal, booking, car, crew, noon, offer, request},
};

async fn rides(journal: Arc<dyn Journal>) -> (Rides, mpsc::Receiver<RideId>) {
    let (opened, hears) = mpsc::channel(64);
    let (rides, _task) = Rides::spawn(journal, opened).await.expect("a journal in memory can be read");
    (rides, hears)
}

fn key(id: &str, contents: u8) -> RequestKey {
    request(id, &[contents])
}

fn cancel() -> Command {
    Command::Cancel { by: Actor::Rider, car: None, reason: "found a tram".into() }
}

fn offer_to(n: u8) -> Command {
    let expires_at = SystemTime::now() + Duration::from_secs(10);
    Command::Offer { crew: crew(n), offer: crate::rides::model::OpenOffer { expires_at, ..offer(noon()) } }
}

#[tokio::test]
async fn the_same_request_is_the_same_ride_even_when_it_is_over() {
    let (rides, mut opened) = rides(Arc::new(MemoryJournal::new())).await;
    let again = || rides.book(key("k", 1), booking("ada"));
    let (a, b) = tokio::join!(again(), again());
    let ride = a.expect("the ride is booked");
    assert_eq!(b, Ok(ride.clone()));
    assert_eq!(opened.recv().await, Some(ride.id.clone()));

    let cancelled = rides.command(&ride.id, cancel()).await.expect("the trip has not begun");
    assert_eq!(again().await, Ok(cancelled));
    assert_eq!(rides.book(key("k", 2), booking("bob")).await, Err(RideError::KeyReused));
    assert!(opened.try_recv().is_err(), "only one ride was opened");
}

fn limits(rider: usize, address: usize) -> Vec<OpenRideLimit> {
    let far = Holder::Address("192.0.2.7".parse().expect("an address"));
    vec![
        OpenRideLimit { holder: Holder::Rider("ada".into()), max_open_rides: rider },
        OpenRideLimit { holder: far, max_open_rides: address },
    ]
}

fn too_many(outcome: Result<Ride, RideError>) -> Option<Holder> {
    match outcome {
        Err(RideError::TooManyOpen(limit)) => Some(limit.holder),
        outcome => {
            outcome.expect("the ride is booked");
            None
        }
    }
}

/// BAD-4 in docs/failures.md: the limit holds for concurrent requests and after a restart. A repeat is no new ride.
#[tokio::test]
async fn a_rider_has_at_most_so_many_open_rides() {
    let journal = Arc::new(MemoryJournal::new());
    let ada = Some(Holder::Rider("ada".into()));
    let mut open = Vec::new();
    {
        let (rides, _opened) = rides(journal.clone()).await;
        let books = |n: usize| rides.book_with_limits(limits(3, 100), key(&n.to_string(), 1), booking("ada"));
        let outcomes = futures_util::future::join_all((0..20).map(books)).await;
        open.extend(outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).cloned());
        assert_eq!(open.len(), 3);
        assert!(outcomes.into_iter().filter(Result::is_err).all(|outcome| too_many(outcome) == ada));
        let again = futures_util::future::join_all((0..20).map(books)).await;
        assert_eq!(again.into_iter().flatten().collect::<Vec<_>>(), open, "the requests are the same");
        let bobs = OpenRideLimit { holder: Holder::Rider("bob".into()), max_open_rides: 3 };
        rides
            .book_with_limits(vec![bobs], key("bob", 1), booking("bob"))
            .await
            .expect("another rider has no open ride");
        rides.book(key("by dispatch", 1), booking("ada")).await.expect("there is no limit");
    }
    let (rides, _opened) = rides(journal).await;
    let books =
        async |n: &str| too_many(rides.book_with_limits(limits(4, 100), key(n, 1), booking("ada")).await);
    assert_eq!(books("one more").await, ada, "four rides are open since before the restart");
    rides.command(&open[0].id, cancel()).await.expect("the trip has not begun");
    rides.command(&open[0].id, cancel()).await.expect("the ride is cancelled already");
    assert_eq!(books("one more").await, None);
    assert_eq!(books("and one").await, ada);
}

/// BAD-4 in docs/failures.md: guest sessions are free, so the guests of an address share a limit.
#[tokio::test]
async fn guests_of_one_address_have_at_most_so_many_open_rides() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let books = async |n: u8| {
        let guest = format!("guest {n}");
        rides.book_with_limits(limits(100, 3), key(&n.to_string(), 1), booking(&guest)).await
    };
    let mut open = Vec::new();
    for n in 0..3 {
        open.push(books(n).await.expect("the ride is booked").id);
    }
    let full = || Some(limits(0, 0)[1].holder.clone());
    assert_eq!(too_many(books(3).await), full());
    assert_eq!(too_many(books(2).await), None, "the request is the same");
    rides.command(&open[0], offer_to(1)).await.expect("the car is free");
    assert_eq!(too_many(books(3).await), full(), "the ride is still open");
    rides.command(&open[0], cancel()).await.expect("the trip has not begun");
    assert_eq!(too_many(books(3).await), None);
    assert_eq!(too_many(books(4).await), full());
}

/// BAD-4 in docs/failures.md: guests whose address stands for many callers share a limit, apart from other addresses.
#[tokio::test]
async fn guests_at_exempt_addresses_have_a_limit_together() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let at = |holder: Holder| vec![OpenRideLimit { holder, max_open_rides: 3 }];
    let books = async |limits, n: u8| {
        let guest = format!("guest {n}");
        rides.book_with_limits(limits, key(&n.to_string(), 1), booking(&guest)).await
    };
    let behind_a_proxy = || at(Holder::ExemptAddresses);
    let open = futures_util::future::join_all((0..20).map(|n| books(behind_a_proxy(), n))).await;
    let booked = open.iter().filter_map(|outcome| outcome.as_ref().ok()).collect::<Vec<_>>();
    assert_eq!(booked.len(), 3);
    assert_eq!(too_many(books(behind_a_proxy(), 20).await), Some(Holder::ExemptAddresses));
    assert_eq!(too_many(books(limits(3, 3)[1..].to_vec(), 21).await), None, "another address");
    rides.command(&booked[0].id, cancel()).await.expect("the trip has not begun");
    assert_eq!(too_many(books(behind_a_proxy(), 22).await), None);
    assert_eq!(too_many(books(behind_a_proxy(), 23).await), Some(Holder::ExemptAddresses));
}

/// BAD-4 in docs/failures.md: a ride that the journal did not store counts for no holder.
#[tokio::test]
async fn a_ride_that_was_not_kept_does_not_count() {
    let journal = Arc::new(FailingJournal::new());
    let (rides, _opened) = rides(journal.clone()).await;
    let books = async |n: &str| rides.book_with_limits(limits(2, 2), key(n, 1), booking("ada")).await;
    journal.fail_appends(2);
    for n in ["a", "b"] {
        assert!(matches!(books(n).await, Err(RideError::Journal(_))));
    }
    let first = books("c").await.expect("no ride is open").id;
    books("d").await.expect("one ride is open");
    journal.fail_appends(1);
    assert!(matches!(rides.command(&first, cancel()).await, Err(RideError::Journal(_))));
    assert!(too_many(books("e").await).is_some(), "two rides are open");
}

#[tokio::test]
async fn a_closed_ride_is_read_from_the_journal_and_repeats_are_no_errors() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let id = rides.book(key("k", 1), booking("ada")).await.expect("the ride is booked").id;
    let cancelled = rides.command(&id, cancel()).await.expect("the trip has not begun");
    assert_eq!(rides.command(&id, cancel()).await, Ok(cancelled.clone()));
    assert_eq!(rides.get(&id).await, Ok(cancelled));
    let refused = RideError::Refused(Refusal::WrongState(RideState::Cancelled));
    assert_eq!(rides.command(&id, Command::Expire).await, Err(refused));
    let nobodys = RideId::new("nobody's");
    assert_eq!(rides.get(&nobodys).await, Err(RideError::NotFound));
    assert_eq!(rides.command(&nobodys, cancel()).await, Err(RideError::NotFound));
}

#[tokio::test]
async fn a_watcher_sees_every_event_and_then_the_end() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let id = rides.book(key("k", 1), booking("ada")).await.expect("the ride is booked").id;
    let mut feed = rides.watch(&id).await.expect("the task runs");
    rides.command(&id, offer_to(1)).await.expect("the car is free");
    rides.command(&id, Command::Accept { car: car(1) }).await.expect("the car has an offer");
    assert_eq!(rides.ride_of(car(1)).await.expect("the task runs").map(|ride| ride.id), Some(id.clone()));
    rides.command(&id, cancel()).await.expect("the trip has not begun");

    assert!(feed.changed().await.is_ok());
    assert_eq!(feed.borrow_and_update().events.len(), 4);
    assert!(feed.changed().await.is_err(), "the channel closes after the last event");
    assert_eq!(rides.ride_of(car(1)).await, Ok(None));
    assert_eq!(rides.watch(&id).await.expect("the ride is stored").borrow().events.len(), 4);
}

#[tokio::test]
async fn a_car_has_one_ride() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let first = rides.start_off_street(crew(1), booking(""), noon()).await.expect("the car is free");
    assert_eq!(first.state, RideState::OnTrip);
    let busy = Err(RideError::Refused(Refusal::CarBusy));
    assert_eq!(
        rides.start_off_street(crew(1), booking(""), noon()).await,
        Ok(first),
        "the start was repeated"
    );
    let other = crate::rides::model::CarAndDriver { driver: "bob".into(), ..crew(1) };
    assert_eq!(rides.start_off_street(other, booking(""), noon()).await, busy);
    let id = rides.book(key("k", 1), booking("ada")).await.expect("the ride is booked").id;
    assert_eq!(rides.command(&id, offer_to(1)).await, busy);
}

#[tokio::test]
async fn pages_stay_as_they_are_while_rides_are_booked() {
    let (rides, _opened) = rides(Arc::new(MemoryJournal::new())).await;
    let mut booked = Vec::new();
    for n in 0..5 {
        booked.push(rides.book(key(&n.to_string(), 1), booking("ada")).await.expect("the ride is booked").id);
    }
    rides.book(key("bob", 1), booking("bob")).await.expect("the ride is booked");

    let filter = Filter { rider: Some("ada".into()), ..Filter::default() };
    let mut query = ListQuery { page_size: 2, page_token: String::new(), filter };
    let mut seen = Vec::new();
    loop {
        let page = rides.list(&query).await.expect("the token is valid");
        seen.extend(page.rides.into_iter().map(|ride| ride.id));
        rides
            .book(key(&format!("later {}", seen.len()), 1), booking("ada"))
            .await
            .expect("the ride is booked");
        if page.next_page_token.is_empty() {
            break;
        }
        query.page_token = page.next_page_token;
    }
    booked.reverse();
    assert_eq!(seen, booked);
}

#[tokio::test]
async fn rides_that_are_not_over_are_taken_up_again() {
    let journal = Arc::new(MemoryJournal::new());
    let (open, over) = {
        let (rides, _opened) = rides(journal.clone()).await;
        let open = rides.book(key("open", 1), booking("ada")).await.expect("the ride is booked").id;
        let over = rides.book(key("over", 1), booking("ada")).await.expect("the ride is booked").id;
        rides.command(&over, cancel()).await.expect("the trip has not begun");
        rides.command(&open, offer_to(1)).await.expect("the car is free");
        (open, over)
    };
    let (rides, mut opened) = rides(journal).await;
    assert_eq!(opened.recv().await, Some(open.clone()));
    assert_eq!(rides.ride_of(car(1)).await.expect("the task runs").map(|ride| ride.id), Some(open));
    assert_eq!(rides.get(&over).await.map(|ride| ride.state), Ok(RideState::Cancelled));
    assert!(opened.try_recv().is_err());
}

#[tokio::test]
async fn what_the_journal_did_not_take_did_not_happen() {
    let journal = Arc::new(FailingJournal::new());
    let (rides, _opened) = rides(journal.clone()).await;
    let ride = rides.book(key("k", 1), booking("ada")).await.expect("the ride is booked");
    let feed = rides.watch(&ride.id).await.expect("the task runs");

    journal.fail_appends(u32::MAX);
    let failed = rides.command(&ride.id, offer_to(1)).await;
    assert!(matches!(failed, Err(RideError::Journal(_))), "{failed:?}");
    assert_eq!(rides.get(&ride.id).await, Ok(ride.clone()));
    assert_eq!(rides.ride_of(car(1)).await, Ok(None));
    assert_eq!(feed.has_changed().ok(), Some(false));

    journal.fail_appends(0);
    assert_eq!(rides.command(&ride.id, offer_to(1)).await.map(|ride| ride.version), Ok(2));
}

/// A hook that makes each append wait for its result.
struct Verdicts(Mutex<mpsc::Receiver<Result<(), JournalError>>>);

impl AppendHook for Verdicts {
    fn before(&self) -> JournalFuture<'_, ()> {
        Box::pin(async { self.0.lock().await.recv().await.unwrap_or(Err(JournalError::Closed)) })
    }
}

#[tokio::test]
async fn what_is_decided_while_a_batch_is_on_its_way_stands_and_falls_with_it() {
    let (verdicts, judge) = mpsc::channel(8);
    let journal = HookedJournal { kept: Arc::default(), trouble: Arc::new(Verdicts(Mutex::new(judge))) };
    let (rides, _opened) = rides(Arc::new(journal)).await;
    let verdict = async |verdict| verdicts.send(verdict).await.expect("the journal waits for a result");
    verdict(Ok(())).await;
    let id = rides.book(key("k", 1), booking("ada")).await.expect("the ride is booked").id;
    let version = |outcome: Result<Ride, RideError>| outcome.map(|ride| ride.version);

    for kept in [false, true] {
        let mut offer = pin!(rides.command(&id, offer_to(1)));
        assert!(poll!(offer.as_mut()).is_pending());
        assert_eq!(rides.ride_of(car(1)).await, Ok(None), "an event takes effect after its append");
        let mut accept = pin!(rides.command(&id, Command::Accept { car: car(1) }));
        let mut booked = pin!(rides.book(key("other", 1), booking("ada")));
        assert!(poll!(accept.as_mut()).is_pending() && poll!(booked.as_mut()).is_pending());
        assert_eq!(rides.get(&id).await.map(|ride| ride.version), Ok(1), "all inputs were received");

        let full = Err(JournalError::Full);
        verdict(if kept { Ok(()) } else { full.clone() }).await;
        let offered = version(offer.await);
        assert!(poll!(booked.as_mut()).is_pending(), "the reply waits for its own append");
        verdict(Ok(())).await;
        let (accepted, booked) = (version(accept.await), version(booked.await));
        assert_eq!(booked, Ok(1));
        if kept {
            assert_eq!((offered, accepted), (Ok(2), Ok(3)));
        } else {
            let too_early = RideError::Refused(Refusal::WrongState(RideState::Requested));
            assert_eq!((offered, accepted), (Err(RideError::Journal(JournalError::Full)), Err(too_early)));
        }
    }
}
