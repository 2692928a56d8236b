//! The tokens of simulated clients.

use std::{io, path::PathBuf, sync::Arc, time::SystemTime};

use rides_proto::ids::CarId;
use tokio::task::spawn_blocking;
use tonic::{Request, Status};

use crate::{
    files,
    server_connection::{AUTHORIZATION, bearer},
    sessions::{Role, SESSION_LIFETIME, Session, Sessions},
};

/// The subject of the token with which simulated riders book.
const SIMULATOR: &str = "simulator";

/// The source of tokens. Each call gets a fresh token, so that none has expired.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// No token, for a server that requires none.
    None,
    /// A file with the token of a dispatcher, which is valid for all cars and riders. It is read for each call.
    File(PathBuf),
    /// Tokens that the server in this process issues for each client.
    Issued(Arc<Sessions>),
}

impl Credentials {
    /// Makes a request with the token of a driver. Fails with UNAUTHENTICATED if there is no valid token.
    pub(super) async fn of_driver<T>(
        &self,
        message: T,
        driver: &str,
        car: i64,
    ) -> Result<Request<T>, Status> {
        let session = |expires_at| {
            let car = CarId::new(car)?;
            Some(Session::of_driver(driver, car, expires_at))
        };
        self.of(message, session).await
    }

    /// Makes a request with the token of a dispatcher, which may book for all riders. Several simulated riders share
    /// a name, so the limits of one rider must not apply. Fails with UNAUTHENTICATED if there is no valid token.
    pub(super) async fn for_riders<T>(&self, message: T) -> Result<Request<T>, Status> {
        self.of(message, |expires_at| Some(Session::new(Role::Dispatcher, SIMULATOR, expires_at))).await
    }

    async fn of<T>(
        &self,
        message: T,
        session: impl FnOnce(SystemTime) -> Option<Session>,
    ) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        let token = match self {
            Self::None => return Ok(request),
            Self::File(path) => read(path.clone())
                .await
                .map_err(|why| Status::unauthenticated(format!("{}: {why}", path.display())))?,
            Self::Issued(sessions) => {
                let now = SystemTime::now();
                let session = session(now + SESSION_LIFETIME);
                let session =
                    session.ok_or_else(|| Status::unauthenticated("the car's id is not positive"))?;
                sessions.issue(session, now).token
            }
        };
        let none = || Status::unauthenticated("the token is empty or malformed");
        request.metadata_mut().insert(AUTHORIZATION, bearer(&token).ok_or_else(none)?);
        Ok(request)
    }
}

async fn read(path: PathBuf) -> io::Result<String> {
    spawn_blocking(move || files::read_to_string(&path)).await.map_err(io::Error::other)?
}
