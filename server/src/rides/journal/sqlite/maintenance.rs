//! The maintenance commands for a journal: check it, rebuild its lists, export its events.

use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rides_proto::ids::RideId;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde::Serialize;

use super::{DatabaseFile, FILE, Lock, OpenError, damage, projection, row, schema, wal};
use crate::{
    files::{self, Access},
    rides::{journal::JournalError, machine, model::Ride},
    terminal_text::escape_json,
};

/// The events that an export reads at a time. Between two reads, a server on the journal can run a checkpoint.
const CHUNK: i64 = 1_000;

/// The result of a check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The number of events.
    pub events: u64,
    /// The number of rides that the events make.
    pub rides: u64,
    /// The number of rides that are not over.
    pub unfinished: u64,
    /// The problems, one line for each.
    pub problems: Vec<String>,
}

/// Reads a whole journal and returns its problems. A server may run on it at the same time.
///
/// # Errors
/// When the journal cannot be opened or read.
pub fn check(dir: &Path) -> Result<Report, OpenError> {
    let damage = damage::find(&dir.join(FILE))?;
    let mut db = open_existing(dir)?;
    let mut report = report(&mut db).map_err(|why| why.or_unreadable(&db))?;
    report.problems.extend(damage.map(|damage| damage.to_string()));
    Ok(report)
}

fn report(db: &mut Connection) -> Result<Report, OpenError> {
    let tx = db.transaction()?;
    let mut report = Report::default();
    let damages = tx
        .prepare("PRAGMA integrity_check")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    report.problems.extend(damages.into_iter().filter(|line| line != "ok"));
    let made = replay(&tx, &mut report)?;
    compare(&tx, &made, &mut report)?;
    report.rides = made.len() as u64;
    report.unfinished = made.values().filter(|(_, ride)| !ride.state.is_over()).count() as u64;
    Ok(report)
}

/// Makes the lists of a journal again from its events.
///
/// # Errors
/// When a server runs on the journal, its log is damaged, or it cannot be read or written.
pub fn rebuild(dir: &Path) -> Result<(), OpenError> {
    check_exists(dir)?;
    let _lock = Lock::take(dir)?;
    let file = dir.join(FILE);
    if let Some(damage) = damage::find(&file)? {
        return Err(OpenError::DamagedLog(damage));
    }
    wal::rewrite(&file)?;
    let mut db = open_existing(dir)?;
    lists(&mut db).map_err(|why| OpenError::from(why.or_unreadable(&db)))
}

fn lists(db: &mut Connection) -> Result<(), JournalError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    projection::rebuild(&tx)?;
    Ok(tx.commit()?)
}

/// The reason why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal cannot be opened or read.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
}

/// Writes every event as one JSON object per line, in the order in which they were stored. Characters that control a
/// terminal are escaped. A server may run on the journal at the same time.
///
/// Returns the number of events.
///
/// # Errors
/// When the events cannot be read or written. If only some acknowledged events cannot be read, all others are written
/// first.
pub fn export(dir: &Path, out: &mut impl Write) -> Result<u64, ExportError> {
    let db = open_existing(dir)?;
    let (mut last, mut count) = (0, 0);
    loop {
        let lines = lines(&db, last).map_err(|why| OpenError::from(why.or_unreadable(&db)))?;
        let Some((seq, _)) = lines.last() else {
            return match damage::find(&dir.join(FILE))? {
                None => Ok(count),
                Some(damage) => Err(OpenError::DamagedLog(damage).into()),
            };
        };
        last = *seq;
        for (_, line) in &lines {
            writeln!(out, "{}", escape_json(line))?;
        }
        count += lines.len() as u64;
    }
}

/// An exported event.
#[derive(Serialize)]
struct Line<'a> {
    seq: i64,
    ride: &'a str,
    version: i64,
    time: &'a str,
    event: &'a serde_json::value::RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    /// The fingerprint in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
}

