//! The state of the ride that the person follows, built from the events of its stream. Pure.

use std::sync::Arc;

use rides_proto::{ids::CarNumber, v1};

use super::decode::{self, Malformed};
use crate::model::{FollowedRide, Money, Progress, Resumed, Ride, RideState, TimelineEntry};

/// The reason why a message cannot be applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum EventError {
    /// Events before this one are missing. A new stream from the newest known version on will bring them.
    #[error("the server sent event {got} after event {after}")]
    Gap {
        /// The newest known version.
        after: u64,
        /// The version that arrived.
        got: u64,
    },
    /// The message is not valid.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The result of a `Rides.Watch` stream and all its reconnects: every event once, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct FollowedRideState {
    /// The epoch of the journal; empty before the first response.
    epoch: String,
    /// The number of the newest event.
    version: u64,
    /// The number of the newest event that existed when the last stream opened.
    head: u64,
    /// The number of events that arrived twice.
    repeats: u64,
    /// The number of times that events were missing.
    gaps: u64,
    /// `None` before the first event.
    followed: Option<FollowedRide>,
}

impl FollowedRideState {
    /// Returns the cursor for the next stream: the epoch, and the version after which it continues.
    pub(super) fn cursor(&self) -> (String, u64) {
        (self.epoch.clone(), self.version)
    }

    /// Returns the ride and its timeline for the panels, or `None` before the first event.
    pub(super) fn followed(&self) -> Option<&FollowedRide> {
        self.followed.as_ref()
    }

    /// Returns `true` if the ride has ended.
    pub(super) fn is_over(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| followed.ride.state.is_over())
    }

    /// Applies a message. Returns `true` if an event changed the ride.
    /// Fails if events are missing before this one, or if the message is not valid. After an error nothing has
    /// changed but the count of gaps.
    pub(super) fn apply(&mut self, message: v1::WatchResponse) -> Result<bool, EventError> {
        use v1::watch_response::Message;
        match message.message {
            Some(Message::Opened(opened)) => self.open(opened),
            Some(Message::Event(event)) => return self.event(event),
            Some(Message::Progress(progress)) => self.progress(&progress)?,
            Some(Message::Heartbeat(_)) | None => {}
        }
        Ok(false)
    }

    fn open(&mut self, opened: v1::watch_response::Opened) {
        let went_on = self.version > 0;
        let exact = opened.resumed && opened.epoch == self.epoch;
        let caught_up = opened.head_version.saturating_sub(if exact { self.version } else { 0 });
        let (at_version, repeats, gaps) = (self.version, self.repeats, self.gaps);
        let resumed = went_on.then_some(Resumed { at_version, caught_up, exact, repeats, gaps });
        (self.epoch, self.head) = (opened.epoch, opened.head_version);
        if !exact {
            // The server sends the whole ride again. The old state stays on the screen until the first event arrives.
            self.version = 0;
        }
        if let Some(followed) = &mut self.followed {
            (followed.head, followed.resumed) = (self.head, resumed);
        }
    }

    fn event(&mut self, event: v1::RideEvent) -> Result<bool, EventError> {
        if event.version <= self.version {
            self.repeats += 1;
            if let Some(resumed) = self.followed.as_mut().and_then(|followed| followed.resumed.as_mut()) {
                resumed.repeats = self.repeats;
            }
            return Ok(false);
        }
        if event.version > self.version + 1 {
            self.gaps += 1;
            return Err(EventError::Gap { after: self.version, got: event.version });
        }
        let (version, at) = (event.version, decode::unix_millis(event.time.as_ref()));
        let first = self.version == 0;
        let before = self.followed.as_ref().filter(|_| !first).map(|followed| &followed.ride);
        let (mut ride, text) = match event.event {
            Some(happened) => {
                let text = describe(before, &happened);
                (evolve(before, happened)?, text)
            }
            // A newer server has kinds of events that this page does not know. The event counts, and its effect
            // is unknown.
            None => (
                before.cloned().ok_or(Malformed::RIDE_WITHOUT_BEGINNING)?,
                "Something that this page does not know".to_owned(),
            ),
        };
        (ride.version, ride.updated_at) = (version, at);

        let entry = TimelineEntry { version, at, text, state: ride.state };
        let old = self.followed.take();
        let resumed = old.as_ref().and_then(|old| old.resumed);
        let (mut timeline, progress) =
            old.filter(|_| !first).map(|old| (old.timeline, old.progress)).unwrap_or_default();
        timeline.push(entry);
        let progress = progress.and_then(|progress| progress_in(ride.state, progress));
        self.followed = Some(FollowedRide { ride, timeline, head: self.head, progress, resumed });
        self.version = version;
        Ok(true)
    }

    fn progress(&mut self, progress: &v1::Progress) -> Result<(), Malformed> {
        let at = decode::point(progress.car)?;
        let Some(followed) = &mut self.followed else { return Ok(()) };
        // The server sends a route only when it has changed.
        let route = match (&progress.route, &followed.progress) {
            (None, Some(old)) => old.route.clone(),
            (route, _) => Arc::new(decode::route(route.as_ref())?),
        };
        followed.progress = Some(Progress {
            car: CarNumber(progress.car_number),
            at,
            eta_s: decode::whole_seconds(progress.eta.as_ref()),
            remaining_m: progress.remaining_m,
            route,
        });
        Ok(())
    }
}

