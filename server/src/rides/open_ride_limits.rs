//! The numbers of open rides, counted by holder. Pure.

use std::{collections::HashMap, fmt, net::IpAddr};

use super::model::Booking;

/// A party that open rides are counted for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Holder {
    /// The rider of a ride, also if a dispatcher booked it. The count is made from the journal and survives a
    /// restart.
    Rider(String),
    /// All guests that booked from one address. The count does not survive a restart.
    Address(IpAddr),
    /// All guests that booked from addresses which stand for many callers. The count does not survive a restart.
    ExemptAddresses,
}

impl Holder {
    /// Returns the rider of a booking, if it has one.
    pub(super) fn rider_of(booking: &Booking) -> Option<Self> {
        Some(&booking.rider).filter(|rider| !rider.is_empty()).cloned().map(Self::Rider)
    }

    /// Returns `true` if the holder is a group of guests.
    pub(super) fn is_guest_group(&self) -> bool {
        match self {
            Self::Rider(_) => false,
            Self::Address(_) | Self::ExemptAddresses => true,
        }
    }
}

/// A limit on the open rides of one holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRideLimit {
    /// The holder that a new ride counts for.
    pub holder: Holder,
    /// The most open rides, with the new one. At least 1.
    pub max_open_rides: usize,
}

impl fmt::Display for OpenRideLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.holder {
            Holder::Rider(_) => "of this rider",
            Holder::Address(_) => "from this address",
            Holder::ExemptAddresses => "of all guests at exempt addresses",
        };
        write!(
            f,
            "too many open rides {of}: the limit is {}; cancel one, or wait until one ends",
            self.max_open_rides
        )
    }
}

/// The number of open rides of each holder, or a change of it.
#[derive(Default)]
pub(super) struct OpenRideCounts(HashMap<Holder, isize>);

impl OpenRideCounts {
    pub(super) fn of(&self, holder: &Holder) -> isize {
        self.0.get(holder).copied().unwrap_or_default()
    }

    /// Adds `change` to the count of a holder.
    pub(super) fn add(&mut self, holder: Holder, change: isize) {
        let count = self.of(&holder) + change;
        match count {
            0 => self.0.remove(&holder),
            count => self.0.insert(holder, count),
        };
    }

    pub(super) fn add_all(&mut self, changes: Self) {
        for (holder, change) in changes.0 {
            self.add(holder, change);
        }
    }
}
