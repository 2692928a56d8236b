//! What the end-to-end tests are written with: a real server, a real browser, and the page as a person meets it.
//!
//! The tests are in `tests/`; `cargo xtask test e2e` builds what they need and runs them. Screenshots and
//! the servers' logs are left in `target/e2e`.

pub mod browser;
pub mod driver;
pub mod gateway;
pub mod history;
pub mod http_proxy;
pub mod page;
pub mod pixels;
pub mod proxies;
pub mod proxy;
pub mod server;
pub mod stage;
pub mod wait;
