//! What ends a call besides itself: its deadline, the end of the caller's session or certificate, and that the server
//! goes.

use std::future::pending;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{auth::Credentials, contract::Kind, deadline, status};

/// When a call is over, and why.
pub(super) struct End {
    kind: Option<Kind>,
    asked: Option<Instant>,
    /// What was asked for, or the ceiling of its kind.
    deadline: Option<Instant>,
    /// Of any but a unary call.
    ties: Option<Ties>,
}

/// What a stream hangs on, whichever way it goes.
pub(super) struct Ties {
    pub(super) credentials: Option<Box<Credentials>>,
    pub(super) draining: Draining,
}

/// The last phase of a connection at shutdown. It begins when the client was told to open no more calls on the connection.
/// Requests carry it in their extensions. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Draining(CancellationToken);

impl Draining {
    /// Ends the streams of the connection, and has later ones refused.
    pub(super) fn begin(&self) {
        self.0.cancel();
    }

    /// Tells whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl End {
    /// Of a call of `kind`, if that is known, that was `begun` and is to be over when its client `asked`.
    pub(super) fn of(
        kind: Option<Kind>,
        begun: Instant,
        asked: Option<Instant>,
        ties: impl FnOnce() -> Ties,
    ) -> Self {
        let ceiling = kind.map(|kind| begun + kind.ceiling());
        let ties = (kind != Some(Kind::Unary)).then(ties);
        Self { kind, asked, deadline: asked.into_iter().chain(ceiling).min(), ties }
    }

    /// Once a handler that has not answered yet is to be dropped.
    pub(super) async fn of_handler(&self) -> Status {
        match self.kind {
            // In a box, so that a call of another kind has no room for it.
            Some(Kind::Upload) => Box::pin(self.of_stream()).await,
            _ => deadline::past(self.deadline).await,
        }
    }

    /// Once an answer is to be cut.
    pub(super) async fn of_answer(self) -> Status {
        match self.kind {
            // It is made, and its client may still take it, but for one that waits no more.
            Some(Kind::Unary | Kind::Upload) => deadline::past(self.asked).await,
            _ => self.of_stream().await,
        }
    }

    async fn of_stream(&self) -> Status {
        tokio::select! {
            status = deadline::past(self.deadline) => status,
            status = Ties::torn(self.ties.as_ref()) => status,
        }
    }
}

impl Ties {
    async fn torn(ties: Option<&Self>) -> Status {
        let Some(Self { credentials, draining }) = ties else { return pending().await };
        let over = async {
            match credentials {
                // In a box, so that a call without has no room for it.
                Some(credentials) => Box::pin(credentials.over()).await.into(),
                None => pending().await,
            }
        };
        tokio::select! {
            status = over => status,
            () = draining.0.cancelled() => status::shutting_down(),
        }
    }
}
