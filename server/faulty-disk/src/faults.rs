//! The faults of a disk, and the operations that they strike.

use rand::{Rng as _, rngs::SmallRng};

/// An operation of SQLite that can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A read of a file's bytes.
    Read,
    /// A write of a file's bytes.
    Write,
    /// A sync of all that was written to a file.
    Sync,
    /// A change of a file's length.
    Truncate,
    /// The deletion of a file.
    Delete,
}

impl Operation {
    pub(crate) const ALL: usize = Self::Delete as usize + 1;
}

/// The faults that were asked for and have not happened yet.
#[derive(Default)]
pub(crate) struct Faults {
    /// The size of the disk in bytes. `None` for no limit.
    pub(crate) size_limit: Option<u64>,
    /// The probability with which each operation fails.
    pub(crate) at_random: f64,
    /// For each operation, the number of calls up to and with the one that fails.
    countdowns: [Option<u64>; Operation::ALL],
    power_cut: Option<u64>,
}

impl Faults {
    pub(crate) fn fail(&mut self, operation: Operation, nth: u64) {
        self.countdowns[operation as usize] = Some(nth);
    }

    pub(crate) fn cut_power_at(&mut self, nth: u64) {
        self.power_cut = Some(nth);
    }

    /// Returns `true` if this `operation` must fail.
    pub(crate) fn strikes(&mut self, operation: Operation, rng: &mut SmallRng) -> bool {
        is_due(&mut self.countdowns[operation as usize])
            || (self.at_random > 0.0 && rng.random_bool(self.at_random))
    }

    /// Returns `true` if the power must be cut during this change.
    pub(crate) fn cuts_power(&mut self) -> bool {
        is_due(&mut self.power_cut)
    }
}

fn is_due(countdown: &mut Option<u64>) -> bool {
    *countdown = countdown.map(|left| left.saturating_sub(1));
    countdown.take_if(|left| *left == 0).is_some()
}
