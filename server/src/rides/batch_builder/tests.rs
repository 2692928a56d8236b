use proptest::prelude::*;

use super::*;
use crate::rides::{
    model::{Booking, CarAndDriver, TripSummary},
    testing::{any_command, booking, car, crew, noon, offer, place},
};

fn id(n: usize) -> RideId {
    RideId::new(format!("ride-{n}"))
}

fn book() -> Command {
    Command::Book(Arc::new(booking("ada")))
}

fn decide(draft: &mut BatchBuilder<'_>, n: usize, command: &Command) -> Result<Ride, RideError> {
    match draft.ride(&id(n)) {
        Some(log) => draft.decide(&log, command, noon()),
        None => draft.open(id(n), command, None, noon()),
    }
}

/// Decides a batch and commits it, as if the journal had stored it.
fn commit(board: &mut ActiveRides, batch: &[(usize, Command)]) -> Vec<Result<Ride, RideError>> {
    let mut drafted = StagedBatch::default();
    let mut draft = BatchBuilder::on(board, None, &mut drafted);
    let outcomes = batch.iter().map(|(n, command)| decide(&mut draft, *n, command)).collect();
    board.commit(drafted.changes);
    outcomes
}

#[test]
fn a_batch_sees_itself_and_the_board_does_not_until_it_is_committed() {
    let mut board = ActiveRides::default();
    let offered = Command::Offer { crew: crew(1), offer: offer(noon()) };
    let batch = [(0, book()), (1, book()), (0, offered.clone()), (1, offered)];
    {
        let mut drafted = StagedBatch::default();
        let mut draft = BatchBuilder::on(&board, None, &mut drafted);
        draft.open(id(0), &book(), None, noon()).expect("the ride is new");
        assert!(draft.ride(&id(0)).is_some() && board.ride(&id(0)).is_none());
    }
    let outcomes = commit(&mut board, &batch);
    assert_eq!(outcomes[2].as_ref().map(Ride::current_car), Ok(Some(car(1))));
    assert_eq!(outcomes[3], Err(RideError::Refused(Refusal::CarBusy)));
    assert_eq!(board.ride_of(car(1)), Some(&id(0)));
}

#[test]
fn a_car_that_is_let_go_is_free_for_another_ride_in_the_same_batch() {
    let mut board = ActiveRides::default();
    let offered = Command::Offer { crew: crew(1), offer: offer(noon()) };
    commit(&mut board, &[(0, book()), (1, book()), (0, offered.clone())]);
    let outcomes = commit(&mut board, &[(0, Command::Decline { car: car(1) }), (1, offered)]);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(board.ride_of(car(1)), Some(&id(1)));
}

#[test]
fn a_start_sent_again_is_the_same_ride_until_that_is_over() {
    let start = |driver: &str, passenger: &str| {
        let crew = CarAndDriver { driver: driver.into(), ..crew(1) };
        let booking = Booking { passengers: vec![passenger.into()], dropoff: None, ..booking("") };
        Command::StartOffStreet { booking: Arc::new(booking), crew, since: noon() }
    };
    let mut board = ActiveRides::default();
    let mut drafted = StagedBatch::default();
    let mut draft = BatchBuilder::on(&board, None, &mut drafted);
    let first = draft.open(id(0), &start("aino", "ada"), None, noon()).expect("the car is free");
    assert_eq!(
        draft.open(id(1), &start("aino", "ada"), None, noon()),
        Ok(first.clone()),
        "the repeat is in the same batch"
    );
    assert_eq!(drafted.entries.len(), 1);
    board.commit(drafted.changes);

    let mut drafted = StagedBatch::default();
    let mut draft = BatchBuilder::on(&board, None, &mut drafted);
    assert_eq!(draft.open(id(2), &start("aino", "ada"), None, noon()), Ok(first));
    let busy = Err(RideError::Refused(Refusal::CarBusy));
    for other in [start("bob", "ada"), start("aino", "eve")] {
        assert_eq!(draft.open(id(3), &other, None, noon()), busy);
    }
    let end =
        Command::DropOff { car: None, figures: TripSummary::default(), metered_fare: None, at: place(5) };
    let log = draft.ride(&id(0)).expect("the ride is open");
    draft.decide(&log, &end, noon()).expect("the ride is on its trip");
    assert_eq!(draft.open(id(4), &start("aino", "ada"), None, noon()).map(|ride| ride.id), Ok(id(4)));
}

