//! Reverse proxies in front of the server: the real programs, with the configurations of `deploy/`.

pub mod backend;
pub mod caller;
pub mod certificate;
pub mod line;
pub mod page;
pub mod program;
pub mod running;
pub mod setup;
pub mod table;
pub mod trial;

use std::time::Duration;

/// The time for which a stream must stay live.
pub const LIFE: Duration = Duration::from_secs(60);
