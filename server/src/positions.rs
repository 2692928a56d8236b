//! The position feed from the fleet to the fan-out, one message per tick.
//!
//! `fleet` and `fanout` depend on this module and not on each other, so that they can run on different machines.

use std::time::SystemTime;

use rides_proto::{
    ids::CarNumber,
    tiles::{Cell, WorldPoint},
};

/// The state of a car on the map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CarState {
    /// The car is signed on and has no ride.
    Free,
    /// The car has an offer that the driver has not answered.
    Offered,
    /// The car is on the way to a pickup.
    ToPickup,
    /// The car waits at the pickup.
    AtPickup,
    /// The car has passengers.
    OnTrip,
    /// The car reports positions and takes no rides.
    OffDuty,
}

/// A direction of travel in 1/128 of a turn clockwise from north, below 128.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Heading(u8);

impl Heading {
    /// Converts degrees clockwise from north. NaN and infinities become north.
    pub fn from_deg(deg: f64) -> Self {
        Self(((deg.rem_euclid(360.0) * 128.0 / 360.0).round() as u32 % 128) as u8)
    }

    /// Returns the heading in 1/128 of a turn.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// A car on the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CarDot {
    /// The number of the car in frames of the fleet.
    pub number: CarNumber,
    /// The position.
    pub at: WorldPoint,
    /// The direction of travel.
    pub heading: Heading,
    /// The state.
    pub state: CarState,
}

/// The changes in one map cell in one tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CellChange {
    /// The cell.
    pub cell: Cell,
    /// The cars in the cell that moved, entered or changed state.
    pub changed: Vec<CarDot>,
    /// The cars that left the cell. A car that moved to another cell is in `changed` there.
    pub left: Vec<CarNumber>,
}

/// The changes on the map in one tick. Each cell occurs at most once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetTick {
    /// The number of the tick, from 1 within an epoch. Numbers increase and may skip.
    pub tick: u64,
    /// The time of the tick.
    pub time: SystemTime,
    /// The cells with a change.
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
