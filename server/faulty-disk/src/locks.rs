//! The locks of a file that several connections have open, by SQLite's rules. No call waits.

/// The lock of a connection on a database file, in the order in which a lock is upgraded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    /// Returns `true` if a connection may have this lock beside the locks of `others`.
    pub(crate) fn is_free(self, mut others: impl Iterator<Item = Self>) -> bool {
        match self {
            Self::None => true,
            Self::Shared => others.all(|other| other < Self::Pending),
            Self::Reserved | Self::Pending => others.all(|other| other < Self::Reserved),
            Self::Exclusive => others.all(|other| other == Self::None),
        }
    }
}

/// The locks of a connection on the eight slots of the shared memory, as bits.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slots {
    pub(crate) shared: u8,
    pub(crate) exclusive: u8,
}

impl Slots {
    /// Takes the locks `wanted`, and returns `true`, unless one of `others` is in conflict.
    pub(crate) fn take(&mut self, wanted: Self, mut others: impl Iterator<Item = Self>) -> bool {
        let free = others.all(|other| {
            wanted.shared & other.exclusive == 0 && wanted.exclusive & (other.shared | other.exclusive) == 0
        });
        if free {
            self.shared |= wanted.shared;
            self.exclusive |= wanted.exclusive;
        }
        free
    }

    pub(crate) fn release(&mut self, slots: Self) {
        self.shared &= !slots.shared;
        self.exclusive &= !slots.exclusive;
    }
}
