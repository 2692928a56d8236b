//! The lifetime of a call: its deadline, the credentials of its caller, and the shutdown of the server.
//!
//! Unary calls and the responses to uploads end only at their deadline. Streams also end with credentials and at
//! shutdown.

use std::future::pending;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{CredentialsEnd, contract::MethodKind, deadline, status};

/// The events that end a call, and the status of each.
pub(super) struct CallLifetime {
    kind: Option<MethodKind>,
    /// The deadline of the client.
    asked: Option<Instant>,
    /// The deadline of the client or the ceiling of the kind, the earlier of the two.
    deadline: Option<Instant>,
    /// `None` for a unary call.
    cancel_sources: Option<CancelSources>,
}

/// The events besides a deadline that end a stream, in either direction.
pub(super) struct CancelSources {
    pub(super) credentials_end: Option<CredentialsEnd>,
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

impl CallLifetime {
    /// Returns the lifetime of a call that began at `begun`, and whose client asked for the deadline `asked`. `kind` is
    /// `None` if the contract has no such method. `ties` returns the other events that end a stream. It is not called
    /// for a unary call.
    pub(super) fn of(
        kind: Option<MethodKind>,
        begun: Instant,
        asked: Option<Instant>,
        ties: impl FnOnce() -> CancelSources,
    ) -> Self {
        let ceiling = kind.map(|kind| begun + kind.max_duration());
        let ties = (kind != Some(MethodKind::Unary)).then(ties);
        Self { kind, asked, deadline: asked.into_iter().chain(ceiling).min(), cancel_sources: ties }
    }

    /// Returns the status when a handler without a response is to be dropped. An upload ends as a stream does, since it
    /// may never end by itself. Other handlers may still respond during shutdown.
    pub(super) async fn handler_end(&mut self) -> Status {
        match self.kind {
            // Boxed, so that calls of other kinds reserve no space for it.
            Some(MethodKind::ClientStreaming) => Box::pin(self.of_stream()).await,
            _ => deadline::expired(self.deadline).await,
        }
    }

    /// Returns the status when a response is to be cut.
    pub(super) async fn response_end(mut self) -> Status {
        match self.kind {
            // The response is complete, so its client may read it until the client's own deadline.
            Some(MethodKind::Unary | MethodKind::ClientStreaming) => deadline::expired(self.asked).await,
            _ => self.of_stream().await,
        }
    }

    async fn of_stream(&mut self) -> Status {
        tokio::select! {
            status = deadline::expired(self.deadline) => status,
            status = CancelSources::cancelled(self.cancel_sources.as_mut()) => status,
        }
    }
}

impl CancelSources {
    /// Returns the status of the first event, or never if there are no ties.
    async fn cancelled(ties: Option<&mut Self>) -> Status {
        let Some(Self { credentials_end, draining }) = ties else { return pending().await };
        let over = async {
            match credentials_end {
                Some(end) => end.await,
                None => pending().await,
            }
        };
        tokio::select! {
            status = over => status,
            () = draining.0.cancelled() => status::shutting_down(),
        }
    }
}
