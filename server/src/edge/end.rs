//! The lifetime of a call: its deadline, the credentials of its caller, and the shutdown of the server.
//!
//! Unary calls and the responses to uploads end only at their deadline. Streams also end with credentials and at
//! shutdown.

use std::future::pending;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{auth::Credentials, contract::Kind, deadline, status};

/// The events that end a call, and the status of each.
pub(super) struct End {
    kind: Option<Kind>,
    /// The deadline of the client.
    asked: Option<Instant>,
    /// The deadline of the client or the ceiling of the kind, the earlier of the two.
    deadline: Option<Instant>,
    /// `None` for a unary call.
    ties: Option<Ties>,
}

/// The events besides a deadline that end a stream, in either direction.
pub(super) struct Ties {
    pub(super) credentials: Option<Box<Credentials>>,
    pub(super) draining: Draining,
}

/// The last phase of a connection at shutdown. It begins after the client was told to open no more calls on the
/// connection. Requests carry this in their extensions. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Draining(CancellationToken);

impl Draining {
    /// Ends the streams of the connection. Later streams are refused.
    pub(super) fn begin(&self) {
        self.0.cancel();
    }

    /// Returns `true` if the connection drains.
    pub(super) fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl End {
    /// The end of a call that began at `begun` with the client's deadline `asked`. `kind` is `None` if the contract has
    /// no such method. `ties` is not called for a unary call.
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

    /// Returns the status when a handler without a response is to be dropped. An upload ends as a stream does, since it
    /// may never end by itself. Other handlers may still respond during shutdown.
    pub(super) async fn of_handler(&self) -> Status {
        match self.kind {
            // Boxed, so that calls of other kinds reserve no space for it.
            Some(Kind::Upload) => Box::pin(self.of_stream()).await,
            _ => deadline::past(self.deadline).await,
        }
    }

    /// Returns the status when a response is to be cut.
    pub(super) async fn of_answer(self) -> Status {
        match self.kind {
            // The response is complete, so its client may read it until the client's own deadline.
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
    /// Returns the status of the first event, or never if there are no ties.
    async fn torn(ties: Option<&Self>) -> Status {
        let Some(Self { credentials, draining }) = ties else { return pending().await };
        let over = async {
            match credentials {
                // Boxed, so that calls without credentials reserve no space for it.
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
