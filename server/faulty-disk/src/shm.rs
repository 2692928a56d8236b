//! The shared memory of connections in WAL mode. It is freed when the last of them closes, or the power is cut.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A region of shared memory, zeroed at first. Its words are atomic because SQLite writes to them behind a shared
/// pointer.
#[derive(Clone)]
pub(crate) struct Region(Arc<[AtomicU64]>);

impl Region {
    pub(crate) fn new(bytes: usize) -> Self {
        Self((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Returns a pointer that is valid as long as any clone of the region exists.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// Orders the accesses to shared memory by connections on different threads.
pub(crate) fn barrier() {
    std::sync::atomic::fence(Ordering::SeqCst);
}
