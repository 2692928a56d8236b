//! Answers that their service gives up by itself.

use std::sync::Arc;

use tonic::Status;

/// Among the extensions of an answer: its service knows when its client has taken nothing for too long. It can only say
/// so here, since a transport that is stuck asks the answer for nothing.
#[derive(Clone)]
pub struct LetGo(Arc<dyn Fn() -> Option<Status> + Send + Sync>);

impl LetGo {
    /// Once `status` gives one, the answer is over with it.
    pub fn with(status: impl Fn() -> Option<Status> + Send + Sync + 'static) -> Self {
        Self(Arc::new(status))
    }

    /// `None`: not yet.
    pub fn status(&self) -> Option<Status> {
        (self.0)()
    }
}
