//! A timer by the wall clock, by which tokens and certificates expire.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

/// The interval at which the clock is read. A single long sleep would miss a change of the clock or a suspended
/// machine.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Returns when the wall clock has reached `at`.
pub async fn sleep_until(at: SystemTime) {
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(CHECK_INTERVAL)).await;
    }
}
