//! Reverse proxies in front of the server: the real programs, with the configurations of `deploy/`.

pub mod backend;
pub mod caller;
pub mod certificate;
pub mod page;
pub mod program;
pub mod proxied_client;
pub mod proxy_process;
pub mod setup;
pub mod table;
pub mod trial;

use std::time::Duration;

/// The time for which a stream must stay live.
pub const LIVE_FOR: Duration = Duration::from_secs(60);