/// Returns the part of `progress` that is still valid in `state`. At the pickup the car has no way left.
fn progress_in(state: RideState, progress: Progress) -> Option<Progress> {
    match state {
        RideState::Assigned | RideState::OnTrip => Some(progress),
        RideState::Arrived => Some(Progress { eta_s: 0, remaining_m: 0, route: Arc::default(), ..progress }),
        _ => None,
    }
}

/// Returns the ride after `event`. The server decides which events are possible in which state.
/// Fails if the first event has no ride, or if its ride is not valid.
fn evolve(before: Option<&Ride>, event: v1::ride_event::Event) -> Result<Ride, Malformed> {
    use v1::ride_event::Event;
    let whole = match event {
        Event::Requested(v1::Requested { ride: Some(ref ride) })
        | Event::Started(v1::Started { ride: Some(ref ride) }) => Some(decode::ride(ride.clone())?),
        _ => None,
    };
    let mut ride = whole.or_else(|| before.cloned()).ok_or(Malformed::RIDE_WITHOUT_BEGINNING)?;
    let no_car = |ride: &mut Ride| {
        ride.car_id = None;
        ride.driver_id.clear();
    };
    ride.state = match event {
        Event::Requested(_) => RideState::Requested,
        Event::Offered(offer) => {
            (ride.car_id, ride.driver_id) = (Some(offer.car_id), offer.driver_id);
            RideState::Offered
        }
        Event::OfferEnded(_) | Event::Unassigned(_) => {
            no_car(&mut ride);
            RideState::Requested
        }
        Event::Assigned(assigned) => {
            (ride.car_id, ride.driver_id) = (Some(assigned.car_id), assigned.driver_id);
            RideState::Assigned
        }
        Event::Arrived(_) => RideState::Arrived,
        Event::Started(_) => RideState::OnTrip,
        Event::Completed(done) => {
            (ride.distance_m, ride.duration_s) =
                (done.distance_m, decode::whole_seconds(done.duration.as_ref()));
            ride.fare = decode::money(done.fare);
            RideState::Completed
        }
        Event::Cancelled(cancelled) => {
            ride.cancel_reason = cancelled.reason;
            RideState::Cancelled
        }
        Event::Expired(_) => RideState::Expired,
    };
    Ok(ride)
}

/// Describes an event in one short line for people.
fn describe(before: Option<&Ride>, event: &v1::ride_event::Event) -> String {
    use v1::ride_event::Event;
    match event {
        Event::Requested(_) => "Requested".to_owned(),
        Event::Offered(offer) => match decode::whole_seconds(offer.pickup_eta.as_ref()).div_ceil(60) {
            0 => format!("Offered to car {}", offer.car_id),
            minutes => format!("Offered to car {}, {minutes} min away", offer.car_id),
        },
        Event::OfferEnded(ended) => match ended.why() {
            v1::OfferEnd::Declined => format!("Car {} declined", ended.car_id),
            v1::OfferEnd::TimedOut => format!("Car {} did not answer", ended.car_id),
            v1::OfferEnd::CarLost => format!("Car {} was lost", ended.car_id),
            v1::OfferEnd::Unspecified => format!("The offer to car {} ended", ended.car_id),
        },
        Event::Assigned(assigned) => format!("Car {} is on its way", assigned.car_id),
        Event::Unassigned(lost) => with_reason(format!("Car {} is not coming", lost.car_id), &lost.reason),
        Event::Arrived(_) => match before.and_then(|ride| ride.car_id) {
            Some(car) => format!("Car {car} is at the pickup"),
            None => "The car is at the pickup".to_owned(),
        },
        Event::Started(v1::Started { ride: Some(_) }) => "Picked up off the street".to_owned(),
        Event::Started(_) => "On the trip".to_owned(),
        Event::Completed(done) => {
            let fare = format!("Completed: {}", amount(&decode::money(done.fare.clone())));
            match &done.metered_fare {
                Some(metered) => {
                    format!("{fare}; the meter read {}", amount(&decode::money(Some(metered.clone()))))
                }
                None => fare,
            }
        }
        Event::Cancelled(cancelled) => {
            let by = match cancelled.by() {
                v1::Actor::Rider => "Cancelled by the rider",
                v1::Actor::Driver => "Cancelled by the driver",
                v1::Actor::Dispatcher => "Cancelled by the dispatcher",
                v1::Actor::Unspecified => "Cancelled",
            };
            with_reason(by.to_owned(), &cancelled.reason)
        }
        Event::Expired(_) => "No car took it in time".to_owned(),
    }
}

