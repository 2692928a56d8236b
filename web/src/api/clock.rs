//! Time and chance, so that what waits and retries can be tested without waiting.

use crate::{browser, model::Millis};

/// Time and chance.
pub trait Clock {
    /// The monotonic clock.
    fn now(&self) -> Millis;
    /// The wall clock, which runs on while the system sleeps. Unix milliseconds.
    fn wall(&self) -> f64;
    /// A number in [0, 1).
    fn chance(&self) -> f64;
    /// Waits, for a day at most.
    fn sleep(&self, millis: Millis) -> impl Future<Output = ()>;
}

/// The browser's.
#[derive(Clone, Copy, Debug)]
pub struct BrowserClock;

impl Clock for BrowserClock {
    fn now(&self) -> Millis {
        browser::now()
    }

    fn wall(&self) -> f64 {
        browser::unix_now()
    }

    fn chance(&self) -> f64 {
        browser::random()
    }

    async fn sleep(&self, millis: Millis) {
        browser::sleep(millis).await;
    }
}

/// tokio's, which a test can hold still; chance is always one half.
#[cfg(test)]
pub(crate) struct TestClock(tokio::time::Instant);

#[cfg(test)]
impl TestClock {
    /// Starts at 0.
    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[cfg(test)]
impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.0.elapsed().as_secs_f64() * 1e3
    }

    fn wall(&self) -> f64 {
        self.now()
    }

    fn chance(&self) -> f64 {
        0.5
    }

    async fn sleep(&self, millis: Millis) {
        tokio::time::sleep(std::time::Duration::from_secs_f64(millis.clamp(0.0, 86_400_000.0) / 1e3)).await;
    }
}
