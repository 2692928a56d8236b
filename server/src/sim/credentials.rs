//! How simulated clients prove who they are.

use std::{io, path::PathBuf, sync::Arc, time::SystemTime};

use rides_proto::ids::CarId;
use tokio::task::spawn_blocking;
use tonic::{Request, Status};

use crate::{
    files,
    remote::{AUTHORIZATION, bearer},
    sessions::{Role, SESSION_LIFE, Session, Sessions},
};

/// The subject of the token with which simulated riders book.
const SIMULATOR: &str = "simulator";

/// What they show. It is looked up for each call, so that no call has a token that was good once.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nothing: the server takes their word.
    None,
    /// The one token in this file, a dispatcher's, who may act for any car and any rider.
    File(PathBuf),
    /// Each its own, from the server in this process.
    Own(Arc<Sessions>),
}

impl Credentials {
    /// `message` as a request of a car's driver.
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

    /// `message` as a request for any rider. One name stands for many riders, so that a limit of one rider is not for them.
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
            Self::Own(sessions) => {
                let now = SystemTime::now();
                let session = session(now + SESSION_LIFE);
                let session = session.ok_or_else(|| Status::unauthenticated("this car has no number"))?;
                sessions.issue(session, now).token
            }
        };
        let none = || Status::unauthenticated("what is to be the token is none");
        request.metadata_mut().insert(AUTHORIZATION, bearer(&token).ok_or_else(none)?);
        Ok(request)
    }
}

async fn read(path: PathBuf) -> io::Result<String> {
    spawn_blocking(move || files::read_to_string(&path)).await.map_err(io::Error::other)?
}
