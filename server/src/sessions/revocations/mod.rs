//! Revoked sessions. A revocation is in force at once, is kept on the disk, and is deleted when its sessions have
//! expired.

mod list;
mod store;
mod writer;

use std::{
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rusqlite::ErrorCode;
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

pub use self::list::SessionScope;
use self::{
    list::{Revocation, RevocationSet, scopes_of},
    store::{FILE, RevocationFile},
    writer::RevocationWriter,
};
use super::{MAX_TOKEN_LIFETIME, SESSION_LIFETIME, Session};
use crate::files;

/// The number of revocations from which sign-outs of this server's sessions are refused, since guests can sign in and
/// out without limit. `edge::Limits` keeps one address far below it.
pub const MAX_REVOCATIONS: usize = 100_000;
/// The interval at which revocations by other processes are read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The number of channels that wake waiting streams. A revocation wakes about 1 in `WAKERS` of the streams that it is
/// not for.
const WAKERS: usize = 256;

/// The revoked sessions.
pub struct Revocations {
    list: RwLock<RevocationSet>,
    /// Channels that wake the streams of revoked sessions. The hash of a [`Whose`] selects one.
    wakers: Vec<watch::Sender<()>>,
    hash: RandomState,
    /// The writer. `None`: revocations are kept in memory only.
    keeper: Option<RevocationWriter>,
}

/// The reason why a revocation failed.
#[derive(Debug, Error)]
pub enum RevokeError {
    /// The file cannot be used. In a server, the revocation is in force, and the write is retried every second.
    #[error("{FILE} cannot be used: {0}")]
    NotWritten(String),
    /// The limit is reached, and the session is not revoked.
    #[error("too many revoked sessions: the limit is {MAX_REVOCATIONS}")]
    TooMany,
}

impl From<rusqlite::Error> for RevokeError {
    fn from(why: rusqlite::Error) -> Self {
        Self::NotWritten(why.to_string())
    }
}

impl RevokeError {
    /// Returns the error with the missing permission in `data_dir`, if that is the cause, or else with SQLite's
    /// message.
    fn or_denied(why: rusqlite::Error, data_dir: &Path) -> Self {
        match files::denied_of_database(&data_dir.join(FILE)) {
            Some((path, why)) => Self::NotWritten(format!("{}: {why}", path.display())),
            None => why.into(),
        }
    }
}

impl Revocations {
    /// Returns the path of the file in `data_dir`. The server keeps the file open.
    pub fn file(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Returns an empty set that is not kept on the disk.
    pub fn in_memory() -> Self {
        Self::over(None)
    }

    /// Opens the revocations in `data_dir`, and starts the thread that writes them. Blocks.
    ///
    /// # Errors
    /// If the file cannot be opened or read.
    pub fn open(data_dir: &Path) -> Result<Self, RevokeError> {
        let store = RevocationFile::open(data_dir).map_err(|why| RevokeError::or_denied(why, data_dir))?;
        Self::kept_in(store)
    }

    fn kept_in(mut store: RevocationFile) -> Result<Self, RevokeError> {
        match store.forget_before(SystemTime::now()) {
            // A full disk must not stop the start. Expired revocations stay in the file until the next start.
            Err(why) if why.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::warn!(%why, "could not delete expired revocations from {FILE}");
            }
            forgotten => forgotten?,
        }
        let kept = store.news()?;
        let keeper = RevocationWriter::of(store).map_err(|why| RevokeError::NotWritten(why.to_string()))?;
        let revocations = Self::over(Some(keeper));
        revocations.apply(&kept);
        Ok(revocations)
    }

    fn over(keeper: Option<RevocationWriter>) -> Self {
        Self {
            list: RwLock::default(),
            wakers: (0..WAKERS).map(|_| watch::Sender::default()).collect(),
            hash: RandomState::new(),
            keeper,
        }
    }

    /// Revokes the caller's session, including tokens that were renewed since.
    ///
    /// # Errors
    /// If there are too many revocations, or if this one is not on the disk yet.
    pub async fn sign_out(&self, session: &Session, now: SystemTime) -> Result<(), RevokeError> {
        // A provider's sessions are exempt: the provider limits how many there are.
        if session.issued_here
            && self.list.read().unwrap_or_else(PoisonError::into_inner).len() >= MAX_REVOCATIONS
        {
            return Err(RevokeError::TooMany);
        }
        let whose = SessionScope::Session(session.id.clone());
        // A provider does not know of this revocation, and may renew the session at any time.
        let until = if session.issued_here {
            session.expires_at.max(now + SESSION_LIFETIME)
        } else {
            now + MAX_TOKEN_LIFETIME
        };
        self.add(Revocation { scope: whose, at: now, until }).await
    }

    /// Revokes one session, or all sessions of a subject up to `now`.
    ///
    /// # Errors
    /// If the revocation is not on the disk yet.
    pub async fn revoke(&self, whose: SessionScope, now: SystemTime) -> Result<(), RevokeError> {
        self.add(Revocation { scope: whose, at: now, until: now + MAX_TOKEN_LIFETIME }).await
    }

    /// Puts a revocation in force at once, and returns when it is on the disk. It is written even if the future is
    /// dropped.
    async fn add(&self, revoked: Revocation) -> Result<(), RevokeError> {
        if let Some(keeper) = &self.keeper {
            keeper.add(&revoked);
        }
        self.apply(std::slice::from_ref(&revoked));
        match &self.keeper {
            Some(keeper) => keeper.write_pending().await,
            None => Ok(()),
        }
    }

    /// Writes a revocation to the file in `data_dir`. A running server reads it within a second. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn revoke_in(data_dir: &Path, whose: SessionScope, now: SystemTime) -> Result<(), RevokeError> {
        let revoked = Revocation { scope: whose, at: now, until: now + MAX_TOKEN_LIFETIME };
        RevocationFile::open(data_dir)
            .and_then(|mut store| store.add(&[revoked]))
            .map_err(|why| RevokeError::or_denied(why, data_dir))
    }

    /// Reads the revocations of other processes, retries failed writes, and deletes expired revocations. Never returns.
    pub async fn follow(&self) {
        let mut every = interval(POLL_INTERVAL);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let now = SystemTime::now();
            self.list.write().unwrap_or_else(PoisonError::into_inner).forget_before(now);
            let Some(keeper) = &self.keeper else { continue };
            if let Err(why) = keeper.write_pending().await {
                tracing::warn!(%why, "could not write revocations, which are in force: retrying in 1 s");
            }
            match keeper.changes_by_others().await {
                Ok(news) => self.apply(&news),
                Err(why) => tracing::warn!(%why, "could not read the revocations of other processes"),
            }
        }
    }

    /// Writes the revocations that are not on the disk yet, at shutdown.
    pub async fn close(&self) {
        let Some(keeper) = &self.keeper else { return };
        if let Err(why) = keeper.write_pending().await {
            tracing::error!(%why, "could not write revocations: their sessions are valid again at the next start");
        }
    }

    /// Returns the time up to which all sessions of a subject are revoked, if they are.
    pub(super) fn subject_revoked_at(&self, subject: &str) -> Option<SystemTime> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).subject_revoked_at(subject)
    }

    /// Returns `true` if `session` is revoked.
    pub(super) fn is_revoked(&self, session: &Session) -> bool {
        self.list.read().unwrap_or_else(PoisonError::into_inner).is_revoked(session)
    }

    /// Returns when `session` is revoked.
    pub(super) async fn until_revoked(&self, session: &Session) {
        let [mut one, mut all] = scopes_of(session).map(|name| self.waker_of(&name).subscribe());
        while !self.is_revoked(session) {
            // This cannot fail: `self` owns the senders.
            let _ = tokio::select! {
                rung = one.changed() => rung,
                rung = all.changed() => rung,
            };
        }
    }

    fn apply(&self, news: &[Revocation]) {
        for revoked in news {
            if self.list.write().unwrap_or_else(PoisonError::into_inner).add(revoked) {
                self.waker_of(&revoked.scope).send_replace(());
            }
        }
    }

    fn waker_of(&self, whose: &SessionScope) -> &watch::Sender<()> {
        &self.wakers[self.hash.hash_one(whose) as usize % WAKERS]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use faulty_disk::Disk;
    use futures_util::{FutureExt as _, future::join_all};
    use rusqlite::{Connection, OpenFlags};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::sessions::Role;

    fn session(subject: &str) -> Session {
        Session::new(Role::Rider, subject, SystemTime::now() + Duration::from_secs(60))
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_their_own_end_and_of_no_other() {
        let revocations = Revocations::in_memory();
        let [ada, bob, carol] = ["ada", "bob", "carol"].map(session);
        let now = SystemTime::now();
        let revoke = async {
            revocations.sign_out(&ada, now).await.unwrap();
            revocations.revoke(SessionScope::Subject("carol".into()), now).await.unwrap();
        };
        tokio::join!(revocations.until_revoked(&ada), revocations.until_revoked(&carol), revoke);
        assert!(timeout(Duration::from_millis(20), revocations.until_revoked(&bob)).await.is_err());
    }

    /// This server's session expires within twelve hours, and a provider may renew its session for days.
    #[tokio::test]
    async fn a_providers_session_stays_over() {
        let now = SystemTime::now();
        let days_later = now + Duration::from_secs(30 * 24 * 60 * 60);
        for (is_ours, is_remembered) in [(true, false), (false, true)] {
            let revocations = Revocations::in_memory();
            let first = Session { issued_here: is_ours, ..session("ada") };
            revocations.sign_out(&first, now).await.unwrap();
            revocations.list.write().unwrap().forget_before(days_later);
            let renewed =
                Session { issued_at: days_later, expires_at: days_later + SESSION_LIFETIME, ..first };
            assert_eq!(revocations.is_revoked(&renewed), is_remembered);
        }
    }

    /// The limit is only for sign-outs of this server's sessions, not for a provider's or for a dispatcher's
    /// revocations.
    #[tokio::test]
    async fn there_is_room_for_so_many_and_again_once_they_are_over() {
        let revocations = Revocations::in_memory();
        let now = SystemTime::now();
        for _ in 0..MAX_REVOCATIONS {
            revocations.sign_out(&session("guest"), now).await.unwrap();
        }
        let [guest, theirs] = [session("ada"), Session { issued_here: false, ..session("bob") }];
        assert!(matches!(revocations.sign_out(&guest, now).await, Err(RevokeError::TooMany)));
        assert!(!revocations.is_revoked(&guest), "the session is still valid");
        revocations.sign_out(&theirs, now).await.unwrap();
        revocations.revoke(SessionScope::Session(guest.id.clone()), now).await.unwrap();
        assert!(revocations.is_revoked(&theirs) && revocations.is_revoked(&guest));
        revocations.list.write().unwrap().forget_before(now + SESSION_LIFETIME);
        let later = session("carol");
        revocations.sign_out(&later, now + SESSION_LIFETIME).await.unwrap();
        assert!(revocations.is_revoked(&later) && revocations.is_revoked(&theirs));
    }

    #[tokio::test]
    async fn a_crowd_signs_out_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let crowd: Vec<_> = (0..2_000).map(|n| session(&n.to_string())).collect();
        let revocations = Revocations::open(dir.path()).unwrap();
        let now = SystemTime::now();
        let kept = join_all(crowd.iter().map(|session| revocations.sign_out(session, now))).await;
        assert!(kept.iter().all(Result::is_ok));
        let next = Revocations::open(dir.path()).unwrap();
        assert!(crowd.iter().all(|session| next.is_revoked(session)));
    }

    fn on(disk: &Disk, dir: &Path) -> Revocations {
        let flags = OpenFlags::default();
        let db = Connection::open_with_flags_and_vfs(dir.join(FILE), flags, disk.vfs()).unwrap();
        Revocations::kept_in(RevocationFile::with_connection(db).unwrap()).unwrap()
    }

    /// BAD-2 in docs/failures.md. The caller cannot retry, since its session is no longer valid.
    #[tokio::test]
    async fn a_session_that_signs_out_while_the_disk_is_full_stays_over_at_the_next_start() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::new(1));
        for the_server_goes_on in [true, false] {
            let revocations = on(&disk, dir.path());
            let (first, ada) = (session("first"), session("ada"));
            let now = SystemTime::now();
            revocations.sign_out(&first, now).await.unwrap();
            disk.limit_size(Some(disk.used()));
            let not_kept = revocations.sign_out(&ada, now).await.unwrap_err();
            assert!(matches!(not_kept, RevokeError::NotWritten(_)), "{not_kept}");
            assert!(revocations.is_revoked(&ada), "the revocation is in force");
            let next = || on(&disk, dir.path()).is_revoked(&ada);
            assert!(!next());

            let bob = session("bob");
            // The future is dropped after one poll, before or after the write has failed.
            let _ = revocations.sign_out(&bob, now).now_or_never();

            disk.limit_size(None);
            match the_server_goes_on {
                true => tokio::select! {
                    never = revocations.follow() => never,
                    () = until(next) => {}
                },
                false => revocations.close().await,
            }
            let last = on(&disk, dir.path());
            assert!([&first, &ada, &bob].iter().all(|session| last.is_revoked(session)));
        }
    }

    /// BAD-1 in docs/failures.md. Deleting from the file needs room for SQLite's own journal.
    #[tokio::test]
    async fn a_full_disk_does_not_keep_the_server_from_starting() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::new(1));
        let (ada, bob) = (session("ada"), session("bob"));
        let first = on(&disk, dir.path());
        first.sign_out(&ada, SystemTime::now()).await.unwrap();
        let long_over = Revocation {
            scope: SessionScope::Session(bob.id.clone()),
            at: SystemTime::UNIX_EPOCH,
            until: SystemTime::UNIX_EPOCH,
        };
        first.add(long_over).await.unwrap();
        first.close().await;
        disk.limit_size(Some(disk.used()));
        assert!(on(&disk, dir.path()).is_revoked(&ada));
        disk.limit_size(None);
        assert!(
            !on(&disk, dir.path()).is_revoked(&bob),
            "the expired revocation is deleted once there is room"
        );
    }

    async fn until(condition: impl Fn() -> bool) {
        let reached = async {
            while !condition() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_learns_what_the_command_line_revokes() {
        let dir = tempfile::tempdir().unwrap();
        let revocations = Revocations::open(dir.path()).unwrap();
        let ada = session("ada");
        Revocations::revoke_in(dir.path(), SessionScope::Session(ada.id.clone()), SystemTime::now()).unwrap();
        tokio::select! {
            () = revocations.until_revoked(&ada) => {}
            () = revocations.follow() => {}
        }
        assert!(Revocations::open(dir.path()).unwrap().is_revoked(&ada), "the next server reads it, too");
    }
}
