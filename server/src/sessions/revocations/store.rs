//! The SQLite file of revocations, beside the journal. A server and `rides-server token revoke` may use it at the same
//! time.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, params};

use super::{
    super::unix_seconds,
    list::{Revocation, SessionScope},
};

/// The name of the file in the data directory.
pub(super) const FILE: &str = "revoked.db";
/// The longest wait for another process that writes to the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The open file.
#[derive(Debug)]
pub(super) struct RevocationFile {
    db: Connection,
    /// SQLite's `data_version` at the last read, which changes with each commit of another connection.
    seen: i64,
}

impl RevocationFile {
    /// Opens the file, and creates it if it is missing. All methods block.
    pub(super) fn open(data_dir: &Path) -> rusqlite::Result<Self> {
        Self::with_connection(Connection::open(data_dir.join(FILE))?)
    }

    /// Uses the database of this connection.
    pub(super) fn with_connection(db: Connection) -> rusqlite::Result<Self> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        // A sync per commit, as for the journal of rides.
        db.pragma_update(None, "synchronous", "FULL")?;
        // A container may have no folder for temporary files.
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS revoked (
                 kind TEXT NOT NULL CHECK (kind IN ('session', 'subject')),
                 name TEXT NOT NULL,
                 at INTEGER NOT NULL,
                 until INTEGER NOT NULL,
                 PRIMARY KEY (kind, name)
             ) STRICT, WITHOUT ROWID",
        )?;
        Ok(Self { db, seen: -1 })
    }

    /// Writes revocations in one commit. When it returns `Ok`, they are on the disk.
    pub(super) fn add(&mut self, revoked: &[Revocation]) -> rusqlite::Result<()> {
        let commit = self.db.transaction()?;
        for Revocation { scope: whose, at, until } in revoked {
            let (kind, name) = match whose {
                SessionScope::Session(id) => ("session", id),
                SessionScope::Subject(subject) => ("subject", subject),
            };
            let [at, until] = [at, until].map(|time| unix_seconds(*time) as i64);
            let mut insert = commit.prepare_cached(
                "INSERT INTO revoked VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET at = max(at, excluded.at), until = max(until, excluded.until)",
            )?;
            insert.execute(params![kind, name, at, until])?;
        }
        commit.commit()
    }

    /// Returns all revocations, if another connection has written since the last call or this is the first, or else
    /// none.
    pub(super) fn news(&mut self) -> rusqlite::Result<Vec<Revocation>> {
        let version = self.db.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version == self.seen {
            return Ok(Vec::new());
        }
        let mut rows = self.db.prepare("SELECT kind, name, at, until FROM revoked")?;
        let all = rows.query_map([], |row| {
            let name = row.get(1)?;
            let [at, until] = [row.get::<_, i64>(2)?, row.get(3)?].map(moment);
            let is_session = row.get_ref(0)?.as_str()? == "session";
            Ok(Revocation {
                scope: if is_session { SessionScope::Session(name) } else { SessionScope::Subject(name) },
                at,
                until,
            })
        })?;
        let all = all.collect::<Result<_, _>>()?;
        self.seen = version;
        Ok(all)
    }

    pub(super) fn forget_before(&self, now: SystemTime) -> rusqlite::Result<()> {
        self.db.execute("DELETE FROM revoked WHERE until <= ?1", [unix_seconds(now) as i64])?;
        Ok(())
    }
}

fn moment(unix_seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(name: &str, until: i64) -> Revocation {
        Revocation { scope: SessionScope::Subject(name.into()), at: moment(10), until: moment(until) }
    }

    #[test]
    fn what_is_revoked_outlives_the_server_and_is_seen_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = RevocationFile::open(dir.path()).unwrap();
        assert_eq!(first.news().unwrap(), []);
        let mut other = RevocationFile::open(dir.path()).unwrap();
        other.add(&[revoked("ada", 100)]).unwrap();
        assert_eq!(first.news().unwrap(), [revoked("ada", 100)]);
        assert_eq!(first.news().unwrap(), [], "nothing was written since");
        drop((first, other));
        assert_eq!(RevocationFile::open(dir.path()).unwrap().news().unwrap(), [revoked("ada", 100)]);
    }

    #[test]
    fn nothing_is_taken_back_and_what_is_over_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = RevocationFile::open(dir.path()).unwrap();
        store.add(&[revoked("ada", 100)]).unwrap();
        store.add(&[Revocation { at: moment(5), ..revoked("ada", 50) }, revoked("bob", 20)]).unwrap();
        store.forget_before(moment(20)).unwrap();
        assert_eq!(RevocationFile::open(dir.path()).unwrap().news().unwrap(), [revoked("ada", 100)]);
    }
}
