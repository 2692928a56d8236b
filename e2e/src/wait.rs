//! Waiting for something to become true, and saying so when it does not.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(100);

/// Asks again and again until there is an answer.
///
/// # Errors
/// When `within` is over, naming what was waited for; or when asking fails.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(anyhow!("waited {within:?} for {what}"));
        }
        sleep(PAUSE).await;
    }
}
