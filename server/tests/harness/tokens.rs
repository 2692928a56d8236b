//! Tokens that the server under test accepts: `wire.with(server.rider("ada"))`.

use std::time::{Duration, SystemTime};

use rides_proto::ids::CarId;
use rides_server::sessions::{Role, Session};

use super::{Running, rider::Rider};

impl Running {
    /// Issues a token for `session`.
    pub(crate) fn token(&self, session: Session) -> String {
        self.sessions.issue(session, SystemTime::now()).token
    }

    pub(crate) fn rider(&self, subject: &str) -> String {
        self.token(Session::new(Role::Rider, subject, later()))
    }

    /// Issues a token for the driver of [`super::car::car`].
    pub(crate) fn driver(&self, car: i64) -> String {
        self.token(Session::of_driver(&format!("driver-{car}"), CarId::new(car).unwrap(), later()))
    }

    pub(crate) fn dispatcher(&self) -> String {
        self.token(Session::new(Role::Dispatcher, "eve", later()))
    }

    /// Returns a rider with a token, over gRPC.
    pub(crate) async fn as_rider(&self, subject: &str) -> Rider {
        let [native, _] = self.wires().await;
        Rider(native.with(self.rider(subject)))
    }
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}
