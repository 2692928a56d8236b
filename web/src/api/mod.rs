//! gRPC-Web in the page: the transport over `fetch`, the tap on it, and live connections.
//!
//! [`frames`] (bytes to frames) → [`body`] (frames to what tonic reads) → [`transport`] (a `tower::Service`
//! under generated clients). Only [`fetch`] needs a browser.

pub mod body;
pub mod fetch;
pub mod frames;
pub mod tap;
pub mod transport;

#[cfg(test)]
mod tests;
