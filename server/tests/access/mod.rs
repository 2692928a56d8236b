//! Who may do what: tokens, roles, and whose things are whose.

mod anonymous;
mod certificates;
mod doors;
mod expiry;
mod objects;
mod providers;
mod revoked;
mod table;
mod tokens;
