//! `rides.v1.Sessions`.

use std::{sync::Arc, time::SystemTime};

use rides_proto::{
    ids::CarId,
    v1::{self, sessions_server},
};
use tonic::{Request, Response, Status};

use super::{principal::principal, status::invalid};
use crate::sessions::{Issued, Role, Session, Sessions, Unauthenticated};

/// In characters.
const LONGEST_NAME: usize = 64;

/// Answers for [`Sessions`].
pub struct SessionsService {
    sessions: Arc<Sessions>,
}

impl SessionsService {
    /// Answers for `sessions`.
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
        let v1::SignInRequest { name, role } = request.into_inner();
        let name = guest_name(&name)?;
        check_guest_role(role)?;
        let Issued { token, session } = self.sessions.open(name, SystemTime::now());
        Ok(Response::new(v1::SignInResponse { token, session: Some(encode(session)) }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let Issued { token, session } = self.sessions.renew(session(&request)?, SystemTime::now());
        Ok(Response::new(v1::RenewResponse { token, session: Some(encode(session)) }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        Ok(Response::new(v1::WhoAmIResponse { session: Some(encode(session(&request)?)) }))
    }
}

/// The caller's, also where nobody else needs one.
fn session<T>(request: &Request<T>) -> Result<Session, Status> {
    Ok(principal(request)?.session().ok_or(Unauthenticated::Missing)?.clone())
}

fn guest_name(name: &str) -> Result<&str, Status> {
    let name = name.trim();
    if name.chars().count() > LONGEST_NAME {
        return Err(invalid("name", format!("must have at most {LONGEST_NAME} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("name", "must not have control characters"));
    }
    Ok(name)
}

fn check_guest_role(role: i32) -> Result<(), Status> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Unspecified | v1::Role::Rider) => Ok(()),
        Ok(v1::Role::Driver | v1::Role::Dispatcher) => Err(Status::permission_denied(
            "guests are riders: other roles are given out by whoever runs the server",
        )),
        Err(_unknown) => Err(invalid("role", "is not a role of this contract")),
    }
}

fn encode(session: Session) -> v1::Session {
    let role = match session.role {
        Role::Rider => v1::Role::Rider,
        Role::Driver => v1::Role::Driver,
        Role::Dispatcher => v1::Role::Dispatcher,
    };
    v1::Session {
        subject: session.subject,
        role: role.into(),
        car_id: session.car.map_or(0, CarId::get),
        name: session.name,
        expires_at: Some(session.expires_at.into()),
    }
}
