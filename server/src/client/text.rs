//! Messages of the server as text for people. Pure.

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use prost_types::Timestamp;
use rides_proto::v1::{self, CarState, Location, Money, RideState};

use super::output::{BOLD, DIM};
use crate::terminal_text::strip_controls;

/// Formats an amount, for example `12.40 EUR`.
pub(super) fn money(amount: Option<&Money>) -> String {
    let Some(Money { currency, minor_units }) = amount else { return "–".to_owned() };
    format!("{}.{:02} {currency}", minor_units / 100, (minor_units % 100).abs())
}

/// Formats a distance, for example `850 m` or `2.3 km`.
pub(super) fn distance(metres: u32) -> String {
    match metres {
        0..1_000 => format!("{metres} m"),
        _ => format!("{:.1} km", f64::from(metres) / 1_000.0),
    }
}

/// Formats a duration, for example `45 s`, `7 min` or `2 h 5 min`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    match (seconds, minutes) {
        (0..60, _) => format!("{seconds} s"),
        (_, 0..60) => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Converts the duration of a message. One that is absent or negative becomes zero.
pub(super) fn wire_duration(time: Option<prost_types::Duration>) -> Duration {
    time.and_then(|time| time.try_into().ok()).unwrap_or_default()
}

/// Returns the time since `time`, or `None` if it is absent or invalid. A time in the future, by a clock that
/// differs, gives zero.
pub(super) fn since(time: Option<Timestamp>, now: SystemTime) -> Option<Duration> {
    let time = SystemTime::try_from(time?).ok()?;
    Some(now.duration_since(time).unwrap_or_default())
}

/// Formats a point as arguments have it, for example `60.17012,24.93811`.
pub(super) fn point(at: Option<Location>) -> String {
    at.map_or_else(|| "–".to_owned(), |Location { lat, lng }| format!("{lat:.5},{lng:.5}"))
}

/// Formats a stop: the name of its street, or its point if it has no name.
pub(super) fn stop(name: &str, at: Option<Location>) -> String {
    if name.is_empty() { point(at) } else { strip_controls(name) }
}

/// Returns the name of a ride's state.
pub(super) fn ride_state(state: RideState) -> &'static str {
    match state {
        RideState::Unspecified => "unknown",
        RideState::Requested => "requested",
        RideState::Offered => "offered",
        RideState::Assigned => "assigned",
        RideState::Arrived => "arrived",
        RideState::OnTrip => "on trip",
        RideState::Completed => "completed",
        RideState::Cancelled => "cancelled",
        RideState::Expired => "expired",
    }
}

/// Returns the style of a ride's state.
pub(super) fn ride_style(state: RideState) -> Style {
    match state {
        RideState::Requested | RideState::Offered => AnsiColor::Yellow.on_default(),
        RideState::Assigned | RideState::Arrived => AnsiColor::Cyan.on_default(),
        RideState::OnTrip => AnsiColor::Green.on_default(),
        RideState::Completed => Style::new(),
        RideState::Cancelled | RideState::Expired | RideState::Unspecified => DIM,
    }
}

/// Returns the name of a car's state.
pub(super) fn car_state(state: CarState) -> &'static str {
    match state {
        CarState::Unspecified => "unknown",
        CarState::Free => "free",
        CarState::Offered => "offered",
        CarState::ToPickup => "to pickup",
        CarState::AtPickup => "at pickup",
        CarState::OnTrip => "on trip",
        CarState::OffDuty => "off duty",
    }
}

/// Returns the style of a car's state.
pub(super) fn car_style(state: CarState) -> Style {
    match state {
        CarState::Free => AnsiColor::Green.on_default(),
        CarState::Offered => AnsiColor::Yellow.on_default(),
        CarState::ToPickup | CarState::AtPickup => AnsiColor::Cyan.on_default(),
        CarState::OnTrip => AnsiColor::Magenta.on_default(),
        CarState::OffDuty | CarState::Unspecified => DIM,
    }
}

/// Formats a quote, one fact per line.
pub(super) fn quote(quote: &v1::QuoteResponse) -> String {
    let pickup_eta = quote.pickup_eta.map(|eta| format!("in {}", duration(wire_duration(Some(eta)))));
    let trip = trip(quote.trip_distance_m, quote.trip_duration);
    facts(&[
        ("from", stop_at(&quote.pickup_name, quote.pickup)),
        ("to", stop_at(&quote.dropoff_name, quote.dropoff)),
        ("fare", format!("{BOLD}{}{BOLD:#}", money(quote.fare.as_ref()))),
        ("trip", trip),
        ("pickup", pickup_eta.unwrap_or_else(|| "no car is free now".to_owned())),
    ])
}

