//! Everything that the server has acknowledged, and every acknowledgement that it contradicted.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, MutexGuard},
};

use rides_proto::v1::{BookRequest, Ride, RideEvent, RideState, ride_event::Event, watch_response::Opened};

/// The record of the storm, shared by all clients.
pub(crate) struct Ledger {
    seed: u64,
    pages: Mutex<LedgerInner>,
}

#[derive(Default)]
struct LedgerInner {
    epoch: Option<String>,
    rides: BTreeMap<String, RideRecord>,
    /// Ride ids by request id.
    requests: HashMap<String, String>,
    /// Rides with news since the last call of [`Ledger::fresh`].
    fresh: Vec<String>,
    broken: Vec<String>,
    tally: StormCounters,
}

/// Everything that clients were told about one ride.
#[derive(Clone, Default)]
pub(crate) struct RideRecord {
    pub(crate) request: Option<BookRequest>,
    /// The newest version that a client has seen.
    pub(crate) version: u64,
    /// The version and the state in each response of a unary call.
    answers: Vec<(u64, RideState)>,
    /// The events that the watcher of the ride has received.
    pub(crate) story: Vec<RideEvent>,
}

/// Counters that show whether the storm covered the cases.
#[derive(Clone, Default, Debug)]
pub(crate) struct StormCounters {
    pub(crate) kills: u32,
    pub(crate) kills_at_start: u32,
    pub(crate) bookings: u32,
    pub(crate) cancellations: u32,
    /// Events that watchers have received, by the state after them.
    pub(crate) events: BTreeMap<&'static str, u32>,
    pub(crate) resumes: u32,
    /// Bookings whose response was lost: after they had taken effect (L1), and before (L2).
    pub(crate) lost_after_commit: u32,
    pub(crate) lost_before_commit: u32,
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, pages: Mutex::default() }
    }

    fn pages(&self) -> MutexGuard<'_, LedgerInner> {
        self.pages.lock().unwrap()
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut StormCounters)) {
        count(&mut self.pages().tally);
    }

    /// Records a broken promise and its details.
    pub(crate) fn record_broken(&self, promise: &str, how: impl fmt::Display) {
        self.pages().broken.push(format!("{promise}: {how}"));
    }

    /// Records a booking to which the server responded with `ride`.
    pub(crate) fn booked(&self, request: &BookRequest, ride: &Ride) {
        self.record_response(0, ride);
        let mut pages = self.pages();
        let id = &request.request_id;
        let known = pages.requests.entry(id.clone()).or_insert_with(|| ride.ride_id.clone());
        if *known != ride.ride_id {
            let how = format!("twice: {id} booked {known}, and {}", ride.ride_id);
            pages.broken.push(how);
        }
        let account = pages.rides.entry(ride.ride_id.clone()).or_default();
        account.request.get_or_insert_with(|| request.clone());
    }

    /// Records a response with `ride`. `before` is the newest version that was known when the call was made.
    pub(crate) fn record_response(&self, before: u64, ride: &Ride) {
        let mut pages = self.pages();
        if ride.version < before {
            let how = format!("lost: {} was at {before}, and is at {}", ride.ride_id, ride.version);
            pages.broken.push(how);
        }
        let account = pages.told(&ride.ride_id, ride.version);
        account.answers.push((ride.version, ride.state()));
    }

    /// Records a watch of a ride from the epoch `cursor`, empty the first time, and the version `seen`.
    pub(crate) fn opened(&self, ride_id: &str, cursor: &str, seen: u64, opened: &Opened) {
        let mut pages = self.pages();
        let epoch = pages.epoch.get_or_insert_with(|| opened.epoch.clone()).clone();
        if opened.epoch != epoch || opened.head_version < seen {
            let how = format!("{ride_id} at {seen} of {epoch} opens as {opened:?}");
            pages.broken.push(format!("lost: {how}"));
        } else if opened.resumed == cursor.is_empty() {
            pages.broken.push(format!("out of order: {ride_id} at {seen} opens as {opened:?}"));
        }
        pages.tally.resumes += u32::from(opened.resumed);
    }

    /// Records an event that a watcher has received.
    pub(crate) fn told(&self, event: &RideEvent) {
        let mut pages = self.pages();
        let account = pages.told(&event.ride_id, event.version);
        let seen = account.story.len() as u64;
        account.story.push(event.clone());
        if event.version != seen + 1 {
            let how = format!("{} after {seen} came {}", event.ride_id, event.version);
            pages.broken.push(format!("out of order: {how}"));
        }
        *pages.tally.events.entry(state_after(event).as_str_name()).or_default() += 1;
    }

    pub(crate) fn version(&self, ride_id: &str) -> u64 {
        self.pages().rides.get(ride_id).map_or(0, |account| account.version)
    }

    /// Returns the rides with news since the last call.
    pub(crate) fn fresh(&self) -> Vec<String> {
        let mut fresh = std::mem::take(&mut self.pages().fresh);
        fresh.sort();
        fresh.dedup();
        fresh
    }

    /// Returns every ride that a client knows.
    pub(crate) fn rides(&self) -> BTreeMap<String, RideRecord> {
        self.pages().rides.clone()
    }

    pub(crate) fn tally(&self) -> StormCounters {
        self.pages().tally.clone()
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        self.pages().broken.clone()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_is_lost(&self) {
        assert!(self.broken().is_empty(), "{self}");
    }

    /// Asserts that each of the cases occurred.
    #[track_caller]
    pub(crate) fn assert_there_was_a_storm(&self) {
        let tally = self.tally();
        let counts = [tally.kills_at_start, tally.resumes, tally.lost_before_commit, tally.lost_after_commit];
        assert!(counts.iter().all(|count| *count > 0), "{self}");
        assert!(tally.events.len() >= 7, "every state but expired: {self}");
    }
}

