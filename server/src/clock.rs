//! Timers by the wall clock, by which tokens and certificates expire.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

/// The interval at which the clock is read. A single long sleep would miss a change of the clock or a suspended
/// machine.
const GLANCE: Duration = Duration::from_secs(30);

/// Returns when the wall clock has reached `at`.
pub(crate) async fn past(at: SystemTime) {
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(GLANCE)).await;
    }
}
