//! The `rides.v1.Sessions` service.

use std::{ops::RangeInclusive, sync::Arc, time::SystemTime};

use rides_proto::{
    ids::CarId,
    v1::{self, sessions_server},
};
use tonic::{Code, Request, Response, Status};

use super::{
    bad_request::{BadRequest, all, invalid, invalid_because},
    fields,
    principal::principal,
    status,
};
use crate::sessions::{Issued, Role, Session, SessionScope, Sessions, Unauthenticated};

/// The maximum length of a guest's name, in characters.
const LONGEST_NAME: usize = 64;
/// The maximum length of a subject or a session's id, in characters. Those of identity providers are long.
const LONGEST_ID: usize = 255;

/// The length of a guest's secret in bytes: 22 hold 128 random bits in base64.
const SECRET_LENGTH: RangeInclusive<usize> = 22..=64;

/// The implementation of `rides.v1.Sessions`.
pub struct SessionsService {
    sessions: Arc<Sessions>,
}

impl SessionsService {
    /// Makes the service.
    pub fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }
}

#[tonic::async_trait]
impl sessions_server::Sessions for SessionsService {
    async fn sign_in(
        &self,
        request: Request<v1::SignInRequest>,
    ) -> Result<Response<v1::SignInResponse>, Status> {
        let v1::SignInRequest { name, role, guest_secret } = request.into_inner();
        let (name, role, secret) = all((guest_name(&name), known_role(role), known_secret(&guest_secret)))?;
        check_guest_role(role)?;
        let Issued { token, session } = self.sessions.sign_in_guest(name, secret, SystemTime::now());
        Ok(Response::new(v1::SignInResponse { token, session: Some(encode(session)) }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let session = session(&request)?;
        if !session.issued_here {
            let text = "this session was issued by an identity provider: renew it there";
            return Err(status::with_reason(Code::FailedPrecondition, "NOT_OURS", text));
        }
        let Issued { token, session } = self.sessions.renew(session, SystemTime::now());
        Ok(Response::new(v1::RenewResponse { token, session: Some(encode(session)) }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        Ok(Response::new(v1::WhoAmIResponse { session: Some(encode(session(&request)?)) }))
    }

    async fn sign_out(
        &self,
        request: Request<v1::SignOutRequest>,
    ) -> Result<Response<v1::SignOutResponse>, Status> {
        self.sessions.revocations().sign_out(&session(&request)?, SystemTime::now()).await?;
        Ok(Response::new(v1::SignOutResponse {}))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let whose = session_scope(request.into_inner())?;
        self.sessions.revocations().revoke(whose, SystemTime::now()).await?;
        Ok(Response::new(v1::RevokeResponse {}))
    }
}

fn session_scope(request: v1::RevokeRequest) -> Result<SessionScope, BadRequest> {
    use v1::revoke_request::Whose as Named;
    match request.whose {
        Some(Named::SessionId(id)) => fields::name("session_id", id, LONGEST_ID).map(SessionScope::Session),
        Some(Named::Subject(subject)) => {
            fields::name("subject", subject, LONGEST_ID).map(SessionScope::Subject)
        }
        None => Err(invalid("whose", "must be set")),
    }
}

/// Returns the session of the caller. Fails if the call has no token, also on a server that requires none.
fn session<T>(request: &Request<T>) -> Result<Session, Status> {
    Ok(principal(request)?.session().ok_or(Unauthenticated::Missing)?.clone())
}

fn guest_name(name: &str) -> Result<&str, BadRequest> {
    let name = name.trim();
    if name.chars().count() > LONGEST_NAME {
        return Err(invalid("name", format!("must have at most {LONGEST_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("name", "must not have control characters"));
    }
    Ok(name)
}

/// Returns the secret, or `None` for an empty one. A short secret could be guessed.
fn known_secret(secret: &str) -> Result<Option<&str>, BadRequest> {
    match secret.len() {
        0 => Ok(None),
        length if SECRET_LENGTH.contains(&length) => Ok(Some(secret)),
        _ => {
            let text = format!(
                "must be empty, or have from {} to {} bytes",
                SECRET_LENGTH.start(),
                SECRET_LENGTH.end()
            );
            Err(invalid_because("guest_secret", "BAD_LENGTH", text))
        }
    }
}

fn known_role(role: i32) -> Result<v1::Role, BadRequest> {
    v1::Role::try_from(role).map_err(|_unknown| invalid("role", "must be a value of rides.v1.Role"))
}

fn check_guest_role(role: v1::Role) -> Result<(), Status> {
    match role {
        v1::Role::Unspecified | v1::Role::Rider => Ok(()),
        v1::Role::Driver | v1::Role::Dispatcher => Err(status::with_reason(
            Code::PermissionDenied,
            "NOT_FOR_GUESTS",
            "a guest can only be a rider: tokens for other roles come from the operator of the server",
        )),
    }
}

fn encode(session: Session) -> v1::Session {
    let role = match session.role {
        Role::Rider => v1::Role::Rider,
        Role::Driver => v1::Role::Driver,
        Role::Dispatcher => v1::Role::Dispatcher,
    };
    v1::Session {
        session_id: session.id,
        subject: session.subject,
        role: role.into(),
        car_id: session.car.map_or(0, CarId::get),
        name: session.name,
        expires_at: Some(session.expires_at.into()),
    }
}
