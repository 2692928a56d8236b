//! The state of the storm as the clients see it.

use std::time::SystemTime;

use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use tonic::Status;

use crate::harness::wire::is_broken;

/// The time for which a client waits for a restart before it repeats a failed call.
const RESTART_WAIT: Duration = Duration::from_millis(500);

/// The number of times the server has come up, and whether it stays up from now on.
#[derive(Clone, Copy, Default)]
pub(crate) struct StormState {
    pub(crate) lives: u32,
    pub(crate) is_calm: bool,
}

/// The timeout of a call: longer than any response of a running server takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// A receiver of the state of the storm.
#[derive(Clone)]
pub(crate) struct StormReceiver(pub(crate) watch::Receiver<StormState>);

/// The response to a call that was repeated until it got one.
pub(crate) struct RetriedCall<T> {
    pub(crate) outcome: Result<T, Status>,
    /// The number of attempts without a response.
    pub(crate) lost: u32,
    /// The time of the attempt that got the response.
    pub(crate) asked: SystemTime,
}

impl StormReceiver {
    pub(crate) fn is_calm(&self) -> bool {
        self.0.borrow().is_calm
    }

    /// Waits until the server has come up again.
    pub(crate) async fn changes(&mut self) {
        // An error means that the sender is gone. It lives as long as the storm, so that cannot happen.
        let _ = self.0.changed().await;
    }

    /// Repeats a call until the server responds, with success or with a refusal.
    pub(crate) async fn retry_until_response<T, F>(&mut self, call: impl Fn() -> F) -> RetriedCall<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut lost = 0;
        loop {
            let (life, asked) = (self.0.borrow().lives, SystemTime::now());
            match timeout(DEADLINE, call()).await {
                Ok(Err(status)) if is_broken(&status) => self.wait_for_restart(life).await,
                Ok(outcome) => return RetriedCall { outcome, lost, asked },
                // The server was killed, but the client's connection did not report that. It happens once in
                // about 100,000 calls, and the timeout covers it.
                Err(_) if self.0.borrow().lives > life => {}
                Err(_) => panic!("a running server did not respond"),
            }
            lost += 1;
        }
    }

    /// Waits until the server has come up again after `life`, for at most `RESTART_WAIT`.
    async fn wait_for_restart(&mut self, life: u32) {
        // A timeout and a restart are treated alike: the next attempt shows which of them it was.
        let _ = timeout(RESTART_WAIT, self.0.wait_for(|sky| sky.lives > life)).await;
    }
}
