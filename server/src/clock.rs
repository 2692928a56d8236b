//! The clock on the wall, by which tokens and certificates end.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

/// Between two looks at it: it may be put right, or go on while the machine sleeps.
const GLANCE: Duration = Duration::from_secs(30);

/// Once it shows `at`.
pub(crate) async fn past(at: SystemTime) {
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(GLANCE)).await;
    }
}
