//! Where the cars are. Stand-in.
use rides_proto::ids::CarNumber;

use crate::model::CarGlide;

/// Where the cars are.
#[derive(Default)]
pub struct FleetModel {
    glides: Vec<CarGlide>,
    revision: u64,
}

impl FleetModel {
    /// Stand-in.
    pub fn set(&mut self, glides: Vec<CarGlide>) {
        self.glides = glides;
        self.revision += 1;
    }
    /// All.
    pub fn glides(&self) -> impl Iterator<Item = CarGlide> + '_ {
        self.glides.iter().copied()
    }
    /// Changes with any car.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    /// One.
    pub fn glide(&self, number: CarNumber) -> Option<CarGlide> {
        self.glides.iter().copied().find(|g| g.number == number)
    }
}
