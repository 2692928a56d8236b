//! Authentication at the port: tokens, certificates of drivers, and the table of roles.

use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use http::HeaderMap;
use rides_proto::ids::CarId;
use tonic::{Code, Status};

use super::{AuthPolicy, Principal, table::Access};
use crate::{
    services::status,
    sessions::{Role, Session, Sessions, Unauthenticated, bearer},
    tls::certified_car,
};
use grpc_edge::{Authenticator, CallHead, ClientCertificate, Contract, CredentialsEnd, Peer};

/// Knows callers by the token in `authorization` and by the certificate of a car.
pub struct RidesAuthenticator {
    sessions: Arc<Sessions>,
    policy: AuthPolicy,
    /// The callers of each method, by [`Method::index`](grpc_edge::Method::index).
    access: Vec<Access>,
}

impl RidesAuthenticator {
    /// Reads the table of access for the methods of `contract`.
    ///
    /// # Errors
    /// When the table does not have a method.
    pub fn new(sessions: Arc<Sessions>, policy: AuthPolicy, contract: &Contract) -> anyhow::Result<Self> {
        let access = |path: &str| {
            Access::for_method(path)
                .with_context(|| format!("the access table (server/src/access/table.rs) lacks {path}"))
        };
        Ok(Self { sessions, policy, access: contract.paths().map(access).collect::<Result<_, _>>()? })
    }

    fn session(&self, headers: &HeaderMap, now: SystemTime) -> Result<Session, Unauthenticated> {
        self.sessions.verify(bearer(headers)?, now)
    }
}

impl Authenticator for RidesAuthenticator {
    type Principal = Principal;

    fn authenticate(&self, call: &CallHead<'_>) -> Result<Principal, Status> {
        let Some(method) = call.method else {
            return match self.policy {
                AuthPolicy::Open => Ok(Principal::Anonymous),
                AuthPolicy::Required => Err(status::no_such_method()),
            };
        };
        // The table has each method of the contract. A method of another contract is refused.
        let access = self.access.get(method.index()).ok_or_else(status::no_such_method)?;
        if *access == Access::Public {
            return Ok(Principal::Anonymous);
        }
        let now = SystemTime::now();
        let certificate = certificate_of_car(call.peer);
        if certificate.is_some_and(|(_, certificate)| certificate.has_ended(now)) {
            return Err(Unauthenticated::CertificateExpired.into());
        }
        let certified = certificate.map(|(car, _)| car);
        let session = match self.session(call.headers, now) {
            Ok(session) => Some(session),
            Err(Unauthenticated::Missing) if self.policy == AuthPolicy::Open || certified.is_some() => None,
            Err(why) => return Err(why.into()),
        };
        let principal = Principal::new(session, certified)?;
        match principal.role() {
            Some(role) if !access.allows(role) => Err(role_not_allowed(role)),
            _ => Ok(principal),
        }
    }

    fn quota_key(&self, principal: &Principal, peer: Option<&Peer>) -> Option<String> {
        match principal.session() {
            // The prefix keeps an id that a provider chose apart from the key of a car.
            Some(session) => Some(["session ", session.id.as_str()].concat()),
            None => certificate_of_car(peer).map(|(car, _)| format!("car {car}")),
        }
    }

    fn credentials_end(&self, principal: &Principal, peer: Option<&Peer>) -> Option<CredentialsEnd> {
        let session = principal.session().map(|session| self.sessions.lease(session));
        let certificate = peer
            .and_then(|peer| peer.certificate.clone())
            .filter(|certificate| principal.role().is_some() && certified_car(certificate).is_some());
        let certificate_end = |certificate: Arc<ClientCertificate>| async move {
            certificate.ended().await;
            Status::from(Unauthenticated::CertificateExpired)
        };
        match (session, certificate) {
            (None, None) => None,
            (Some(lease), None) => Some(async move { lease.ended().await.into() }.boxed()),
            (None, Some(certificate)) => Some(certificate_end(certificate).boxed()),
            (Some(lease), Some(certificate)) => Some(
                async move {
                    tokio::select! {
                        why = lease.ended() => why.into(),
                        status = certificate_end(certificate) => status,
                    }
                }
                .boxed(),
            ),
        }
    }

