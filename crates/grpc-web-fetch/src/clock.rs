//! Time and randomness behind a trait, so that tests of waits and retries do not wait.

use crate::browser;

/// A time or a duration in milliseconds. Times are on the monotonic clock (`performance.now()`).
pub type Millis = f64;

/// A source of time and randomness.
pub trait Clock: Clone + 'static {
    /// Returns the monotonic clock.
    fn now(&self) -> Millis;

    /// Returns the wall clock in Unix milliseconds. It runs on while the system sleeps.
    fn wall(&self) -> f64;

    /// Returns a random number in [0, 1).
    fn random(&self) -> f64;

    /// Waits for `millis` milliseconds, at most one day.
    fn sleep(&self, millis: Millis) -> impl Future<Output = ()>;
}

/// The clock of the browser.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrowserClock;

impl Clock for BrowserClock {
    fn now(&self) -> Millis {
        browser::now()
    }

    fn wall(&self) -> f64 {
        js_sys::Date::now()
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    fn sleep(&self, millis: Millis) -> impl Future<Output = ()> {
        browser::sleep(millis)
    }
}

/// The clock of tokio, which a test can pause. It starts at 0, and each random number is one half.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct TestClock(tokio::time::Instant);

#[cfg(test)]
impl TestClock {
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

    fn random(&self) -> f64 {
        0.5
    }

    async fn sleep(&self, millis: Millis) {
        tokio::time::sleep(std::time::Duration::from_secs_f64(millis.clamp(0.0, 86_400_000.0) / 1e3)).await;
    }
}