/// Formats a ride, one fact per line. Ages are relative to `now`.
pub(super) fn ride(ride: &v1::Ride, now: SystemTime) -> String {
    let (state, style) = (ride.state(), ride_style(ride.state()));
    let ago = |time| since(time, now).map_or_else(|| "–".to_owned(), |ago| format!("{} ago", duration(ago)));
    let names = ride.passenger_ids.iter().map(|name| strip_controls(name)).collect::<Vec<_>>().join(", ");
    let mut lines = vec![
        ("ride", format!("{BOLD}{}{BOLD:#}", strip_controls(&ride.ride_id))),
        ("state", format!("{style}{}{style:#}, {}", ride_state(state), ago(ride.updated_at))),
        ("from", stop_at(&ride.pickup_name, ride.pickup)),
        ("to", stop_at(&ride.dropoff_name, ride.dropoff)),
        ("fare", money(ride.fare.as_ref())),
        ("trip", trip(ride.distance_m, ride.duration)),
    ];
    let more = [
        ("rider", strip_controls(&ride.rider_id), !ride.rider_id.is_empty()),
        ("with", names, !ride.passenger_ids.is_empty()),
        ("type", "pool".to_owned(), ride.r#type() == v1::RideType::Pool),
        ("car", format!("{}, driven by {}", ride.car_id, strip_controls(&ride.driver_id)), ride.car_id != 0),
        ("booked", ago(ride.requested_at), true),
        ("why", cancelled(ride.cancelled_by(), &ride.cancel_reason), state == RideState::Cancelled),
    ];
    lines.extend(more.into_iter().filter(|(.., said)| *said).map(|(name, text, _)| (name, text)));
    facts(&lines)
}

/// Formats a cancellation: the party that cancelled, and its reason.
pub(super) fn cancelled(by: v1::Actor, reason: &str) -> String {
    let by = match by {
        v1::Actor::Unspecified => "an unknown party",
        v1::Actor::Rider => "the rider",
        v1::Actor::Driver => "the driver",
        v1::Actor::Dispatcher => "the dispatcher",
    };
    match reason {
        "" => format!("by {by}"),
        reason => format!("by {by}: {}", strip_controls(reason)),
    }
}

/// Formats the distance and duration of a trip, for example `2.3 km, 7 min`.
pub(super) fn trip(distance_m: u32, time: Option<prost_types::Duration>) -> String {
    format!("{}, {}", distance(distance_m), duration(wire_duration(time)))
}

fn stop_at(name: &str, at: Option<Location>) -> String {
    match name {
        "" => point(at),
        name => format!("{} {DIM}{}{DIM:#}", strip_controls(name), point(at)),
    }
}

/// Formats lines of a name and a value, with the values aligned.
fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, text): &(&str, String)| format!("{DIM}{name:<width$}{DIM:#}  {text}");
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn figures_are_as_people_say_them() {
        let euros = |minor_units| money(Some(&Money { currency: "EUR".into(), minor_units }));
        assert_eq!([euros(1240), euros(5), euros(0)], ["12.40 EUR", "0.05 EUR", "0.00 EUR"]);
        assert_eq!([distance(0), distance(999), distance(2_349)], ["0 m", "999 m", "2.3 km"]);
        let time = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [time(0), time(59), time(60), time(89), time(90)],
            ["0 s", "59 s", "1 min", "1 min", "2 min"]
        );
        assert_eq!([time(3_599), time(7_500)], ["1 h 0 min", "2 h 5 min"]);
        assert_eq!(point(Some(Location { lat: 60.170_123, lng: -24.9 })), "60.17012,-24.90000");
    }

    #[test]
    fn a_quote_says_all_one_asks_before_booking() {
        let quoted = v1::QuoteResponse {
            fare: Some(Money { currency: "EUR".into(), minor_units: 1240 }),
            pickup_eta: Some(prost_types::Duration { seconds: 180, nanos: 0 }),
            trip_duration: Some(prost_types::Duration { seconds: 420, nanos: 0 }),
            trip_distance_m: 2_300,
            pickup: Some(Location { lat: 60.17, lng: 24.94 }),
            dropoff: Some(Location { lat: 60.16, lng: 24.95 }),
            pickup_name: "Esplanadi".into(),
            ..Default::default()
        };
        let expected = "from    Esplanadi 60.17000,24.94000\n\
                        to      60.16000,24.95000\n\
                        fare    12.40 EUR\n\
                        trip    2.3 km, 7 min\n\
                        pickup  in 3 min";
        assert_eq!(plain(&quote(&quoted)), expected);
        let nobody = v1::QuoteResponse { pickup_eta: None, ..quoted };
        assert!(plain(&quote(&nobody)).ends_with("no car is free now"));
    }

    #[test]
    fn a_ride_says_who_and_when_and_why_not() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let cancelled = v1::Ride {
            ride_id: "r".into(),
            state: RideState::Cancelled.into(),
            rider_id: "ada\u{1b}[2J".into(),
            car_id: 7,
            driver_id: "aino".into(),
            requested_at: at(880),
            updated_at: at(2_000),
            cancelled_by: v1::Actor::Rider.into(),
            cancel_reason: "a tram came".into(),
            ..Default::default()
        };
        let text = plain(&ride(&cancelled, now));
        for line in [
            "state   cancelled, 0 s ago",
            "rider   ada[2J",
            "car     7, driven by aino",
            "booked  2 min ago",
            "why     by the rider: a tram came",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("with") && !text.contains("type"), "{text}");
    }
}
