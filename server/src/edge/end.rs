//! What ends a call besides itself: its deadline, the end of the caller's session or certificate, and that the server
//! goes.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    auth::Credentials,
    contract::{Kind, Method},
    deadline, status,
};

/// When a call is over, and why.
pub(super) struct End {
    is_upload: bool,
    deadline: Option<Instant>,
    credentials: Option<Box<Credentials>>,
    shutdown: CancellationToken,
}

impl End {
    /// Of a call that begins now: at the deadline that was `asked` for, or at the ceiling of its kind.
    pub(super) fn of(
        method: Option<Method>,
        asked: Option<Instant>,
        credentials: Option<Box<Credentials>>,
        shutdown: CancellationToken,
    ) -> Self {
        let ceiling = method.map(|method| Instant::now() + method.kind.ceiling());
        Self {
            is_upload: method.is_some_and(|method| method.kind == Kind::Upload),
            deadline: asked.into_iter().chain(ceiling).min(),
            credentials,
            shutdown,
        }
    }

    /// Once a handler that has not answered yet is to be dropped.
    pub(super) async fn of_handler(&self) -> Status {
        match self.is_upload {
            // In a box, so that a call of another kind has no room for it.
            true => Box::pin(self.of_stream()).await,
            false => deadline::past(self.deadline).await,
        }
    }

    /// Once a stream of messages is to be cut.
    pub(super) async fn of_stream(&self) -> Status {
        tokio::select! {
            status = deadline::past(self.deadline) => status,
            status = self.over() => status,
            () = self.shutdown.cancelled() => status::going(),
        }
    }

    /// Once what the caller has shown is over, if that is anything.
    async fn over(&self) -> Status {
        match &self.credentials {
            // In a box, so that a call without has no room for it.
            Some(credentials) => Box::pin(credentials.over()).await.into(),
            None => std::future::pending().await,
        }
    }
}
