//! The roles that may call each method.

use crate::sessions::Role::{self, Dispatcher, Driver, Rider};

/// The callers that may call a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Every caller. A token is not read.
    Public,
    /// A caller with one of these roles.
    Roles(&'static [Role]),
}

const EVERY_ROLE: Access = Access::Roles(&Role::ALL);
const RIDERS: Access = Access::Roles(&[Rider, Dispatcher]);
const DRIVERS: Access = Access::Roles(&[Driver, Dispatcher]);
const DISPATCHERS: Access = Access::Roles(&[Dispatcher]);

/// Every method of the port. The server does not start if a method of its services is not in this table.
pub const METHOD_ACCESS: &[(&str, Access)] = &[
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
    /// Returns the callers of the method at `path`. `None`: the table has no such method.
    pub fn for_method(path: &str) -> Option<Self> {
        METHOD_ACCESS.iter().find(|(method, _)| *method == path).map(|(_, access)| *access)
    }

    /// Returns `true` if a caller with `role` may call the method.
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Public => true,
            Self::Roles(roles) => roles.contains(&role),
        }
    }
}
