//! Authentication and authorization of calls: the token in `authorization`, the client certificate, and the access table.

use std::{future::pending, sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE};
use tonic::{Code, Status};

use super::{Contract, Method, Peer};
use crate::{
    access::{AuthPolicy, Principal, table::Access},
    services::status,
    sessions::{SessionExpiry, Role, Session, Sessions, Unauthenticated, bearer},
    tls::DriverCertificate,
};

/// The means to authenticate callers.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Verify tokens.
    pub sessions: Arc<Sessions>,
    /// Decides whether callers without a token are let in.
    pub policy: AuthPolicy,
}

/// Authenticates callers and checks that their role may call the method.
pub(super) struct Authorizer {
    pub(super) auth: Auth,
    pub(super) contract: Arc<Contract>,
}

impl Authorizer {
    /// Returns the caller of `method`, which is `None` if the contract has no such method.
    ///
    /// # Errors
    /// UNAUTHENTICATED if a required token is missing, or if the token or the certificate is not valid. PERMISSION_DENIED
    /// if the caller may not call the method. UNIMPLEMENTED for an unknown method where tokens are required.
    pub(super) fn authorize(
        &self,
        method: Option<Method>,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Principal, Status> {
        let Some(method) = method else {
            return match self.auth.policy {
                AuthPolicy::Open => Ok(Principal::Anonymous),
                AuthPolicy::Required => Err(super::status::no_such_method()),
            };
        };
        if method.access == Access::Public {
            return Ok(Principal::Anonymous);
        }
        let now = SystemTime::now();
        let certificate = peer.and_then(|peer| peer.certificate.as_deref());
        if certificate.is_some_and(|certificate| certificate.is_over(now)) {
            return Err(Unauthenticated::CertificateExpired.into());
        }
        let certified = certificate.map(|certificate| certificate.car);
        let session = match self.auth.session(headers, now) {
            Ok(session) => Some(session),
            Err(Unauthenticated::Missing) if self.auth.policy == AuthPolicy::Open || certified.is_some() => None,
            Err(why) => return Err(why.into()),
        };
        let principal = Principal::new(session, certified)?;
        match principal.role() {
            Some(role) if !method.access.allows(role) => Err(role_not_allowed(role)),
            _ => Ok(principal),
        }
    }
}

impl Auth {
    /// Returns the credentials of `principal` that can expire or be revoked, if it has any.
    pub(super) fn credentials(&self, principal: &Principal, peer: Option<&Peer>) -> Option<Box<Credentials>> {
        let session = principal.session().map(|session| self.sessions.lease(session));
        let shown = peer.and_then(|peer| peer.certificate.clone());
        let certificate = shown.filter(|_| principal.role().is_some());
        let any = session.is_some() || certificate.is_some();
        any.then(|| Box::new(Credentials { session, certificate }))
    }

    fn session(&self, headers: &HeaderMap, now: SystemTime) -> Result<Session, Unauthenticated> {
        self.sessions.verify(bearer(headers)?, now)
    }
}

/// The session and certificate of a caller. Its streams end when one of them expires or is revoked.
pub(super) struct Credentials {
    session: Option<SessionExpiry>,
    certificate: Option<Arc<DriverCertificate>>,
}

impl Credentials {
    /// Returns the reason when one of the credentials has expired or was revoked.
    pub(super) async fn expired_or_revoked(&self) -> Unauthenticated {
        let session = async {
            match &self.session {
                Some(lease) => lease.ended().await,
                None => pending().await,
            }
        };
        let certificate = async {
            match &self.certificate {
                Some(certificate) => certificate.over().await,
                None => pending().await,
            }
        };
        tokio::select! {
            why = session => why,
            () = certificate => Unauthenticated::CertificateExpired,
        }
    }
}

fn role_not_allowed(role: Role) -> Status {
    let text = match role {
        Role::Rider => "riders may not call this method",
        Role::Driver => "drivers may not call this method",
        Role::Dispatcher => "dispatchers may not call this method",
    };
    status::with_reason(Code::PermissionDenied, "NOT_FOR_YOUR_ROLE", text)
}

/// A middleware that keeps HTTP paths for operators. Where tokens are required, it lets in clients at a loopback
/// address and dispatchers.
pub(super) async fn operators_only(
    State(gate): State<Arc<Authorizer>>,
    request: Request,
    next: Next,
) -> Response {
    let nearby = request.extensions().get::<Peer>().is_some_and(|peer| peer.address.is_loopback());
    if nearby || gate.auth.policy == AuthPolicy::Open {
        return next.run(request).await;
    }
    match gate.auth.session(request.headers(), SystemTime::now()) {
        Ok(Session { role: Role::Dispatcher, .. }) => next.run(request).await,
        Ok(_) => (StatusCode::FORBIDDEN, "Only dispatchers may read this.\n").into_response(),
        Err(why) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], format!("{why}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use axum::{Router, body::Body, routing::get};
    use http::header::AUTHORIZATION;
    use tonic_types::StatusExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::sessions::TokenKeys;

    const BOOK: &str = "/rides.v1.Rides/Book";

    fn gate(policy: AuthPolicy) -> Authorizer {
        let sessions = Arc::new(Sessions::new(TokenKeys::generate()));
        let contract = Arc::new(Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], 1).unwrap());
        Authorizer { auth: Auth { sessions, policy }, contract }
    }

