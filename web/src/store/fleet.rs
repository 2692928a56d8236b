//! Where the cars are. Stand-in.

use rides_proto::ids::CarNumber;

use crate::model::{CarGlide, CarState};

/// Where the cars are.
#[derive(Default)]
pub struct FleetModel;

impl FleetModel {
    /// Every car.
    pub fn glides(&self) -> impl Iterator<Item = CarGlide> + '_ {
        (0..120).map(|n| CarGlide {
            number: CarNumber(n),
            from: (0.0, 0.0),
            to: (0.0, 0.0),
            from_turn: 0.0,
            to_turn: 0.0,
            from_at: 0.0,
            to_at: 0.0,
            state: match n % 16 {
                0..8 => CarState::Free,
                8 => CarState::Offered,
                9 | 10 => CarState::ToPickup,
                11 => CarState::AtPickup,
                12..15 => CarState::OnTrip,
                _ => CarState::OffDuty,
            },
        })
    }
}