fn with_reason(text: String, reason: &str) -> String {
    if reason.is_empty() { text } else { format!("{text}: {reason}") }
}

/// Formats an amount: "12.40 EUR". Every currency that the server uses has two decimals.
fn amount(money: &Money) -> String {
    let sign = if money.minor_units < 0 { "-" } else { "" };
    let minor = money.minor_units.unsigned_abs();
    format!("{sign}{}.{:02} {}", minor / 100, minor % 100, money.currency)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use v1::{
        ride_event::Event,
        watch_response::{Message, Opened},
    };

    use super::*;

    fn opened(epoch: &str, resumed: bool, head_version: u64) -> v1::WatchResponse {
        let opened = Opened { epoch: epoch.to_owned(), resumed, head_version };
        v1::WatchResponse { message: Some(Message::Opened(opened)) }
    }

    fn event(version: u64, event: Event) -> v1::WatchResponse {
        let event = v1::RideEvent { version, event: Some(event), ..Default::default() };
        v1::WatchResponse { message: Some(Message::Event(event)) }
    }

    fn progress(eta: i64, route: Option<v1::Path>) -> v1::WatchResponse {
        let progress = v1::Progress {
            car: Some(v1::Location { lat: 60.0, lng: 25.0 }),
            car_number: 4,
            eta: Some(prost_types::Duration { seconds: eta, nanos: 0 }),
            remaining_m: 100,
            route,
        };
        v1::WatchResponse { message: Some(Message::Progress(progress)) }
    }

    fn requested() -> Event {
        let ride = v1::Ride {
            ride_id: "r1".to_owned(),
            version: 1,
            state: v1::RideState::Requested.into(),
            ..Default::default()
        };
        Event::Requested(v1::Requested { ride: Some(ride) })
    }

    fn offered() -> Event {
        let pickup_eta = Some(prost_types::Duration { seconds: 130, nanos: 0 });
        Event::Offered(v1::Offered { car_id: 17, driver_id: "d".to_owned(), pickup_eta, expires_at: None })
    }

    fn assigned() -> Event {
        Event::Assigned(v1::Assigned { car_id: 17, driver_id: "d".to_owned() })
    }

    fn following(messages: impl IntoIterator<Item = v1::WatchResponse>) -> FollowedRideState {
        let mut following = FollowedRideState::default();
        for message in messages {
            following.apply(message).expect("well formed");
        }
        following
    }

    fn ride(following: &FollowedRideState) -> &Ride {
        &following.followed().expect("an event came").ride
    }

    /// BAD-3
    #[test]
    fn a_fare_that_is_limited_is_told_with_what_the_meter_read() {
        let euros = |minor_units| Some(v1::Money { currency: "EUR".to_owned(), minor_units });
        let done = v1::Completed { fare: euros(2_100), metered_fare: euros(2_870), ..Default::default() };
        let text = describe(None, &Event::Completed(done));
        assert_eq!(text, "Completed: 21.00 EUR; the meter read 28.70 EUR");
    }

    #[test]
    fn events_become_a_ride_and_a_timeline() {
        let fare = Some(v1::Money { currency: "EUR".to_owned(), minor_units: 1205 });
        let done = v1::Completed { distance_m: 900, fare, ..Default::default() };
        let following = following([
            opened("e", false, 0),
            event(1, requested()),
            event(2, offered()),
            event(3, assigned()),
            event(4, Event::Arrived(v1::Arrived {})),
            event(5, Event::Started(v1::Started { ride: None })),
            event(6, Event::Completed(done)),
        ]);
        let ride = ride(&following);
        assert_eq!((ride.state, ride.version, ride.car_id), (RideState::Completed, 6, Some(17)));
        assert_eq!((ride.distance_m, ride.fare.minor_units), (900, 1205));
        assert!(following.is_over());
        let lines: Vec<_> =
            following.followed().expect("followed").timeline.iter().map(|entry| &*entry.text).collect();
        assert_eq!(
            lines,
            [
                "Requested",
                "Offered to car 17, 3 min away",
                "Car 17 is on its way",
                "Car 17 is at the pickup",
                "On the trip",
                "Completed: 12.05 EUR",
            ]
        );
    }

    #[test]
    fn an_event_counts_once() {
        let following = following([
            event(1, requested()),
            event(2, offered()),
            event(2, offered()),
            event(1, requested()),
        ]);
        assert_eq!((following.followed().expect("followed").timeline.len(), following.repeats), (2, 2));
        assert_eq!(ride(&following).state, RideState::Offered);
        assert_eq!(following.cursor().1, 2);
    }

    #[test]
    fn a_gap_changes_nothing_and_is_said_after_the_resume() {
        let mut following = following([opened("e", false, 4), event(1, requested())]);
        assert_eq!(following.apply(event(3, assigned())), Err(EventError::Gap { after: 1, got: 3 }));
        assert_eq!((following.cursor().1, ride(&following).state), (1, RideState::Requested));
        for message in [opened("e", true, 3), event(2, offered()), event(2, offered()), event(3, assigned())]
        {
            following.apply(message).expect("fits");
        }
        let followed = following.followed().expect("followed");
        let resumed = Resumed { at_version: 1, caught_up: 2, exact: true, repeats: 1, gaps: 1 };
        assert_eq!((followed.resumed, followed.missed()), (Some(resumed), 0));
    }

    #[test]
    fn what_the_server_has_and_does_not_send_is_missed() {
        let mut following = following([opened("e", false, 1), event(1, requested())]);
        let missed = |following: &FollowedRideState| following.followed().map(FollowedRide::missed);
        following.apply(opened("e", true, 3)).expect("fits");
        assert_eq!(missed(&following), Some(2));
        following.apply(event(2, offered())).expect("fits");
        assert_eq!(missed(&following), Some(1));
        following.apply(event(3, assigned())).expect("fits");
        assert_eq!(missed(&following), Some(0));
    }

    #[test]
    fn an_event_of_a_newer_server_is_in_the_timeline_too() {
        let unknown = v1::RideEvent { version: 2, ..Default::default() };
        let unknown = v1::WatchResponse { message: Some(Message::Event(unknown)) };
        let following = following([event(1, requested()), unknown.clone(), event(3, assigned())]);
        let followed = following.followed().expect("followed");
        assert_eq!((followed.timeline.len(), followed.missed()), (3, 0));
        assert_eq!(followed.timeline[1].state, RideState::Requested);
        assert!(FollowedRideState::default().apply(unknown).is_err());
    }

    #[test]
    fn a_resume_says_what_it_caught_up_with() {
        let mut following = following([opened("e", false, 1), event(1, requested())]);
        assert_eq!(following.followed().expect("followed").resumed, None);
        following.apply(opened("e", true, 3)).expect("well formed");
        let resumed = following.followed().expect("followed").resumed;
        let expected = Resumed { at_version: 1, caught_up: 2, exact: true, repeats: 0, gaps: 0 };
        assert_eq!(resumed, Some(expected));
        following.apply(event(2, offered())).expect("well formed");
        assert_eq!(following.followed().expect("followed").resumed, resumed);
    }

    /// L7, L8, L9: the part of the page.
    #[test]
    fn another_epoch_tells_the_ride_anew() {
        let mut following = following([opened("e", false, 2), event(1, requested()), event(2, offered())]);
        following.apply(opened("f", false, 1)).expect("well formed");
        assert_eq!(
            ride(&following).state,
            RideState::Offered,
            "the old state stays until the first event arrives"
        );
        following.apply(event(1, requested())).expect("well formed");
        let followed = following.followed().expect("followed");
        assert_eq!((followed.timeline.len(), ride(&following).state), (1, RideState::Requested));
        let resumed = Resumed { at_version: 2, caught_up: 1, exact: false, repeats: 0, gaps: 0 };
        assert_eq!(followed.resumed, Some(resumed));
        assert_eq!(following.cursor(), ("f".to_owned(), 1));
    }

    #[test]
    fn progress_keeps_its_route_and_goes_with_the_car() {
        let path = v1::Path { microdegrees: vec![60_000_000, 25_000_000, 10, 10] };
        let mut following = following([
            event(1, requested()),
            event(2, assigned()),
            progress(60, Some(path)),
            progress(59, None),
        ]);
        let shown = following.followed().and_then(|followed| followed.progress.clone()).expect("under way");
        assert_eq!((shown.eta_s, shown.route.len(), shown.car), (59, 2, CarNumber(4)));

        following.apply(event(3, Event::Unassigned(v1::Unassigned::default()))).expect("well formed");
        assert_eq!(following.followed().and_then(|followed| followed.progress.clone()), None);
        assert_eq!(ride(&following).car_id, None);
    }

    #[test]
    fn a_ride_without_its_beginning_is_refused() {
        assert!(FollowedRideState::default().apply(event(2, offered())).is_err());
        assert!(
            FollowedRideState::default()
                .apply(event(1, Event::Requested(v1::Requested { ride: None })))
                .is_err()
        );
    }

    /// A fault of the server, or an event in the life of the stream.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Sent,
        SentTwice,
        SentAgain(u64),
        LeftOut,
        Cut,
        /// The journal was restored: the same events have another epoch.
        Restored,
        Happened,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            4 => Just(Fate::Sent),
            3 => Just(Fate::Happened),
            1 => Just(Fate::SentTwice),
            1 => (1..20u64).prop_map(Fate::SentAgain),
            1 => Just(Fate::LeftOut),
            1 => Just(Fate::Cut),
            1 => Just(Fate::Restored),
        ]
    }

    fn nth(version: u64) -> v1::WatchResponse {
        event(version, if version == 1 { requested() } else { offered() })
    }

    /// A server whose streams omit and repeat events, and end at any point.
    struct Faulty {
        following: FollowedRideState,
        epoch: u32,
        head: u64,
        /// The next version that the open stream sends.
        next: u64,
    }

    impl Faulty {
        fn open(&mut self) {
            let (epoch, after) = self.following.cursor();
            let resumed = epoch == self.epoch.to_string() && after <= self.head;
            self.next = if resumed { after + 1 } else { 1 };
            self.following.apply(opened(&self.epoch.to_string(), resumed, self.head)).expect("fits");
        }

        fn sends(&mut self, version: u64) {
            if version <= self.head && self.following.apply(nth(version)).is_err() {
                self.open();
            }
        }

        fn suffers(&mut self, fate: Fate) {
            let next = self.next;
            match fate {
                Fate::Happened => self.head += 1,
                Fate::Cut => self.open(),
                Fate::Restored => {
                    self.epoch += 1;
                    self.open();
                }
                Fate::SentAgain(version) => self.sends(version.min(next)),
                Fate::Sent | Fate::SentTwice | Fate::LeftOut => {
                    self.next = (next + 1).min(self.head + 1);
                    let times = match fate {
                        Fate::LeftOut => 0,
                        Fate::SentTwice => 2,
                        _ => 1,
                    };
                    (0..times).for_each(|_| self.sends(next));
                }
            }
        }
    }

    proptest! {
        /// L6, L8: whatever happens to the streams, the timeline always has every event once and in order, and
        /// it is complete after a stream without faults.
        #[test]
        fn every_event_is_there_once_and_in_order(fates in prop::collection::vec(fate(), 0..80)) {
            let mut server = Faulty { following: FollowedRideState::default(), epoch: 1, head: 1, next: 1 };
            server.open();
            for fate in fates {
                server.suffers(fate);
                if let Some(followed) = server.following.followed() {
                    let versions: Vec<u64> = followed.timeline.iter().map(|entry| entry.version).collect();
                    prop_assert_eq!(&versions, &(1..=followed.ride.version).collect::<Vec<_>>());
                    let to_come = server.head.saturating_sub(versions.len() as u64);
                    prop_assert!(followed.missed() <= to_come);
                }
            }
            server.open();
            (server.next..=server.head).for_each(|version| server.sends(version));
            let followed = server.following.followed().expect("at least one event");
            prop_assert_eq!((followed.timeline.len() as u64, followed.missed()), (server.head, 0));
        }
    }
}