    fn outcome(judged: Result<Principal, Status>) -> Result<Principal, (Code, Option<String>)> {
        judged.map_err(|status| {
            let reason = status.get_details_error_info().map(|info| info.reason);
            (status.code(), reason)
        })
    }

    impl Authorizer {
        fn ask(&self, path: &str, token: Option<&str>) -> Result<Principal, (Code, Option<String>)> {
            let headers = token.map(|token| (AUTHORIZATION, format!("Bearer {token}").parse().unwrap()));
            let method = self.contract.method(path);
            outcome(self.authorize(method, &headers.into_iter().collect(), None))
        }

        fn token(&self, role: Role) -> String {
            let now = SystemTime::now();
            self.auth.sessions.issue(Session::new(role, "eve", now + Duration::from_secs(60)), now).token
        }
    }

    #[test]
    fn without_a_token_one_is_who_one_claims_to_be_or_nobody() {
        assert_eq!(gate(AuthPolicy::Open).ask(BOOK, None), Ok(Principal::Anonymous));
        let missing = (Code::Unauthenticated, Some("NO_TOKEN".to_owned()));
        assert_eq!(gate(AuthPolicy::Required).ask(BOOK, None), Err(missing));
    }

    #[test]
    fn whoever_shows_a_token_is_held_to_it() {
        for policy in [AuthPolicy::Open, AuthPolicy::Required] {
            let gate = gate(policy);
            assert_eq!(gate.ask(BOOK, Some("x")), Err((Code::Unauthenticated, Some("BAD_TOKEN".to_owned()))));
            let rider = gate.ask(BOOK, Some(&gate.token(Role::Rider))).unwrap();
            assert_eq!(rider.session().map(|session| session.subject.as_str()), Some("eve"));
            let drive = gate.ask("/rides.v1.Fleet/Drive", Some(&gate.token(Role::Rider)));
            assert_eq!(drive, Err((Code::PermissionDenied, Some("NOT_FOR_YOUR_ROLE".to_owned()))));
        }
    }

    #[test]
    fn what_is_for_everyone_looks_at_no_token() {
        let gate = gate(AuthPolicy::Required);
        for token in [None, Some("x")] {
            assert_eq!(gate.ask("/rides.v1.Sessions/SignIn", token), Ok(Principal::Anonymous));
        }
    }

    #[test]
    fn what_is_in_no_contract_is_nobodys_where_tokens_are_required() {
        assert_eq!(gate(AuthPolicy::Open).ask("/test/New", None), Ok(Principal::Anonymous));
        assert_eq!(
            gate(AuthPolicy::Required).ask("/test/New", None),
            Err((Code::Unimplemented, Some("NO_SUCH_METHOD".to_owned())))
        );
    }

    async fn figures(gate: &Arc<Authorizer>, from: &str, token: Option<String>) -> StatusCode {
        let guard = axum::middleware::from_fn_with_state(Arc::clone(gate), operators_only);
        let port = Router::new().route("/metrics", get(|| async {})).layer(guard);
        let peer = Peer { address: from.parse::<IpAddr>().unwrap(), certificate: None };
        let mut request = Request::get("/metrics").extension(peer).body(Body::empty()).unwrap();
        let bearer = token.map(|token| format!("Bearer {token}").parse().unwrap());
        bearer.map(|bearer| request.headers_mut().insert(AUTHORIZATION, bearer));
        port.oneshot(request).await.unwrap().status()
    }

    /// A9
    #[tokio::test]
    async fn figures_are_for_who_is_near_or_runs_the_server() {
        let far = "192.0.2.7";
        assert_eq!(figures(&Arc::new(gate(AuthPolicy::Open)), far, None).await, StatusCode::OK);
        let gate = Arc::new(gate(AuthPolicy::Required));
        let (rider, dispatcher) = (gate.token(Role::Rider), gate.token(Role::Dispatcher));
        for (from, token, expected) in [
            ("127.0.0.1", None, StatusCode::OK),
            ("::1", None, StatusCode::OK),
            (far, None, StatusCode::UNAUTHORIZED),
            (far, Some("x".to_owned()), StatusCode::UNAUTHORIZED),
            (far, Some(rider), StatusCode::FORBIDDEN),
            (far, Some(dispatcher), StatusCode::OK),
        ] {
            assert_eq!(figures(&gate, from, token).await, expected, "{from}");
        }
    }
}
