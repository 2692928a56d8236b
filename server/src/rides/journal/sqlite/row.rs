//! An event as a row of the table.

use prost_types::Timestamp;
use rides_proto::ids::RideId;
use rusqlite::Transaction;

use super::projection;
use crate::rides::{
    journal::{Entry, JournalError},
    machine::OutOfSequence,
    model::{EventKind, RideEvent},
};

/// Inserts an event, and applies it to the projection. Fails if it is not the next event of its ride.
pub(super) fn insert(tx: &Transaction<'_>, entry: &Entry) -> Result<(), JournalError> {
    let Entry { event, request, time, json: text } = entry;
    let RideEvent { ride, version, what, .. } = event.as_ref();
    let request = request.as_ref();
    let (id, caller) = request.map(|key| (&key.id.id, &key.id.caller)).unzip();
    let fingerprint = request.map(|key| &key.fingerprint);
    let mut insert = tx.prepare_cached(
        "INSERT INTO events (ride, version, time, event, request, fingerprint, caller)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let row = (ride.as_str(), integer(*version), time, text, id, fingerprint, caller);
    let follows = match insert.insert(row) {
        Ok(seq) => projection::apply(tx, seq, ride.as_str(), *version, what)?,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => false,
        Err(error) => return Err(error.into()),
    };
    if follows {
        return Ok(());
    }
    let at = projection::version(tx, ride.as_str())?;
    Err(JournalError::OutOfSequence { ride: ride.clone(), misfit: OutOfSequence { at, found: *version } })
}

/// Returns `number` as SQLite's signed integer. No ride has more events than fit.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the query whose rows [`event`] reads.
pub(super) fn select(which: &str) -> String {
    format!("SELECT seq, ride, version, time, event FROM events {which}")
}

/// Reads an event from a row of a [`select`] query.
pub(super) fn event(row: &rusqlite::Row<'_>) -> Result<RideEvent, JournalError> {
    let seq: i64 = row.get(0)?;
    let damaged = |what: &dyn std::fmt::Display| JournalError::Damaged(format!("event {seq}: {what}"));
    let time = row.get_ref(3)?.as_str().map_err(|error| damaged(&error))?;
    let time: Timestamp = time.parse().map_err(|error| damaged(&error))?;
    let text = row.get_ref(4)?.as_str().map_err(|error| damaged(&error))?;
    Ok(RideEvent {
        ride: RideId::new(row.get_ref(1)?.as_str().map_err(|error| damaged(&error))?),
        version: u64::try_from(row.get::<_, i64>(2)?).map_err(|error| damaged(&error))?,
        time: time.try_into().map_err(|error| damaged(&error))?,
        what: serde_json::from_str::<EventKind>(text).map_err(|error| damaged(&error))?,
    })
}
