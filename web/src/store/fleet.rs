//! Where the cars are. Being written.

/// Where the cars are.
#[derive(Default)]
pub struct FleetModel;
