//! Who makes a call.

use tonic::{Code, Request, Status};

use super::status::with_reason;
use crate::access::Principal;

/// The one that the edge has found out. INTERNAL without: nobody gets past it by a path on which it was left out.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let known = request.extensions().get::<Principal>();
    known.cloned().ok_or_else(|| with_reason(Code::Internal, "FAILED", "the server does not know who calls"))
}

#[cfg(test)]
pub(super) fn unproven<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Principal::Unproven);
    request
}
