//! The table of rides, by which lists are sorted and filtered. It is made from the events alone.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::row;
use crate::rides::{
    journal::JournalError,
    model::{EventKind, RideState},
};

/// Applies one event. Returns `false` if it is not the next one of its ride.
pub(super) fn apply(
    tx: &Transaction<'_>,
    seq: i64,
    ride: &str,
    version: u64,
    what: &EventKind,
) -> Result<bool, JournalError> {
    let state = name(what.next_state());
    let version = row::integer(version);
    if let EventKind::Requested(booking) | EventKind::PickedUpOffStreet { booking, .. } = what {
        let mut open = tx.prepare_cached("INSERT OR IGNORE INTO rides VALUES (?1, ?2, ?3, ?4, ?5)")?;
        return Ok(version == 1 && open.execute((seq, ride, &booking.rider, state, version))? == 1);
    }
    let mut step = tx.prepare_cached(
        "UPDATE rides SET version = ?1, state = ?2
         WHERE place = (SELECT seq FROM events WHERE ride = ?3 AND version = 1) AND version = ?1 - 1",
    )?;
    Ok(step.execute((version, state, ride))? == 1)
}

/// Empties the table and applies every event again. Leaves out events that are damaged or out of sequence.
pub(super) fn rebuild(tx: &Transaction<'_>) -> Result<(), JournalError> {
    tx.execute("DELETE FROM rides", [])?;
    let mut events = tx.prepare(&row::select("ORDER BY seq"))?;
    let mut rows = events.query([])?;
    while let Some(found) = rows.next()? {
        match row::event(found) {
            Ok(event) => {
                if !apply(tx, found.get(0)?, event.ride.as_str(), event.version, &event.what)? {
                    tracing::warn!(
                        ride = %event.ride, version = event.version,
                        "an event out of sequence was left out of the lists"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, "an unreadable event was left out of the lists"),
        }
    }
    Ok(())
}

/// Returns the version of a ride's last event, or 0 if no ride has this id.
pub(super) fn version(db: &Connection, ride: &str) -> Result<u64, JournalError> {
    let mut version = db.prepare_cached(
        "SELECT version FROM rides WHERE place = (SELECT seq FROM events WHERE ride = ?1 AND version = 1)",
    )?;
    let version: Option<i64> = version.query_row([ride], |row| row.get(0)).optional()?;
    Ok(version.map_or(0, i64::unsigned_abs))
}

/// Returns the name of a state in the table.
pub(super) fn name(state: RideState) -> &'static str {
    match state {
        RideState::Requested => "requested",
        RideState::Offered => "offered",
        RideState::Assigned => "assigned",
        RideState::Arrived => "arrived",
        RideState::OnTrip => "on_trip",
        RideState::Completed => "completed",
        RideState::Cancelled => "cancelled",
        RideState::Expired => "expired",
    }
}