impl LedgerInner {
    fn told(&mut self, ride_id: &str, version: u64) -> &mut RideRecord {
        let account = self.rides.entry(ride_id.to_owned()).or_default();
        if version > account.version {
            account.version = version;
            self.fresh.push(ride_id.to_owned());
        }
        account
    }
}

impl RideRecord {
    /// Returns the first response that `events` contradict.
    pub(crate) fn contradiction(&self, events: &[RideEvent]) -> Option<(u64, RideState)> {
        let state_at = |version| events.get(usize::try_from(version).ok()?.checked_sub(1)?).map(state_after);
        self.answers.iter().copied().find(|(version, state)| state_at(*version) != Some(*state))
    }
}

fn state_after(event: &RideEvent) -> RideState {
    match event.event.as_ref().expect("an event without a kind") {
        Event::Requested(_) | Event::OfferEnded(_) | Event::Unassigned(_) => RideState::Requested,
        Event::Offered(_) => RideState::Offered,
        Event::Assigned(_) => RideState::Assigned,
        Event::Arrived(_) => RideState::Arrived,
        Event::Started(_) => RideState::OnTrip,
        Event::Completed(_) => RideState::Completed,
        Event::Cancelled(_) => RideState::Cancelled,
        Event::Expired(_) => RideState::Expired,
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages();
        writeln!(f, "RIDES_STORM={}: {} promises broken. {:#?}", self.seed, pages.broken.len(), pages.tally)?;
        pages.broken.iter().take(20).try_for_each(|broken| writeln!(f, "  {broken}"))
    }
}

/// Tests of the ledger itself, with the faults that it must find.
mod tests {
    use rides_proto::v1::{Cancelled, Requested};

    use super::*;

    fn ride(version: u64, state: RideState) -> Ride {
        Ride { ride_id: "r".into(), version, state: state.into(), ..Default::default() }
    }

    fn event(version: u64, event: Event) -> RideEvent {
        RideEvent { ride_id: "r".into(), version, event: Some(event), ..Default::default() }
    }

    fn requested() -> RideEvent {
        event(1, Event::Requested(Requested::default()))
    }

    fn cancelled(version: u64) -> RideEvent {
        event(version, Event::Cancelled(Cancelled::default()))
    }

    fn opened(epoch: &str, resumed: bool, head_version: u64) -> Opened {
        Opened { epoch: epoch.into(), resumed, head_version }
    }

    fn finds(promise: &str, what: impl FnOnce(&Ledger)) {
        let ledger = Ledger::new(0);
        ledger.opened("r", "", 0, &opened("e", false, 1));
        ledger.told(&requested());
        ledger.record_response(0, &ride(1, RideState::Requested));
        ledger.assert_nothing_is_lost();
        what(&ledger);
        let broken = ledger.broken();
        assert!(matches!(&broken[..], [found] if found.starts_with(promise)), "{promise}: {broken:?}");
    }

    #[test]
    fn it_finds_gaps_and_repeats_and_what_went_back() {
        finds("out of order", |ledger| ledger.told(&requested()));
        finds("out of order", |ledger| ledger.told(&cancelled(3)));
        finds("out of order", |ledger| ledger.opened("r", "e", 1, &opened("e", false, 1)));
        finds("lost", |ledger| ledger.opened("r", "e", 1, &opened("e", true, 0)));
        finds("lost", |ledger| ledger.opened("r", "e", 1, &opened("another", false, 1)));
        finds("lost", |ledger| ledger.record_response(2, &ride(1, RideState::Requested)));
        finds("twice", |ledger| {
            let request = BookRequest { request_id: "key".into(), ..Default::default() };
            ledger.booked(&request, &ride(1, RideState::Requested));
            ledger.booked(&request, &Ride { ride_id: "another".into(), ..ride(1, RideState::Requested) });
        });
    }

    #[test]
    fn it_finds_answers_that_the_events_do_not_bear_out() {
        let ledger = Ledger::new(0);
        ledger.record_response(0, &ride(1, RideState::Requested));
        ledger.record_response(1, &ride(2, RideState::Cancelled));
        let account = &ledger.rides()["r"];
        assert_eq!(account.contradiction(&[requested(), cancelled(2)]), None);
        let forgotten = Some((2, RideState::Cancelled));
        assert_eq!(account.contradiction(&[requested()]), forgotten);
        assert_eq!(account.contradiction(&[requested(), requested()]), forgotten);
    }
}
