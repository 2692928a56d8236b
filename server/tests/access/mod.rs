//! Authentication and authorization: tokens, roles, certificates, and the rides and cars that a caller may
//! touch.

mod anonymous;
mod certificates;
mod doors;
mod expiry;
mod objects;
mod providers;
mod revoked;
mod table;
mod tokens;
