//! The validation of the fields of requests.
//!
//! Each function takes the path of a field and its value. It returns the value in a type of the server, or fails with
//! an error that names the field.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use rides_proto::{geo::LatLng, ids::CarId, v1};
use uuid::Uuid;

use super::bad_request::{BadRequest, all, invalid_because, not_on_earth};
use crate::{
    access::Principal,
    rides::model::{Actor, RideState, RideType},
};

/// The maximum length of a name or an id that a client chooses, in characters.
pub const MAX_NAME: usize = 64;
/// The maximum length of a reason, in characters.
pub const MAX_REASON: usize = 200;
/// The maximum number of passengers of one ride.
pub const MAX_PASSENGERS: usize = 16;
/// The maximum length of a `request_id`, in bytes.
const MAX_REQUEST_ID: usize = 64;
const DEFAULT_PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: u32 = 200;

/// The maximum age of a time that a client sends. An older one is replaced by the server's time.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Validates a required point on Earth.
pub fn location(field: &str, location: Option<v1::Location>) -> Result<LatLng, BadRequest> {
    optional_location(field, location)?.ok_or_else(|| invalid_because(field, "MISSING", "must be set"))
}

/// Validates an optional point on Earth.
pub fn optional_location(field: &str, location: Option<v1::Location>) -> Result<Option<LatLng>, BadRequest> {
    location.map(LatLng::try_from).transpose().map_err(|why| not_on_earth(field, why))
}

/// Validates the id of a car, which is positive.
pub fn car(field: &str, id: i64) -> Result<CarId, BadRequest> {
    CarId::new(id).ok_or_else(|| invalid_because(field, "NOT_POSITIVE", "must be positive"))
}

/// Validates a text of at most `max` characters, which may be empty.
pub fn text(field: &str, text: String, max: usize) -> Result<String, BadRequest> {
    // Bytes first: a text has at most one character per byte, so short texts need no count.
    if text.len() > max && text.chars().count() > max {
        return Err(invalid_because(field, "TOO_LONG", format!("must have at most {max} characters")));
    }
    Ok(text)
}

/// Validates a text of 1 to `max` characters.
pub fn name(field: &str, name: String, max: usize) -> Result<String, BadRequest> {
    if name.is_empty() {
        return Err(invalid_because(field, "MISSING", "must not be empty"));
    }
    text(field, name, max)
}

/// Validates the idempotency key of a request, which has 1 to `MAX_REQUEST_ID` bytes.
pub fn request_id(field: &str, id: String) -> Result<String, BadRequest> {
    if id.is_empty() || id.len() > MAX_REQUEST_ID {
        let text = format!("must have from 1 to {MAX_REQUEST_ID} bytes");
        return Err(invalid_because(field, "BAD_LENGTH", text));
    }
    Ok(id)
}

/// Validates the number of entries on a page. 0 stands for `DEFAULT_PAGE_SIZE`.
pub fn page_size(field: &str, size: u32) -> Result<usize, BadRequest> {
    match size {
        0 => Ok(DEFAULT_PAGE_SIZE),
        size if size <= MAX_PAGE_SIZE => Ok(size as usize),
        _ => Err(invalid_because(field, "TOO_MANY", format!("must be at most {MAX_PAGE_SIZE}"))),
    }
}

/// Validates the id of a rider, which may be empty. It has at most [`MAX_NAME`] characters, unless it is the caller's
/// own subject: identity providers may issue longer ones.
pub fn rider(field: &str, id: String, caller: &Principal) -> Result<String, BadRequest> {
    if is_own(&id, caller) { Ok(id) } else { text(field, id, MAX_NAME) }
}

/// Validates the id of a driver like [`rider`], but it must not be empty.
pub fn driver(field: &str, id: String, caller: &Principal) -> Result<String, BadRequest> {
    if is_own(&id, caller) { Ok(id) } else { name(field, id, MAX_NAME) }
}

fn is_own(id: &str, caller: &Principal) -> bool {
    caller.session().is_some_and(|session| session.subject == id)
}

/// Validates at most [`MAX_PASSENGERS`] ids of at most [`MAX_NAME`] characters.
pub fn passengers(field: &str, ids: Vec<String>) -> Result<Vec<String>, BadRequest> {
    if ids.len() > MAX_PASSENGERS {
        let text = format!("must have at most {MAX_PASSENGERS} entries");
        return Err(invalid_because(field, "TOO_MANY", text));
    }
    let ids = ids.into_iter().enumerate();
    all(ids.map(|(i, id)| text(&format!("{field}[{i}]"), id, MAX_NAME)).collect::<Vec<_>>())
}

/// Validates a time by the client's clock. Returns `now` if the time is absent, in the future or more than a day ago.
pub fn time(field: &str, time: Option<Timestamp>, now: SystemTime) -> Result<SystemTime, BadRequest> {
    let Some(time) = time else { return Ok(now) };
    let malformed = || invalid_because(field, "BAD_TIME", "must be a time in the years 1 to 9999");
    let well_formed = (-62_135_596_800..=253_402_300_799).contains(&time.seconds)
        && (0..1_000_000_000).contains(&time.nanos);
    if !well_formed {
        return Err(malformed());
    }
    let time = SystemTime::try_from(time).map_err(|_| malformed())?;
    let plausible = now.duration_since(time).is_ok_and(|ago| ago <= DAY);
    Ok(if plausible { time } else { now })
}

