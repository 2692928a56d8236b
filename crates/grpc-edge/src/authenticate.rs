//! The seam between the edge and a program's own tokens, certificates and roles.

use futures_util::future::BoxFuture;
use http::{Extensions, HeaderMap, request::Parts};
use tonic::Status;

use super::{Method, Peer};

/// The status that ends the streams of a caller. It resolves once the caller's credentials end.
pub type CredentialsEnd = BoxFuture<'static, Status>;

/// The beginning of a call: everything that is known before its first message.
#[derive(Clone, Copy)]
pub struct CallHead<'a> {
    /// The called method, or `None` if the contract has no method at the path.
    pub method: Option<Method>,
    /// The metadata of the call.
    pub headers: &'a HeaderMap,
    /// The client, or `None` for a call that came over no connection.
    pub peer: Option<&'a Peer>,
}

/// Decides who makes a call, and whether that caller may make it.
pub trait Authenticator: Send + Sync + 'static {
    /// The caller as services see it. Each request carries it in its extensions.
    type Principal: Clone + Send + Sync + 'static;

    /// Returns the caller.
    ///
    /// # Errors
    /// The status of the call: UNAUTHENTICATED for bad credentials, PERMISSION_DENIED for a caller that may not make
    /// this call.
    fn authenticate(&self, call: &CallHead<'_>) -> Result<Self::Principal, Status>;

    /// Returns the key of the quota that the caller's calls count against. `None` is the quota of the client's address.
    fn quota_key(&self, _principal: &Self::Principal, _peer: Option<&Peer>) -> Option<String> {
        None
    }

    /// Returns a future that resolves once the credentials of the caller end, for example with a session or a
    /// certificate.
    /// `None` means never. It is asked once for each stream, and not for unary calls.
    fn credentials_end(&self, _principal: &Self::Principal, _peer: Option<&Peer>) -> Option<CredentialsEnd> {
        None
    }

    /// Reports whether a plain HTTP client may read `/metrics`.
    ///
    /// # Errors
    /// UNAUTHENTICATED is answered with HTTP 401, and all others with HTTP 403, both with the status's message.
    fn authorize_metrics(&self, _headers: &HeaderMap, _peer: Option<&Peer>) -> Result<(), Status> {
        Ok(())
    }
}

/// Lets every client make every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everyone;

impl Authenticator for Everyone {
    type Principal = ();

    fn authenticate(&self, _call: &CallHead<'_>) -> Result<(), Status> {
        Ok(())
    }
}

/// An [`Authenticator`] without its type of principal, so that nothing behind it is generic over that type.
pub(super) trait AnyAuthenticator: Send + Sync {
    /// Puts the caller into the extensions of the request, and returns the key of its quota.
    fn authenticate(&self, method: Option<Method>, request: &mut Parts) -> Result<Option<String>, Status>;

    /// Returns [`Authenticator::credentials_end`] of the caller in `extensions`.
    fn credentials_end(&self, extensions: &Extensions) -> Option<CredentialsEnd>;

    /// Calls [`Authenticator::authorize_metrics`].
    fn authorize_metrics(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<(), Status>;
}

impl<A: Authenticator> AnyAuthenticator for A {
    fn authenticate(&self, method: Option<Method>, request: &mut Parts) -> Result<Option<String>, Status> {
        let peer = request.extensions.get();
        let call = CallHead { method, headers: &request.headers, peer };
        let principal = Authenticator::authenticate(self, &call)?;
        let quota_key = self.quota_key(&principal, peer);
        request.extensions.insert(principal);
        Ok(quota_key)
    }

    fn credentials_end(&self, extensions: &Extensions) -> Option<CredentialsEnd> {
        Authenticator::credentials_end(self, extensions.get::<A::Principal>()?, extensions.get())
    }

    fn authorize_metrics(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<(), Status> {
        Authenticator::authorize_metrics(self, headers, peer)
    }
}
