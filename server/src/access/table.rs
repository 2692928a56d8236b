//! RPC × role: the one place that says who may call what.

use crate::sessions::Role::{self, Dispatcher, Driver, Rider};

/// Who may call a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everyone. No token is looked at.
    Public,
    /// Who has one of these roles.
    Roles(&'static [Role]),
}

const EVERY_ROLE: Access = Access::Roles(&Role::ALL);
const RIDERS: Access = Access::Roles(&[Rider, Dispatcher]);
const DRIVERS: Access = Access::Roles(&[Driver, Dispatcher]);
const DISPATCHERS: Access = Access::Roles(&[Dispatcher]);

/// Every method on the port: a server whose contract has one more, or one less, does not start.
pub const TABLE: &[(&str, Access)] = &[
    ("/rides.v1.Rides/Quote", EVERY_ROLE),
    ("/rides.v1.Rides/Book", RIDERS),
    ("/rides.v1.Rides/Cancel", EVERY_ROLE),
    ("/rides.v1.Rides/Get", EVERY_ROLE),
    ("/rides.v1.Rides/List", RIDERS),
    ("/rides.v1.Rides/Watch", RIDERS),
    ("/rides.v1.Rides/Start", DRIVERS),
    ("/rides.v1.Rides/End", DRIVERS),
    ("/rides.v1.Rides/Track", DRIVERS),
    ("/rides.v1.Fleet/Watch", EVERY_ROLE),
    ("/rides.v1.Fleet/Drive", DRIVERS),
    ("/rides.v1.City/GetMap", EVERY_ROLE),
    ("/rides.v1.City/FindPlaces", EVERY_ROLE),
    ("/rides.v1.Sessions/SignIn", Access::Public),
    ("/rides.v1.Sessions/Renew", EVERY_ROLE),
    ("/rides.v1.Sessions/WhoAmI", EVERY_ROLE),
    ("/rides.v1.Sessions/SignOut", EVERY_ROLE),
    ("/rides.v1.Sessions/Revoke", DISPATCHERS),
    ("/grpc.health.v1.Health/Check", Access::Public),
    ("/grpc.health.v1.Health/List", Access::Public),
    ("/grpc.health.v1.Health/Watch", Access::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERY_ROLE),
];

impl Access {
    /// Who may call the method at `path`; `None` for one that nobody thought of.
    pub fn to(path: &str) -> Option<Self> {
        TABLE.iter().find(|(method, _)| *method == path).map(|(_, access)| *access)
    }

    /// Whether it is for `role`.
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Public => true,
            Self::Roles(roles) => roles.contains(&role),
        }
    }
}
