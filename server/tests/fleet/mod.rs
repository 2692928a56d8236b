//! The fleet as viewers see it, and as drivers are treated.

mod crowd;
mod driving;
mod slow;
pub(crate) mod viewer;
mod watching;
