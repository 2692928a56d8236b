//! What everyone knows of the storm.

use std::time::SystemTime;

use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use tonic::Status;

use crate::harness::wire::is_broken;

/// For how long a call that broke waits for a server that may well be up.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the server has come up, and whether it will stay.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sky {
    pub(crate) lives: u32,
    pub(crate) is_calm: bool,
}

/// Longer than a server takes for an answer that is up.
const DEADLINE: Duration = Duration::from_secs(10);

/// A view of the sky.
#[derive(Clone)]
pub(crate) struct Weather(pub(crate) watch::Receiver<Sky>);

/// What came of asking until there was an answer.
pub(crate) struct Answer<T> {
    pub(crate) outcome: Result<T, Status>,
    /// How often it was asked in vain before.
    pub(crate) lost: u32,
    /// When it was asked in the end.
    pub(crate) asked: SystemTime,
}

impl Weather {
    pub(crate) fn is_calm(&self) -> bool {
        self.0.borrow().is_calm
    }

    /// Waits until the server has come up again.
    pub(crate) async fn changes(&mut self) {
        // The sky is there as long as the storm.
        let _ = self.0.changed().await;
    }

    /// Repeats a call until it is answered, with success or with a refusal.
    pub(crate) async fn insists<T, F>(&mut self, call: impl Fn() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut lost = 0;
        loop {
            let (life, asked) = (self.0.borrow().lives, SystemTime::now());
            match timeout(DEADLINE, call()).await {
                Ok(Err(status)) if is_broken(&status) => self.outlasts(life).await,
                Ok(outcome) => return Answer { outcome, lost, asked },
                // Who was asked is dead, and the client's side of the connection did not say so: one call in a
                // hundred thousand. It is what deadlines are for.
                Err(_) if self.0.borrow().lives > life => {}
                Err(_) => panic!("no answer from a server that is up"),
            }
            lost += 1;
        }
    }

    /// Waits until the server has come up again after `life`.
    async fn outlasts(&mut self, life: u32) {
        // It does not matter which of the two it was: whoever asks again finds out.
        let _ = timeout(PATIENCE, self.0.wait_for(|sky| sky.lives > life)).await;
    }
}
