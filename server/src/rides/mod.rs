//! Rides: what happens to them, by which rules, and who is told.

pub mod model;
