//! A disk in memory for tests of SQLite, which fails as real disks do.
//!
//! [`Disk::vfs`] is the name of a SQLite VFS. Any number of connections of this process may use it, also in WAL mode.
//! When [the power is cut](Disk::cut_power), writes that were not synced are lost, kept or torn, at random and in any
//! order. A [full](Disk::hold_at_most) disk stores as much as fits. Operations [fail](Disk::fail) on demand. A failed
//! sync is as bad as on Linux: the data may be lost, and the next sync succeeds all the same.
//!
//! The disk has two guarantees that SQLite relies on. A write does not change the bytes beside it (power-safe
//! overwrite). The creation or deletion of a file is durable after the next sync of any file (a file system with a
//! journal).

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

/// A disk, empty at first. Its files are lost when it is dropped.
pub struct Disk {
    vfs: String,
    state: Arc<Mutex<State>>,
}

impl Disk {
    /// Makes a disk without faults. `seed` decides what is left after a power cut.
    ///
    /// # Panics
    /// When SQLite does not accept the VFS.
    pub fn new(seed: u64) -> Self {
        static DISKS: AtomicU64 = AtomicU64::new(0);
        let vfs = format!("faulty-{}-{}", process::id(), DISKS.fetch_add(1, Ordering::Relaxed));
        let state = Arc::new(Mutex::new(State::new(seed)));
        vfs::register(&vfs, Arc::downgrade(&state));
        Self { vfs, state }
    }

    /// Returns the name of the SQLite VFS, with which connections are opened.
    pub fn vfs(&self) -> &str {
        &self.vfs
    }

    /// Cuts the power. Open files become unusable, and any part of the writes that were not synced may be left.
    pub fn cut_power(&self) {
        self.state().cut_power();
    }

    /// Ends the process that has the files open, as SIGKILL does. Open files become unusable, and all writes are
    /// kept.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// Cuts the power during the `nth` operation from now that changes the disk, counted from 1.
    pub fn cut_power_at(&self, nth: u64) {
        self.state().faults.cut_power_at(nth);
    }

    /// Returns `true` if the power is on.
    pub fn has_power(&self) -> bool {
        self.state().has_power()
    }

    /// Turns the power on again, and removes all faults.
    pub fn restore_power(&self) {
        self.state().restore_power();
    }

    /// Limits the size of the disk in bytes. `None` for no limit. The files may already be larger.
    pub fn limit_size(&self, bytes: Option<u64>) {
        self.state().faults.size_limit = bytes;
    }

    /// Makes the `nth` `operation` from now fail, counted from 1. Later ones succeed.
    pub fn fail(&self, operation: Operation, nth: u64) {
        self.state().faults.fail(operation, nth);
    }

    /// Makes each operation fail with this probability.
    pub fn fail_at_random(&self, probability: f64) {
        self.state().faults.at_random = probability;
    }

    /// Returns the number of successful calls of `operation`.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state().count(operation)
    }

    /// Returns the number of operations that failed on demand or at random.
    pub fn injected_faults(&self) -> u64 {
        self.state().struck()
    }

    /// Returns the size of all files in bytes.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Returns the size in bytes of the files whose names end with `ending`.
    pub fn size(&self, ending: &str) -> u64 {
        self.state().size(ending)
    }

    /// Writes the files whose names end with `ending` over themselves and syncs them, as a program does to make sure
    /// that their content is durable.
    pub fn rewrite(&self, ending: &str) {
        self.state().rewrite(ending);
    }

    /// Writes the files into a directory of the platform, each under the last part of its name.
    ///
    /// # Errors
    /// When a file cannot be written.
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
