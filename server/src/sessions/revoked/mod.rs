//! Sessions that are over before their time: kept on the disk, known at once, and forgotten once they would be over
//! anyway.

mod keeper;
mod list;
mod store;

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

pub use self::list::Whose;
use self::{
    keeper::Keeper,
    list::{List, Revoked, names},
    store::{FILE, Store},
};
use super::{LONGEST_LIFE, SESSION_LIFE, Session};
use crate::files;

/// Most sessions that may be revoked when somebody signs out: guests come and go as they like. No address of theirs has
/// so many (`edge::Limits`).
pub const MOST_REVOKED: usize = 100_000;
/// Between two looks at what another process has revoked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So few streams wake for a session that is none of theirs: one of so many.
const BELLS: usize = 256;

/// What is revoked, and the way to have more of it.
pub struct Revocations {
    list: RwLock<List>,
    /// Each rings for some sessions, by the hash of their names.
    bells: Vec<watch::Sender<()>>,
    hash: RandomState,
    /// `None`: nothing is kept.
    keeper: Option<Keeper>,
}

/// Why something is not revoked.
#[derive(Debug, Error)]
pub enum NotRevoked {
    /// It is in force, and the disk has not taken it yet. It is tried again every second.
    #[error("it cannot be kept: {0}")]
    NotKept(String),
    /// There is no room for more.
    #[error("{MOST_REVOKED} sessions are revoked already")]
    TooMany,
}

impl From<rusqlite::Error> for NotRevoked {
    fn from(why: rusqlite::Error) -> Self {
        Self::NotKept(why.to_string())
    }
}

impl NotRevoked {
    /// The permission that is missing in `data_dir`, if that is what is wrong, or else what SQLite says.
    fn or_denied(why: rusqlite::Error, data_dir: &Path) -> Self {
        match files::denied_of_database(&data_dir.join(FILE)) {
            Some((path, why)) => Self::NotKept(format!("{}: {why}", path.display())),
            None => why.into(),
        }
    }
}

impl Revocations {
    /// The file in `data_dir` that they are kept in, and that is open for as long as they are.
    pub fn file(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Of a server that keeps nothing.
    pub fn in_memory() -> Self {
        Self::over(None)
    }

    /// Those kept in `data_dir`. Blocks.
    pub fn open(data_dir: &Path) -> Result<Self, NotRevoked> {
        let store = Store::open(data_dir).map_err(|why| NotRevoked::or_denied(why, data_dir))?;
        Self::kept_in(store)
    }

    fn kept_in(mut store: Store) -> Result<Self, NotRevoked> {
        match store.forget_before(SystemTime::now()) {
            // No reason not to start: what is over stays in the file until the next start.
            Err(why) if why.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::warn!(%why, "what was revoked and is over stays in {FILE}");
            }
            forgotten => forgotten?,
        }
        let kept = store.news()?;
        let keeper = Keeper::of(store).map_err(|why| NotRevoked::NotKept(why.to_string()))?;
        let revocations = Self::over(Some(keeper));
        revocations.learn(&kept);
        Ok(revocations)
    }

    fn over(keeper: Option<Keeper>) -> Self {
        Self {
            list: RwLock::default(),
            bells: (0..BELLS).map(|_| watch::Sender::default()).collect(),
            hash: RandomState::new(),
            keeper,
        }
    }

    /// Ends a session that the caller has, which may have been renewed since.
    pub async fn sign_out(&self, session: &Session, now: SystemTime) -> Result<(), NotRevoked> {
        // Those of a provider are as many as it lets in.
        if session.is_ours && self.list.read().unwrap_or_else(PoisonError::into_inner).len() >= MOST_REVOKED {
            return Err(NotRevoked::TooMany);
        }
        let whose = Whose::Session(session.id.clone());
        // A provider may renew what it gave out at any time, and does not ask whether that is over here.
        let until =
            if session.is_ours { session.expires_at.max(now + SESSION_LIFE) } else { now + LONGEST_LIFE };
        self.add(Revoked { whose, at: now, until }).await
    }

