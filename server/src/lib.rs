//! The Rides server. `ARCHITECTURE.md` at the root of the repository describes its parts.

pub mod access;
pub mod app;
pub mod city;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod dispatch;
pub mod fanout;
pub mod files;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gen_key;
pub mod journal_command;
pub mod listen;
pub mod positions;
pub mod rides;
pub mod server_connection;
pub mod service_limits;
pub mod services;
pub mod sessions;
pub mod signals;
pub mod sim;
pub mod telemetry;
mod terminal_text;
pub mod tls;
pub mod token;
