//! The events of a ride as lines of text, each once. Pure.

use std::time::{Duration, SystemTime};

use rides_proto::v1::{
    self, Progress, RideEvent, RideState, WatchRequest, ride_event::Event, watch_response::Opened,
};

use crate::{
    client::{
        output::{BOLD, DIM},
        text::{cancelled, distance, duration, money, ride_style, stop, trip, wire_duration},
    },
    terminal_text::strip_controls,
};

/// The state of a ride that is followed, over all streams.
#[derive(Default)]
pub(super) struct Timeline {
    cursor: WatchRequest,
    began: Option<SystemTime>,
    state: RideState,
}

impl Timeline {
    /// Makes the state of a ride before its first event.
    pub(super) fn of(ride_id: String) -> Self {
        Self { cursor: WatchRequest { ride_id, ..Default::default() }, ..Self::default() }
    }

    /// Returns the request that resumes after the last event.
    pub(super) fn cursor(&self) -> WatchRequest {
        self.cursor.clone()
    }

    /// Returns `true` if a stream has been open.
    pub(super) fn has_begun(&self) -> bool {
        !self.cursor.epoch.is_empty()
    }

    /// Applies the first message of a stream. Returns `true` if the server has another journal than before; the
    /// stream then has all events of the ride again.
    pub(super) fn opened(&mut self, opened: Opened) -> bool {
        let anew = self.has_begun() && self.cursor.epoch != opened.epoch;
        if anew {
            *self = Self::of(std::mem::take(&mut self.cursor.ride_id));
        }
        self.cursor.epoch = opened.epoch;
        anew
    }

    /// Applies an event. Returns `true` if it is new.
    pub(super) fn apply(&mut self, event: &RideEvent) -> bool {
        let news = event.version > self.cursor.after_version;
        if news {
            self.cursor.after_version = event.version;
            let time = event.time.and_then(|time| SystemTime::try_from(time).ok());
            self.began = self.began.or(time);
            self.state = event.event.as_ref().map_or(self.state, state_after);
        }
        news
    }

    /// Formats an event, for example `0:07  assigned   car 7 is on its way, driven by aino`.
    pub(super) fn line(&self, event: &RideEvent) -> String {
        let time = event.time.and_then(|time| SystemTime::try_from(time).ok());
        let since = time.zip(self.began).map(|(time, began)| time.duration_since(began).unwrap_or_default());
        let (what, text) = event.event.as_ref().map_or(("?", String::new()), describe);
        let style = event.event.as_ref().map(|event| ride_style(state_after(event))).unwrap_or_default();
        format!("{DIM}{:>7}{DIM:#}  {style}{what:<10}{style:#} {text}", clock(since.unwrap_or_default()))
    }

    /// Formats the progress of the car. Empty if the car is not under way.
    pub(super) fn progress(&self, progress: &Progress) -> String {
        let (time, way) = (duration(wire_duration(progress.eta)), distance(progress.remaining_m));
        match self.state {
            RideState::Assigned => format!("the car is {time} away ({way})"),
            RideState::OnTrip => format!("{time} to go ({way})"),
            _ => String::new(),
        }
    }

    /// Returns the status line without progress.
    pub(super) fn waiting(&self) -> &'static str {
        match self.state {
            RideState::Requested => "waiting for a car",
            RideState::Offered => "waiting for the driver's answer",
            RideState::Assigned => "the car is on its way",
            RideState::Arrived => "the car waits at the pickup",
            RideState::OnTrip => "on the way",
            _ => "",
        }
    }
}

