//! Authentication and authorization: tokens, roles, certificates, and the rides and cars that a caller may
//! touch.

mod anonymous;
mod certificates;
mod expiry;
mod objects;
mod providers;
mod revoked;
mod role_table;
mod tokens;
mod without_token;