#[test]
fn a_start_is_no_repeat_of_a_ride_that_was_booked() {
    let mut board = ActiveRides::default();
    let mut ride = vec![(0, book()), (0, Command::Offer { crew: crew(1), offer: offer(noon()) })];
    let steps =
        [Command::Accept { car: car(1) }, Command::Arrive { car: car(1) }, Command::PickUp { car: car(1) }];
    ride.extend(steps.map(|command| (0, command)));
    assert!(commit(&mut board, &ride).iter().all(Result::is_ok));
    let start = Command::StartOffStreet { booking: Arc::new(booking("ada")), crew: crew(1), since: noon() };
    let outcome =
        BatchBuilder::on(&board, None, &mut StagedBatch::default()).open(id(1), &start, None, noon());
    assert_eq!(outcome, Err(RideError::Refused(Refusal::CarBusy)));
}

#[test]
fn a_ride_that_is_over_leaves_the_board_after_its_watchers_saw_it() {
    let mut board = ActiveRides::default();
    commit(&mut board, &[(0, book())]);
    let mut feed = board.watch(&id(0)).expect("the ride is open");
    let cancel = Command::Cancel { by: crate::rides::model::Actor::Rider, car: None, reason: String::new() };
    commit(&mut board, &[(0, cancel)]);
    assert!(board.ride(&id(0)).is_none());
    assert!(feed.has_changed().is_err(), "the feed is closed");
    assert!(feed.borrow_and_update().ride.state.is_over());
}

proptest! {
    #[test]
    fn one_ride_a_car_and_one_car_a_ride(
        commands in prop::collection::vec((0..4usize, any_command()), 1..120),
        batch in 1..20usize,
    ) {
        let mut board = ActiveRides::default();
        for batch in commands.chunks(batch) {
            commit(&mut board, batch);
            let held: Vec<_> = (0..4)
                .filter_map(|n| Some((board.ride(&id(n))?.ride.current_car()?, id(n))))
                .collect();
            for n in 1..=3 {
                let of_car: Vec<_> = held.iter().filter(|(c, _)| *c == car(n)).map(|(_, ride)| ride).collect();
                prop_assert_eq!(of_car, board.ride_of(car(n)).into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_batch_comes_to_the_same_whether_the_one_before_is_kept_or_on_its_way(
        first in prop::collection::vec((0..4usize, any_command()), 0..60),
        second in prop::collection::vec((0..4usize, any_command()), 0..60),
    ) {
        let mut board = ActiveRides::default();
        let (mut before, mut ahead, mut after) = <(StagedBatch, StagedBatch, StagedBatch)>::default();
        let mut draft = BatchBuilder::on(&board, None, &mut before);
        for (n, command) in &first {
            let _ = decide(&mut draft, *n, command);
        }
        let mut draft = BatchBuilder::on(&board, Some(&before), &mut ahead);
        let early: Vec<_> = second.iter().map(|(n, command)| decide(&mut draft, *n, command)).collect();

        let journal = before.changes.rides.clone();
        board.commit(before.changes);
        let mut draft = BatchBuilder::on(&board, None, &mut after);
        let late: Vec<_> = second
            .iter()
            .map(|(n, command)| match draft.ride(&id(*n)).or_else(|| journal.get(&id(*n)).cloned()) {
                Some(log) => draft.decide(&log, command, noon()),
                None => draft.open(id(*n), command, None, noon()),
            })
            .collect();
        prop_assert_eq!(early, late);
        prop_assert_eq!(ahead.entries, after.entries);
    }

    #[test]
    fn the_entries_of_a_batch_replay_to_what_it_changes(
        commands in prop::collection::vec((0..3usize, any_command()), 1..60),
    ) {
        let board = ActiveRides::default();
        let mut drafted = StagedBatch::default();
        let mut draft = BatchBuilder::on(&board, None, &mut drafted);
        for (n, command) in &commands {
            let _ = decide(&mut draft, *n, command);
        }
        for (ride, log) in drafted.changes.rides {
            let events = drafted.entries.iter().map(Entry::event).filter(|event| event.ride == ride);
            prop_assert_eq!(RideLog::replay(events.cloned().collect()), Ok(Some((*log).clone())));
        }
    }
}