    /// Ends one session, or all of a subject's until now.
    pub async fn revoke(&self, whose: Whose, now: SystemTime) -> Result<(), NotRevoked> {
        self.add(Revoked { whose, at: now, until: now + LONGEST_LIFE }).await
    }

    /// Puts a revocation in force at once, and returns when it is on the disk. It is written even if nobody waits for this.
    async fn add(&self, revoked: Revoked) -> Result<(), NotRevoked> {
        if let Some(keeper) = &self.keeper {
            keeper.add(&revoked);
        }
        self.learn(std::slice::from_ref(&revoked));
        match &self.keeper {
            Some(keeper) => keeper.keep().await,
            None => Ok(()),
        }
    }

    /// The same without a server, which finds out within a second. Blocks.
    pub fn revoke_in(data_dir: &Path, whose: Whose, now: SystemTime) -> Result<(), NotRevoked> {
        let revoked = Revoked { whose, at: now, until: now + LONGEST_LIFE };
        Store::open(data_dir)
            .and_then(|mut store| store.add(&[revoked]))
            .map_err(|why| NotRevoked::or_denied(why, data_dir))
    }

    /// Learns what others have revoked, writes what the disk did not take, and forgets what is over, for ever.
    pub async fn follow(&self) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let now = SystemTime::now();
            self.list.write().unwrap_or_else(PoisonError::into_inner).forget_before(now);
            let Some(keeper) = &self.keeper else { continue };
            if let Err(why) = keeper.keep().await {
                tracing::warn!(%why, "revocations are in force and not on the disk: they are tried again in a second");
            }
            match keeper.news().await {
                Ok(news) => self.learn(&news),
                Err(why) => tracing::warn!(%why, "what others have revoked cannot be read"),
            }
        }
    }

    /// Writes what the disk has not taken so far, for the last time.
    pub async fn close(&self) {
        let Some(keeper) = &self.keeper else { return };
        if let Err(why) = keeper.keep().await {
            tracing::error!(%why, "sessions that were revoked are not on the disk: they are valid at the next start");
        }
    }

    /// Returns the time up to which all sessions of a subject are revoked, if they are.
    pub(super) fn subject_revoked_at(&self, subject: &str) -> Option<SystemTime> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).subject_revoked_at(subject)
    }

    /// Whether `session` is revoked.
    pub(super) fn cover(&self, session: &Session) -> bool {
        self.list.read().unwrap_or_else(PoisonError::into_inner).covers(session)
    }

    /// Once `session` is revoked.
    pub(super) async fn revoked(&self, session: &Session) {
        let [mut one, mut all] = names(session).map(|name| self.bell(&name).subscribe());
        while !self.cover(session) {
            // The bells are here, and so is whoever rings them.
            let _ = tokio::select! {
                rung = one.changed() => rung,
                rung = all.changed() => rung,
            };
        }
    }

    fn learn(&self, news: &[Revoked]) {
        for revoked in news {
            if self.list.write().unwrap_or_else(PoisonError::into_inner).add(revoked) {
                self.bell(&revoked.whose).send_replace(());
            }
        }
    }

    fn bell(&self, whose: &Whose) -> &watch::Sender<()> {
        &self.bells[self.hash.hash_one(whose) as usize % BELLS]
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
            revocations.revoke(Whose::Subject("carol".into()), now).await.unwrap();
        };
        tokio::join!(revocations.revoked(&ada), revocations.revoked(&carol), revoke);
        assert!(timeout(Duration::from_millis(20), revocations.revoked(&bob)).await.is_err());
    }

    /// Here it would be over after twelve hours, and the provider may renew it for days.
    #[tokio::test]
    async fn a_providers_session_stays_over() {
        let now = SystemTime::now();
        let days_later = now + Duration::from_secs(30 * 24 * 60 * 60);
        for (is_ours, is_remembered) in [(true, false), (false, true)] {
            let revocations = Revocations::in_memory();
            let first = Session { is_ours, ..session("ada") };
            revocations.sign_out(&first, now).await.unwrap();
            revocations.list.write().unwrap().forget_before(days_later);
            let renewed = Session { issued_at: days_later, expires_at: days_later + SESSION_LIFE, ..first };
            assert_eq!(revocations.cover(&renewed), is_remembered);
        }
    }

    /// And only of those who may sign in as often as they like: what a dispatcher or a provider ends is over.
    #[tokio::test]
    async fn there_is_room_for_so_many_and_again_once_they_are_over() {
        let revocations = Revocations::in_memory();
        let now = SystemTime::now();
        for _ in 0..MOST_REVOKED {
            revocations.sign_out(&session("guest"), now).await.unwrap();
        }
        let [guest, theirs] = [session("ada"), Session { is_ours: false, ..session("bob") }];
        assert!(matches!(revocations.sign_out(&guest, now).await, Err(NotRevoked::TooMany)));
        assert!(!revocations.cover(&guest), "as they were told");
        revocations.sign_out(&theirs, now).await.unwrap();
        revocations.revoke(Whose::Session(guest.id.clone()), now).await.unwrap();
        assert!(revocations.cover(&theirs) && revocations.cover(&guest));
        revocations.list.write().unwrap().forget_before(now + SESSION_LIFE);
        let later = session("carol");
        revocations.sign_out(&later, now + SESSION_LIFE).await.unwrap();
        assert!(revocations.cover(&later) && revocations.cover(&theirs));
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
        assert!(crowd.iter().all(|session| next.cover(session)));
    }

    fn on(disk: &Disk, dir: &Path) -> Revocations {
        let flags = OpenFlags::default();
        let db = Connection::open_with_flags_and_vfs(dir.join(FILE), flags, disk.vfs()).unwrap();
        Revocations::kept_in(Store::over(db).unwrap()).unwrap()
    }

    /// BAD-2: the caller cannot repeat it, since the session is over.
    #[tokio::test]
    async fn a_session_that_signs_out_while_the_disk_is_full_stays_over_at_the_next_start() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::new(1));
        for the_server_goes_on in [true, false] {
            let revocations = on(&disk, dir.path());
            let (first, ada) = (session("first"), session("ada"));
            let now = SystemTime::now();
            revocations.sign_out(&first, now).await.unwrap();
            disk.hold_at_most(Some(disk.used()));
            let not_kept = revocations.sign_out(&ada, now).await.unwrap_err();
            assert!(matches!(not_kept, NotRevoked::NotKept(_)), "{not_kept}");
            assert!(revocations.cover(&ada), "it is in force");
            let next = || on(&disk, dir.path()).cover(&ada);
            assert!(!next());

            let bob = session("bob");
            // Its caller leaves, whether or not the disk has refused by then.
            let _ = revocations.sign_out(&bob, now).now_or_never();

            disk.hold_at_most(None);
            match the_server_goes_on {
                true => tokio::select! {
                    never = revocations.follow() => never,
                    () = until(next) => {}
                },
                false => revocations.close().await,
            }
            let last = on(&disk, dir.path());
            assert!([&first, &ada, &bob].iter().all(|session| last.cover(session)));
        }
    }

    /// BAD-1: deleting from the file needs room for SQLite's own journal.
    #[tokio::test]
    async fn a_full_disk_does_not_keep_the_server_from_starting() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::new(1));
        let (ada, bob) = (session("ada"), session("bob"));
        let first = on(&disk, dir.path());
        first.sign_out(&ada, SystemTime::now()).await.unwrap();
        let long_over = Revoked {
            whose: Whose::Session(bob.id.clone()),
            at: SystemTime::UNIX_EPOCH,
            until: SystemTime::UNIX_EPOCH,
        };
        first.add(long_over).await.unwrap();
        first.close().await;
        disk.hold_at_most(Some(disk.used()));
        assert!(on(&disk, dir.path()).cover(&ada));
        disk.hold_at_most(None);
        assert!(!on(&disk, dir.path()).cover(&bob), "what is over is forgotten at last");
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
        Revocations::revoke_in(dir.path(), Whose::Session(ada.id.clone()), SystemTime::now()).unwrap();
        tokio::select! {
            () = revocations.revoked(&ada) => {}
            () = revocations.follow() => {}
        }
        assert!(Revocations::open(dir.path()).unwrap().cover(&ada), "and so does the next");
    }
}
