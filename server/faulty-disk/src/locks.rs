//! Who may do what to a file that several connections have open: SQLite's rules, without waiting.

/// A connection's lock on a database file. In the order in which one grows into the next.
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
    /// Whether a connection may have it beside what others have.
    pub(crate) fn is_free(self, mut others: impl Iterator<Item = Self>) -> bool {
        match self {
            Self::None => true,
            Self::Shared => others.all(|other| other < Self::Pending),
            Self::Reserved | Self::Pending => others.all(|other| other < Self::Reserved),
            Self::Exclusive => others.all(|other| other == Self::None),
        }
    }
}

/// A connection's locks on the eight slots of the shared memory, as bits.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slots {
    pub(crate) shared: u8,
    pub(crate) exclusive: u8,
}

impl Slots {
    /// Takes `wanted`, unless one of `others` is in the way.
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

    pub(crate) fn give_back(&mut self, slots: Self) {
        self.shared &= !slots.shared;
        self.exclusive &= !slots.exclusive;
    }
}
