//! The policy by which a service ends a response that its client does not read.

use std::sync::Arc;

use tonic::Status;

/// An extension of a response: the function that decides when the response is over because its client reads nothing.
///
/// The body of the response cannot end itself, because a stalled transport does not poll it. The edge therefore calls
/// [`StallPolicy::status`] from time to time.
#[derive(Clone)]
pub struct StallPolicy(Arc<dyn Fn() -> Option<Status> + Send + Sync>);

impl StallPolicy {
    /// Makes a policy that ends the response with the status that `status` returns.
    pub fn new(status: impl Fn() -> Option<Status> + Send + Sync + 'static) -> Self {
        Self(Arc::new(status))
    }

    /// Returns the status with which the response ends now, or `None` if it goes on.
    pub fn status(&self) -> Option<Status> {
        (self.0)()
    }
}