/// Returns the state of the ride after an event.
fn state_after(event: &Event) -> RideState {
    match event {
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

/// Formats an event: one word, and its details.
fn describe(event: &Event) -> (&'static str, String) {
    match event {
        Event::Requested(requested) => ("requested", requested.ride.as_ref().map(wish).unwrap_or_default()),
        Event::Offered(offered) => (
            "offered",
            format!("to car {}, {} away", offered.car_id, duration(wire_duration(offered.pickup_eta))),
        ),
        Event::OfferEnded(ended) => {
            let why = match ended.why() {
                v1::OfferEnd::Declined => "declined",
                v1::OfferEnd::TimedOut => "did not answer in time",
                v1::OfferEnd::CarLost | v1::OfferEnd::Unspecified => "became unavailable",
            };
            ("requested", format!("again: car {} {why}", ended.car_id))
        }
        Event::Assigned(assigned) => {
            let driver = strip_controls(&assigned.driver_id);
            ("assigned", format!("car {} is on its way, driven by {driver}", assigned.car_id))
        }
        Event::Unassigned(unassigned) => {
            let reason = strip_controls(&unassigned.reason);
            ("requested", format!("again: car {} does not come: {reason}", unassigned.car_id))
        }
        Event::Arrived(_) => ("arrived", "the car is at the pickup".to_owned()),
        Event::Started(started) => {
            let street =
                started.ride.as_ref().map(|ride| format!(", from {}", stop(&ride.pickup_name, ride.pickup)));
            ("started", format!("the trip begins{}", street.unwrap_or_default()))
        }
        Event::Completed(done) => {
            let fare = money(done.fare.as_ref());
            let metered = match &done.metered_fare {
                Some(metered) => format!(" (the meter read {})", money(Some(metered))),
                None => String::new(),
            };
            let trip = trip(done.distance_m, done.duration);
            ("completed", format!("{BOLD}{fare}{BOLD:#} for {trip}{metered}"))
        }
        Event::Cancelled(event) => ("cancelled", cancelled(event.by(), &event.reason)),
        Event::Expired(_) => ("expired", "no car took it in time".to_owned()),
    }
}

fn wish(ride: &v1::Ride) -> String {
    let (from, to) = (stop(&ride.pickup_name, ride.pickup), stop(&ride.dropoff_name, ride.dropoff));
    format!("{from} → {to}, {}", money(ride.fare.as_ref()))
}

/// Formats a duration, for example `0:07` or `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: u64, seconds: i64, event: Event) -> RideEvent {
        let time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        RideEvent { ride_id: "r".into(), version, time, event: Some(event) }
    }

    fn opened(epoch: &str) -> Opened {
        Opened { epoch: epoch.into(), ..Default::default() }
    }

    fn assigned() -> Event {
        Event::Assigned(v1::Assigned { car_id: 7, driver_id: "aino".into() })
    }

    #[test]
    fn each_event_is_told_once_over_all_streams() {
        let mut timeline = Timeline::of("r".into());
        assert!(!timeline.has_begun());
        assert!(!timeline.opened(opened("a")));
        let first = event(1, 100, Event::Requested(v1::Requested::default()));
        assert!(timeline.apply(&first) && !timeline.apply(&first));
        assert!(timeline.apply(&event(2, 107, assigned())));

        assert!(!timeline.opened(opened("a")), "the same journal");
        let cursor = WatchRequest { ride_id: "r".into(), epoch: "a".into(), after_version: 2 };
        assert_eq!(timeline.cursor(), cursor);
        assert!(!timeline.apply(&first) && timeline.apply(&event(3, 109, Event::Arrived(v1::Arrived {}))));

        assert!(timeline.opened(opened("b")), "another journal");
        assert!(timeline.apply(&first), "an event of the other journal is new");
    }

    #[test]
    fn events_read_as_what_happened() {
        let mut timeline = Timeline::of("r".into());
        let mut line = |event: RideEvent| {
            timeline.apply(&event);
            anstream::adapter::strip_str(&timeline.line(&event)).to_string()
        };
        let booked = v1::Ride {
            pickup_name: "Esplanadi".into(),
            dropoff_name: "Kaisaniemi".into(),
            fare: Some(v1::Money { currency: "EUR".into(), minor_units: 1240 }),
            ..Default::default()
        };
        let requested = Event::Requested(v1::Requested { ride: Some(booked) });
        let expected = "   0:00  requested  Esplanadi → Kaisaniemi, 12.40 EUR";
        assert_eq!(line(event(1, 100, requested)), expected);
        let declined = v1::OfferEnded { car_id: 8, why: v1::OfferEnd::Declined.into() };
        let expected = "   0:05  requested  again: car 8 declined";
        assert_eq!(line(event(2, 105, Event::OfferEnded(declined))), expected);
        let expected = "   0:07  assigned   car 7 is on its way, driven by aino";
        assert_eq!(line(event(3, 107, assigned())), expected);
        let euros = |minor_units| Some(v1::Money { currency: "EUR".into(), minor_units });
        let (fare, metered_fare) = (euros(2_100), euros(2_870));
        let done = v1::Completed { distance_m: 20_000, fare, metered_fare, ..Default::default() };
        let expected = "   1:40  completed  21.00 EUR for 20.0 km, 0 s (the meter read 28.70 EUR)";
        assert_eq!(line(event(4, 200, Event::Completed(done))), expected);
        let expected = "1:00:00  expired    no car took it in time";
        assert_eq!(line(event(5, 3_700, Event::Expired(v1::Expired {}))), expected);
    }

    #[test]
    fn meanwhile_it_says_what_is_waited_for() {
        let mut timeline = Timeline::of("r".into());
        let far = Progress {
            eta: Some(prost_types::Duration { seconds: 120, nanos: 0 }),
            remaining_m: 800,
            ..Default::default()
        };
        assert_eq!((timeline.waiting(), timeline.progress(&far)), ("", String::new()));
        timeline.apply(&event(1, 0, assigned()));
        assert_eq!(timeline.waiting(), "the car is on its way");
        assert_eq!(timeline.progress(&far), "the car is 2 min away (800 m)");
    }
}
