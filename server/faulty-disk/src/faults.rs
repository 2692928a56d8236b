//! What goes wrong, and when.

use rand::{Rng as _, rngs::SmallRng};

/// What SQLite asks of a disk, as far as it can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Of a file's bytes.
    Read,
    /// Of a file's bytes.
    Write,
    /// Of all that was written to a file.
    Sync,
    /// Of a file's length.
    Truncate,
    /// Of a file.
    Delete,
}

impl Operation {
    pub(crate) const ALL: usize = Self::Delete as usize + 1;
}

/// What was asked for and has not happened yet.
#[derive(Default)]
pub(crate) struct Faults {
    /// Bytes that fit; `None`: any number.
    pub(crate) room: Option<u64>,
    /// How likely each operation is to fail.
    pub(crate) at_random: f64,
    /// For each operation, how many more are tried up to and with the one that fails.
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

    /// Whether this `operation` fails.
    pub(crate) fn strikes(&mut self, operation: Operation, rng: &mut SmallRng) -> bool {
        is_due(&mut self.countdowns[operation as usize])
            || (self.at_random > 0.0 && rng.random_bool(self.at_random))
    }

    /// Whether the power is cut during this change.
    pub(crate) fn cuts_power(&mut self) -> bool {
        is_due(&mut self.power_cut)
    }
}

fn is_due(countdown: &mut Option<u64>) -> bool {
    *countdown = countdown.map(|left| left.saturating_sub(1));
    countdown.take_if(|left| *left == 0).is_some()
}
