//! The queries of a journal.

use std::sync::Arc;

use rides_proto::ids::RideId;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params_from_iter};

use super::{
    projection::name,
    row::{self, integer},
};
use crate::rides::{
    RideLog,
    journal::{Filter, JournalError, KnownRequests, ListedRide, RequestKey},
    model::RideState,
};

/// Returns a ride with all its events.
pub(super) fn log(db: &Connection, ride: &RideId) -> Result<Option<Arc<RideLog>>, JournalError> {
    let mut select = db.prepare_cached(&row::select("WHERE ride = ?1 ORDER BY version"))?;
    let mut rows = select.query([ride.as_str()])?;
    let mut events = Vec::new();
    while let Some(found) = rows.next()? {
        events.push(Arc::new(row::event(found)?));
    }
    let log = RideLog::replay(events)
        .map_err(|misfit| JournalError::OutOfSequence { ride: ride.clone(), misfit })?;
    Ok(log.map(Arc::new))
}

/// Returns the rides that are not over, oldest first.
pub(super) fn unfinished(db: &Connection) -> Result<Vec<Arc<RideLog>>, JournalError> {
    let mut select = db.prepare_cached("SELECT place, id FROM rides WHERE state = ?1")?;
    let mut places = Vec::new();
    for state in RideState::ALL.into_iter().filter(|state| !state.is_over()) {
        let found = select.query_map([name(state)], place)?;
        places.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    places.sort_unstable();
    places.iter().filter_map(|(_, id)| log_unless_damaged(db, id).transpose()).collect()
}

/// Returns a ride. If its events are damaged, logs that and returns `None`, so that other rides can still be read. A
/// read that fails is an error, and no damage.
fn log_unless_damaged(db: &Connection, id: &RideId) -> Result<Option<Arc<RideLog>>, JournalError> {
    match log(db, id).map_err(|error| error.or_unreadable(db)) {
        Err(error @ (JournalError::Damaged(_) | JournalError::OutOfSequence { .. })) => {
            tracing::error!(%error, ride = %id, "a damaged ride was left out: run `rides-server journal check`");
            Ok(None)
        }
        outcome => outcome,
    }
}

/// Finds the request of a caller. It is a query of its own: one for both cases would read all requests with the same
/// id.
pub(super) const OF_CALLER: &str = "SELECT ride, fingerprint FROM events WHERE request = ?1 AND caller = ?2";
/// Finds a request that an earlier program stored without its caller, and the rider of its ride.
pub(super) const OF_UNKNOWN: &str =
    "SELECT ride, fingerprint, iif(json_valid(event), json_extract(event, '$.requested.rider'), NULL)
     FROM events WHERE request = ?1 AND caller IS NULL";

/// Returns the rides that these requests booked. A request without a stored caller is the caller's if the ride is for
/// the caller, or if its fingerprint is the same.
pub(super) fn requests(db: &Connection, requests: &[RequestKey]) -> Result<KnownRequests, JournalError> {
    let [mut of_caller, mut of_unknown] = [db.prepare_cached(OF_CALLER)?, db.prepare_cached(OF_UNKNOWN)?];
    let mut known = KnownRequests::new();
    for RequestKey { id, fingerprint } in requests {
        let ride = |row: &Row<'_>| Ok((RideId::new(row.get::<_, String>(0)?), row.get::<_, Vec<u8>>(1)?));
        let mut found = of_caller.query_row((&id.id, &id.caller), ride).optional()?;
        if found.is_none() {
            let unknown = of_unknown.query_row([&id.id], |row| Ok((ride(row)?, row.get(2)?))).optional()?;
            found = unknown.and_then(|((ride, asked), rider): (_, Option<String>)| {
                (asked == *fingerprint || rider.as_ref() == Some(&id.caller)).then_some((ride, asked))
            });
        }
        known.extend(found.map(|found| (id.clone(), found)));
    }
    Ok(known)
}

/// Returns at most `limit` rides of a list, newest first. Damaged rides are left out and do not count.
pub(super) fn page(
    db: &Connection,
    filter: &Filter,
    below: Option<u64>,
    limit: usize,
) -> Result<Vec<ListedRide>, JournalError> {
    let mut below = below.map_or(i64::MAX, integer);
    let mut page = Vec::new();
    loop {
        let missing = limit - page.len();
        let found = places(db, filter, below, missing)?;
        for (place, id) in &found {
            let log = log_unless_damaged(db, id)?;
            page.extend(
                log.map(|log| ListedRide { list_position: place.unsigned_abs(), ride: log.ride.clone() }),
            );
        }
        match found.last() {
            Some((last, _)) if found.len() == missing && page.len() < limit => below = *last,
            _ => return Ok(page),
        }
    }
}

/// Returns the ids and places of at most `limit` rides of a list, newest first, with places below `below`.
fn places(
    db: &Connection,
    filter: &Filter,
    below: i64,
    limit: usize,
) -> Result<Vec<(i64, RideId)>, JournalError> {
    let most = integer(limit as u64);
    let states = match (&filter.rider, &filter.states[..]) {
        (Some(_), []) => &RideState::ALL,
        (_, states) => states,
    };
    let mut places = Vec::new();
    // One search in an index for each state. Together the results contain the page.
    for state in states.iter().copied().map(name) {
        places.extend(match &filter.rider {
            Some(rider) => select(db, "rider = ? AND state = ? AND", &[rider, &state], below, most)?,
            None => select(db, "state = ? AND", &[&state], below, most)?,
        });
    }
    if states.is_empty() {
        places = select(db, "", &[], below, most)?;
    }
    places.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    places.dedup();
    places.truncate(limit);
    Ok(places)
}

fn select(
    db: &Connection,
    of: &str,
    with: &[&dyn ToSql],
    below: i64,
    limit: i64,
) -> Result<Vec<(i64, RideId)>, JournalError> {
    let sql = format!("SELECT place, id FROM rides WHERE {of} place < ? ORDER BY place DESC LIMIT ?");
    let mut select = db.prepare_cached(&sql)?;
    let bounds: [&dyn ToSql; 2] = [&below, &limit];
    let found = select.query_map(params_from_iter(with.iter().chain(&bounds)), place)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn place(row: &Row<'_>) -> rusqlite::Result<(i64, RideId)> {
    Ok((row.get(0)?, RideId::new(row.get::<_, String>(1)?)))
}
