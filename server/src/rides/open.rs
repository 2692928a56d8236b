//! Open rides, counted for those that have limits of them. Pure.

use std::{collections::HashMap, fmt, net::IpAddr};

use super::model::Booking;

/// A holder of open rides, for whom they are counted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Holder {
    /// The rider of a ride, also of one that a dispatcher booked. Counted in the journal.
    Rider(String),
    /// All guests who booked from one address. Counted for as long as the server runs.
    Address(IpAddr),
    /// All guests who booked from addresses that stand for many callers. Counted for as long as the server runs.
    ExemptAddresses,
}

impl Holder {
    /// The rider of a booking, if it names one.
    pub(super) fn rider_of(booking: &Booking) -> Option<Self> {
        Some(&booking.rider).filter(|rider| !rider.is_empty()).cloned().map(Self::Rider)
    }

    /// Tells whether guests share this holder.
    pub(super) fn is_guests(&self) -> bool {
        match self {
            Self::Rider(_) => false,
            Self::Address(_) | Self::ExemptAddresses => true,
        }
    }
}

/// The most open rides that one holder of a new ride may have, with this ride.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRideLimit {
    /// The one for whom the ride counts.
    pub holder: Holder,
    /// At least 1.
    pub most: usize,
}

impl fmt::Display for OpenRideLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.holder {
            Holder::Rider(_) => "of this rider",
            Holder::Address(_) => "from this address",
            Holder::ExemptAddresses => "of all guests at exempt addresses",
        };
        write!(f, "too many open rides {of}: the limit is {}; cancel one, or wait until one ends", self.most)
    }
}

/// Open rides of each holder, or what is added to them.
#[derive(Default)]
pub(super) struct OpenRides(HashMap<Holder, isize>);

impl OpenRides {
    pub(super) fn of(&self, holder: &Holder) -> isize {
        self.0.get(holder).copied().unwrap_or_default()
    }

    /// Counts `change` more.
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
