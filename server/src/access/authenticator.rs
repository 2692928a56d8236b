//! Authentication at the port: tokens, certificates of drivers, and the table of roles.

use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use http::HeaderMap;
use rides_proto::ids::CarId;
use tonic::{Code, Status};

use super::{Policy, Principal, table::Access};
use crate::{
    edge::{Authenticator, CallHead, Contract, CredentialsEnd, Peer},
    services::status,
    sessions::{Role, Session, Sessions, Unauthenticated, bearer},
    tls::{ClientCertificate, certified_car},
};

/// Knows callers by the token in `authorization` and by the certificate of a car.
pub struct RidesAuthenticator {
    sessions: Arc<Sessions>,
    policy: Policy,
    /// The callers of each method, by [`Method::index`](crate::edge::Method::index).
    access: Vec<Access>,
}

impl RidesAuthenticator {
    /// Reads the table of access for the methods of `contract`.
    ///
    /// # Errors
    /// When the table does not have a method.
    pub fn new(sessions: Arc<Sessions>, policy: Policy, contract: &Contract) -> anyhow::Result<Self> {
        let access = |path: &str| Access::to(path).with_context(|| format!("who may call {path}?"));
        Ok(Self { sessions, policy, access: contract.paths().map(access).collect::<Result<_, _>>()? })
    }

    fn session(&self, headers: &HeaderMap, now: SystemTime) -> Result<Session, Unauthenticated> {
        self.sessions.verify(bearer(headers)?, now)
    }
}

impl Authenticator for RidesAuthenticator {
    type Principal = Principal;

    fn authenticate(&self, call: &CallHead<'_>) -> Result<Principal, Status> {
        let access = call.method.and_then(|method| self.access.get(method.index()));
        let Some(access) = access else {
            return match self.policy {
                Policy::Open => Ok(Principal::Unproven),
                Policy::Required => Err(status::no_such_method()),
            };
        };
        if *access == Access::Public {
            return Ok(Principal::Unproven);
        }
        let now = SystemTime::now();
        let certificate = certificate_of_car(call.peer);
        if certificate.is_some_and(|(_, certificate)| certificate.has_ended(now)) {
            return Err(Unauthenticated::CertificateOver.into());
        }
        let certified = certificate.map(|(car, _)| car);
        let session = match self.session(call.headers, now) {
            Ok(session) => Some(session),
            Err(Unauthenticated::Missing) if self.policy == Policy::Open || certified.is_some() => None,
            Err(why) => return Err(why.into()),
        };
        let principal = Principal::of(session, certified)?;
        match principal.role() {
            Some(role) if !access.allows(role) => Err(not_for(role)),
            _ => Ok(principal),
        }
    }

    fn quota_key(&self, principal: &Principal, peer: Option<&Peer>) -> Option<String> {
        match principal.session() {
            Some(session) => Some(session.id.clone()),
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
            Status::from(Unauthenticated::CertificateOver)
        };
        match (session, certificate) {
            (None, None) => None,
            (Some(lease), None) => Some(async move { lease.over().await.into() }.boxed()),
            (None, Some(certificate)) => Some(certificate_end(certificate).boxed()),
            (Some(lease), Some(certificate)) => Some(
                async move {
                    tokio::select! {
                        why = lease.over() => why.into(),
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
        if is_near || self.policy == Policy::Open {
            return Ok(());
        }
        match self.session(headers, SystemTime::now()) {
            Ok(Session { role: Role::Dispatcher, .. }) => Ok(()),
            Ok(_) => Err(Status::permission_denied("This is for dispatchers.")),
            Err(why) => Err(Status::unauthenticated(why.to_string())),
        }
    }
}

/// Returns the car that the client's certificate names, with the certificate. A certificate that names no car is ignored.
fn certificate_of_car(peer: Option<&Peer>) -> Option<(CarId, &ClientCertificate)> {
    let certificate = peer?.certificate.as_deref()?;
    Some((certified_car(certificate)?, certificate))
}

fn not_for(role: Role) -> Status {
    let text = match role {
        Role::Rider => "this is not for riders",
        Role::Driver => "this is not for drivers",
        Role::Dispatcher => "this is not for dispatchers",
    };
    status::with_reason(Code::PermissionDenied, "NOT_FOR_YOUR_ROLE", text)
}
