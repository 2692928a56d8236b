//! A disk in memory for SQLite under test, which does to it what disks do.
//!
//! [`Disk::vfs`] is the name of a SQLite VFS; any number of connections of this process may use it, in WAL mode
//! too. What was written but not synced when [the power is cut](Disk::cut_power) is lost, kept or torn, at random
//! and in any order; a [full](Disk::hold_at_most) disk takes what fits; calls [fail](Disk::fail) when told to. A
//! failed sync is as bad as Linux makes it: the data may be gone, and the next sync succeeds all the same.
//!
//! It is kinder than a disk in two ways that SQLite counts on: a write leaves the bytes beside it alone
//! (power-safe overwrite), and a created or deleted file is durable from the next sync of any file on (a file
//! system with a journal).

mod faults;
mod file;
mod locks;
mod shm;
mod state;
mod vfs;

use std::{
    fs, io,
    path::Path,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use state::State;

pub use faults::Operation;

/// A disk, empty at first. What connections left on it is gone when it is dropped.
pub struct Disk {
    vfs: String,
    state: Arc<Mutex<State>>,
}

impl Disk {
    /// A disk that is fine until told otherwise. `seed` decides what a power cut leaves.
    ///
    /// # Panics
    /// When SQLite does not take it.
    pub fn new(seed: u64) -> Self {
        static DISKS: AtomicU64 = AtomicU64::new(0);
        let vfs = format!("faulty-{}-{}", process::id(), DISKS.fetch_add(1, Ordering::Relaxed));
        let state = Arc::new(Mutex::new(State::new(seed)));
        vfs::register(&vfs, Arc::downgrade(&state));
        Self { vfs, state }
    }

    /// What SQLite calls it: the VFS to open a connection with.
    pub fn vfs(&self) -> &str {
        &self.vfs
    }

    /// Cuts the power: open files are dead, and of what was not synced anything may be left.
    pub fn cut_power(&self) {
        self.state().cut_power();
    }

    /// Ends the process that has it open, as SIGKILL does: its files are dead, and what it wrote is still there.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// Cuts the power during the n-th operation from now that changes the disk, from 1.
    pub fn cut_power_at(&self, nth: u64) {
        self.state().faults.cut_power_at(nth);
    }

    /// Whether the power is on.
    pub fn has_power(&self) -> bool {
        self.state().has_power()
    }

    /// Brings the power back, and calls off every fault.
    pub fn restore_power(&self) {
        self.state().restore_power();
    }

    /// How many bytes fit from now on; `None`: any number. More may be there already.
    pub fn hold_at_most(&self, bytes: Option<u64>) {
        self.state().faults.room = bytes;
    }

    /// Lets the n-th `operation` from now fail, from 1. The ones after it succeed.
    pub fn fail(&self, operation: Operation, nth: u64) {
        self.state().faults.fail(operation, nth);
    }

    /// Lets each operation fail with this probability.
    pub fn fail_at_random(&self, probability: f64) {
        self.state().faults.at_random = probability;
    }

    /// How often `operation` has succeeded.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state().count(operation)
    }

    /// How often an operation failed because it was told to.
    pub fn struck(&self) -> u64 {
        self.state().struck()
    }

    /// How many bytes all its files have.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// How many bytes the files have whose name ends like this.
    pub fn size(&self, ending: &str) -> u64 {
        self.state().size(ending)
    }

    /// Writes the files whose name ends like this over themselves and syncs them, as a program does that wants to
    /// be sure of what it reads.
    pub fn rewrite(&self, ending: &str) {
        self.state().rewrite(ending);
    }

    /// Writes its files into a directory of the platform, each under the last part of its name.
    ///
    /// # Errors
    /// When the directory does not take them.
    pub fn copy_to(&self, dir: &Path) -> io::Result<()> {
        self.state().files().try_for_each(|(name, bytes)| {
            fs::write(dir.join(Path::new(name).file_name().unwrap_or_default()), bytes)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        vfs::unregister(&self.vfs);
    }
}
