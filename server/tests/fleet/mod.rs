//! The fleet as viewers see it, and as drivers are treated.

mod driving;
pub(crate) mod viewer;
mod watching;
