//! Helpers of the end-to-end tests: a real server, a real browser, and the page as its users operate it.
//!
//! The tests are in `tests/`. `cargo xtask test e2e` builds what they need and runs them. Screenshots and the logs of
//! the servers are written to `target/e2e`.

pub mod bad_network;
pub mod browser;
pub mod driver;
pub mod gateway;
pub mod history;
pub mod http_proxy;
pub mod page;
pub mod page_test;
pub mod pixels;
pub mod proxies;
pub mod server;
pub mod variable;
pub mod wait;