    /// Lets clients of this machine read the metrics, and dispatchers. Everyone may where no token is required.
    fn authorize_metrics(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<(), Status> {
        let is_near = peer.is_some_and(|peer| peer.address.is_loopback());
        if is_near || self.policy == AuthPolicy::Open {
            return Ok(());
        }
        match self.session(headers, SystemTime::now()) {
            Ok(Session { role: Role::Dispatcher, .. }) => Ok(()),
            Ok(_) => Err(Status::permission_denied("Only dispatchers may read this.")),
            Err(why) => Err(Status::unauthenticated(why.to_string())),
        }
    }
}

/// Returns the car that the client's certificate names, with the certificate. A certificate that names no car is
/// ignored.
fn certificate_of_car(peer: Option<&Peer>) -> Option<(CarId, &ClientCertificate)> {
    let certificate = peer?.certificate.as_deref()?;
    Some((certified_car(certificate)?, certificate))
}

fn role_not_allowed(role: Role) -> Status {
    let text = match role {
        Role::Rider => "riders may not call this method",
        Role::Driver => "drivers may not call this method",
        Role::Dispatcher => "dispatchers may not call this method",
    };
    status::with_reason(Code::PermissionDenied, "NOT_FOR_YOUR_ROLE", text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::AUTHORIZATION;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::sessions::TokenKeys;
    use grpc_edge::Limits;

    const BOOK: &str = "/rides.v1.Rides/Book";

    /// An authenticator with its contract.
    struct Gate {
        authenticator: RidesAuthenticator,
        contract: Contract,
    }

    fn contract() -> Contract {
        Contract::new(&[rides_proto::FILE_DESCRIPTOR_SET], 1).unwrap()
    }

    fn gate(policy: AuthPolicy) -> Gate {
        let sessions = Arc::new(Sessions::new(TokenKeys::generate()));
        let contract = contract();
        Gate { authenticator: RidesAuthenticator::new(sessions, policy, &contract).unwrap(), contract }
    }

    fn outcome(judged: Result<Principal, Status>) -> Result<Principal, (Code, Option<String>)> {
        judged.map_err(|status| {
            let reason = status.get_details_error_info().map(|info| info.reason);
            (status.code(), reason)
        })
    }

    impl Gate {
        fn ask(&self, path: &str, token: Option<&str>) -> Result<Principal, (Code, Option<String>)> {
            let call = CallHead { method: self.contract.method(path), headers: &bearing(token), peer: None };
            outcome(self.authenticator.authenticate(&call))
        }

        fn token(&self, role: Role) -> String {
            let now = SystemTime::now();
            self.authenticator
                .sessions
                .issue(Session::new(role, "eve", now + Duration::from_secs(60)), now)
                .token
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

    fn bearing(token: Option<&str>) -> HeaderMap {
        let header = token.map(|token| (AUTHORIZATION, format!("Bearer {token}").parse().unwrap()));
        header.into_iter().collect()
    }

    /// A9
    #[test]
    fn figures_are_for_who_is_near_or_runs_the_server() {
        let read = |gate: &Gate, from: &str, token: Option<&str>| {
            let peer = Peer::new(from.parse().unwrap(), None, &Limits::default());
            let read = gate.authenticator.authorize_metrics(&bearing(token), Some(&peer));
            read.err().map(|status| status.code())
        };
        let far = "192.0.2.7";
        assert_eq!(read(&gate(AuthPolicy::Open), far, None), None);
        let gate = gate(AuthPolicy::Required);
        let (rider, dispatcher) = (gate.token(Role::Rider), gate.token(Role::Dispatcher));
        for (from, token, expected) in [
            ("127.0.0.1", None, None),
            ("::1", None, None),
            (far, None, Some(Code::Unauthenticated)),
            (far, Some("x"), Some(Code::Unauthenticated)),
            (far, Some(rider.as_str()), Some(Code::PermissionDenied)),
            (far, Some(dispatcher.as_str()), None),
        ] {
            assert_eq!(read(&gate, from, token), expected, "{from}");
        }
    }

    /// A4
    #[test]
    fn a_method_that_is_not_in_the_table_stops_the_server() {
        let sessions = Arc::new(Sessions::new(TokenKeys::generate()));
        let contract = Contract::new(&[tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET], 1).unwrap();
        let why = RidesAuthenticator::new(sessions, AuthPolicy::Open, &contract).err().unwrap().to_string();
        assert!(why.starts_with("the access table") && why.ends_with("/ServerReflectionInfo"), "{why}");
    }
}