fn lines(db: &Connection, after: i64) -> Result<Vec<(i64, String)>, JournalError> {
    let mut select = db.prepare_cached(
        "SELECT seq, ride, version, time, event, request, fingerprint, caller FROM events
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = select.query([after, CHUNK])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        let damaged = |error: serde_json::Error| JournalError::Damaged(format!("event {seq}: {error}"));
        let (ride, time, event): (String, String, String) = (row.get(1)?, row.get(3)?, row.get(4)?);
        let (request, caller): (Option<String>, Option<String>) = (row.get(5)?, row.get(7)?);
        let fingerprint: Option<Vec<u8>> = row.get(6)?;
        let line = Line {
            seq,
            ride: &ride,
            version: row.get(2)?,
            time: &time,
            event: serde_json::from_str(&event).map_err(damaged)?,
            request: request.as_deref(),
            fingerprint: fingerprint.map(|bytes| STANDARD.encode(bytes)),
            caller: caller.as_deref(),
        };
        lines.push((seq, serde_json::to_string(&line).map_err(damaged)?));
    }
    Ok(lines)
}

/// Opens a connection to an existing journal. Fails if it has another version than this program.
fn open_existing(dir: &Path) -> Result<Connection, OpenError> {
    check_exists(dir)?;
    let file = DatabaseFile { path: dir.join(FILE), vfs: None };
    let opened = file.connect(OpenFlags::empty()).map_err(OpenError::from).and_then(|db| {
        schema::check_is_current(&db).map_err(|why| why.or_unreadable(&db))?;
        Ok(db)
    });
    opened.map_err(|why| why.or_denied(&file.path))
}

/// Checks that the file exists, so that a mistyped path does not create a directory.
fn check_exists(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(FILE);
    path.metadata().map(drop).map_err(|why| {
        let why = files::explained(&path, Access::Read, why);
        OpenError::Io { path, why }
    })
}

type ReplayedRides = HashMap<RideId, (i64, Ride)>;

/// Returns the rides that the events make, with their places. Adds the problems to `report`.
fn replay(db: &Connection, report: &mut Report) -> Result<ReplayedRides, JournalError> {
    let mut made = ReplayedRides::new();
    let mut select = db.prepare(&row::select("ORDER BY seq"))?;
    let mut rows = select.query([])?;
    while let Some(found) = rows.next()? {
        report.events += 1;
        let event = match row::event(found) {
            Ok(event) => event,
            Err(error) => {
                report.problems.push(error.to_string());
                continue;
            }
        };
        let before = made.get(&event.ride).cloned();
        let place = before.as_ref().map_or(found.get(0)?, |(place, _)| *place);
        match machine::evolve(before.map(|(_, ride)| ride), &event) {
            Ok(ride) => {
                made.insert(event.ride.clone(), (place, ride));
            }
            Err(misfit) => report.problems.push(format!("ride {}: {misfit}", event.ride)),
        }
    }
    Ok(made)
}

/// Compares the lists with the rides that the events make. Adds the problems to `report`.
fn compare(db: &Connection, made: &ReplayedRides, report: &mut Report) -> Result<(), JournalError> {
    let mut select = db.prepare("SELECT place, id, rider, state, version FROM rides")?;
    let mut rows = select.query([])?;
    let mut listed = 0;
    while let Some(row) = rows.next()? {
        listed += 1;
        let place: i64 = row.get(0)?;
        let (id, rider, state): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let version: i64 = row.get(4)?;
        let same = made.get(&RideId::new(id.as_str())).is_some_and(|(made_at, ride)| {
            (*made_at, &ride.booking.rider, projection::name(ride.state), row::integer(ride.version))
                == (place, &rider, state.as_str(), version)
        });
        if !same {
            report
                .problems
                .push(format!("the lists have wrong data of ride {id}: run `rides-server journal rebuild`"));
        }
    }
    if let Some(missing @ 1..) = made.len().checked_sub(listed) {
        report.problems.push(format!("the lists lack {missing} rides: run `rides-server journal rebuild`"));
    }
    Ok(())
}
