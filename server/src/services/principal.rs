//! The principal of a call.

use tonic::{Code, Request, Status};

use super::status::with_reason;
use crate::access::Principal;

/// Returns the principal that the edge has put into the request. Fails with INTERNAL if there is none, so that a route
/// which bypasses authentication by mistake serves no calls.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let known = request.extensions().get::<Principal>();
    known.cloned().ok_or_else(|| with_reason(Code::Internal, "FAILED", "the call has no principal"))
}

/// Makes a request of a caller without a token.
#[cfg(test)]
pub(super) fn unproven<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Principal::Anonymous);
    request
}
