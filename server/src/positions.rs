//! What the fleet says and the fan-out hears, once a tick: the position feed.
//!
//! `fleet` and `fanout` know only this, not each other, so that the two can run on different machines.

use std::time::SystemTime;

use rides_proto::{
    ids::CarNumber,
    tiles::{Cell, WorldPoint},
};

/// What a car is doing, as the map shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CarState {
    /// Signed on and without a ride.
    Free,
    /// Has an offer to answer.
    Offered,
    /// On the way to a pickup.
    ToPickup,
    /// Waiting at the pickup.
    AtPickup,
    /// Passengers aboard.
    OnTrip,
    /// Reports positions but takes no rides.
    OffDuty,
}

/// A direction of travel in 1/128 of a turn clockwise from north, below 128.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Heading(u8);

impl Heading {
    /// From degrees clockwise from north; anything that is not a number is north.
    pub fn from_deg(deg: f64) -> Self {
        Self(((deg.rem_euclid(360.0) * 128.0 / 360.0).round() as u32 % 128) as u8)
    }

    /// In 1/128 of a turn.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// A car on the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CarDot {
    /// Its number in fleet frames.
    pub number: CarNumber,
    /// Where it is.
    pub at: WorldPoint,
    /// Where it is going.
    pub heading: Heading,
    /// What it is doing.
    pub state: CarState,
}

/// What changed in one cell in one tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CellChange {
    /// Which cell.
    pub cell: Cell,
    /// Cars in it that moved, entered or changed state.
    pub changed: Vec<CarDot>,
    /// Cars that are not in it any more; one that moved to a neighbour is in `changed` there.
    pub left: Vec<CarNumber>,
}

/// What changed on the map in one tick. A cell stands in it at most once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetTick {
    /// Counts up from 1 within an epoch; may skip.
    pub tick: u64,
    /// When it was taken.
    pub time: SystemTime,
    /// Only cells in which something changed.
    pub cells: Vec<CellChange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_wrap_around_north() {
        for (deg, expected) in [(0.0, 0), (90.0, 32), (359.9, 0), (-90.0, 96), (720.0, 0), (f64::NAN, 0)] {
            assert_eq!(Heading::from_deg(deg).get(), expected, "{deg}");
        }
    }
}
