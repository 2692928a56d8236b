//! The memory that connections in WAL mode share: gone when the last of them closes, or the power does.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// One piece of it, zeroed at first. Atomic because SQLite writes to it behind a shared pointer.
#[derive(Clone)]
pub(crate) struct Region(Arc<[AtomicU64]>);

impl Region {
    pub(crate) fn new(bytes: usize) -> Self {
        Self((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Valid as long as any clone of the region.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// Orders what connections on different threads see of it.
pub(crate) fn barrier() {
    std::sync::atomic::fence(Ordering::SeqCst);
}
