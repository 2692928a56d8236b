//! Who may do what: tokens, roles, and whose things are whose.

mod anonymous;
mod doors;
mod expiry;
mod objects;
mod table;
mod tokens;
