//! Polling until a condition holds, with an error that names the condition.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(100);

/// Calls `ask` every 100 ms until it returns a value, and returns that value.
///
/// # Errors
/// When `within` has passed; the error contains `what`. When `ask` fails.
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