/// Validates the epoch of a cursor, which an earlier stream has given. It may be empty.
pub fn epoch(field: &str, epoch: &str) -> Result<(), BadRequest> {
    if !epoch.is_empty() && Uuid::try_parse(epoch).is_err() {
        return Err(invalid_because(field, "BAD_EPOCH", "must be empty, or the epoch of an earlier stream"));
    }
    Ok(())
}

/// Validates a type of ride.
pub fn ride_type(field: &str, value: i32) -> Result<RideType, BadRequest> {
    match v1::RideType::try_from(value) {
        Ok(v1::RideType::Regular) => Ok(RideType::Regular),
        Ok(v1::RideType::Pool) => Ok(RideType::Pool),
        Err(_) => Err(unknown(field)),
    }
}

/// Validates an optional actor.
pub fn actor(field: &str, value: i32) -> Result<Option<Actor>, BadRequest> {
    match v1::Actor::try_from(value) {
        Ok(v1::Actor::Unspecified) => Ok(None),
        Ok(v1::Actor::Rider) => Ok(Some(Actor::Rider)),
        Ok(v1::Actor::Driver) => Ok(Some(Actor::Driver)),
        Ok(v1::Actor::Dispatcher) => Ok(Some(Actor::Dispatcher)),
        Err(_) => Err(unknown(field)),
    }
}

/// Validates the states to filter by. Returns them in order, without duplicates.
pub fn states(field: &str, values: &[i32]) -> Result<Vec<RideState>, BadRequest> {
    let values = values.iter().enumerate();
    let mut states =
        all(values.map(|(i, value)| state(&format!("{field}[{i}]"), *value)).collect::<Vec<_>>())?;
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

fn state(field: &str, value: i32) -> Result<RideState, BadRequest> {
    match v1::RideState::try_from(value) {
        Ok(v1::RideState::Requested) => Ok(RideState::Requested),
        Ok(v1::RideState::Offered) => Ok(RideState::Offered),
        Ok(v1::RideState::Assigned) => Ok(RideState::Assigned),
        Ok(v1::RideState::Arrived) => Ok(RideState::Arrived),
        Ok(v1::RideState::OnTrip) => Ok(RideState::OnTrip),
        Ok(v1::RideState::Completed) => Ok(RideState::Completed),
        Ok(v1::RideState::Cancelled) => Ok(RideState::Cancelled),
        Ok(v1::RideState::Expired) => Ok(RideState::Expired),
        Ok(v1::RideState::Unspecified) | Err(_) => Err(unknown(field)),
    }
}

fn unknown(field: &str) -> BadRequest {
    invalid_because(field, "UNKNOWN_VALUE", "is not one of the values of its enum")
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::rides::testing::noon;

    /// Replaces the error by the reason in its `ErrorInfo`.
    fn reason<T>(result: Result<T, BadRequest>) -> Result<T, String> {
        result
            .map_err(Status::from)
            .map_err(|status| status.get_error_details().error_info().expect("always there").reason.clone())
    }

    #[test]
    fn a_point_must_be_there_and_on_earth() {
        let at = |lat, lng| reason(location("at", Some(v1::Location { lat, lng })));
        assert_eq!(at(60.0, 25.0).map(LatLng::lat), Ok(60.0));
        for (lat, lng) in [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (0.0, 181.0), (-90.5, 0.0)] {
            assert_eq!(at(lat, lng), Err("NOT_ON_EARTH".into()));
        }
        assert_eq!(reason(location("at", None)), Err("MISSING".into()));
        assert_eq!(reason(optional_location("at", None)), Ok(None));
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(reason(name("driver_id", "ä".repeat(64), 64)), Ok("ä".repeat(64)));
        assert_eq!(reason(name("driver_id", "ä".repeat(65), 64)), Err("TOO_LONG".into()));
        assert_eq!(reason(name("driver_id", String::new(), 64)), Err("MISSING".into()));
        let bad = passengers("passenger_ids", vec![String::new(), "x".repeat(65)]).expect_err("too long");
        let status = Status::from(bad);
        assert!(status.message().starts_with("passenger_ids[1]:"), "{status}");
        assert_eq!(reason(passengers("passenger_ids", vec![String::new(); 17])), Err("TOO_MANY".into()));
    }

    #[test]
    fn a_clock_is_believed_within_a_day() {
        let now = noon();
        let at = |seconds: i64, nanos| reason(time("time", Some(Timestamp { seconds, nanos }), now));
        let noon = 1_800_000_000;
        assert_eq!(at(noon - 60, 0), Ok(now - Duration::from_secs(60)));
        for other in [noon + 5, noon - 100_000, 0, -62_135_596_800] {
            assert_eq!(at(other, 0), Ok(now), "{other}");
        }
        assert_eq!(reason(time("time", None, now)), Ok(now));
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (noon, -1), (noon, 1_000_000_000)] {
            assert_eq!(at(seconds, nanos), Err("BAD_TIME".into()));
        }
    }

    #[test]
    fn values_that_no_enum_has_are_refused() {
        let unknown = || "UNKNOWN_VALUE".to_owned();
        assert_eq!(reason(ride_type("type", 1)), Ok(RideType::Pool));
        assert_eq!(reason(ride_type("type", 2)), Err(unknown()));
        assert_eq!(reason(actor("by", 0)), Ok(None));
        assert_eq!(reason(actor("by", -1)), Err(unknown()));
        assert_eq!(reason(states("states", &[5, 1, 5])), Ok(vec![RideState::Requested, RideState::OnTrip]));
        assert_eq!(reason(states("states", &[0])), Err(unknown()));
    }
}
