//! The addresses of `--listen`, and their sockets.

mod address;
mod container;
mod sockets;

use std::net::SocketAddr;

pub use self::{address::ListenAddress, sockets::open};

/// Logs a warning if a container listens on its loopback only, or if other machines can connect without TLS.
pub fn warn(addresses: &[SocketAddr], has_tls: bool) {
    let Some(port) = addresses.first().map(SocketAddr::port) else { return };
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        None if container::is_container() => tracing::warn!(
            "the server runs in a container and listens on the container's loopback only, where clients outside cannot \
             connect: start it with --listen 0.0.0.0:{port} (or RIDES_LISTEN=0.0.0.0:{port}) and publish the port, for \
             example by `docker run -p {port}:{port}`"
        ),
        Some(address) if !has_tls => tracing::warn!(
            %address,
            "plain HTTP on an address that other machines can reach: tokens and rides travel unencrypted; \
             serve TLS by --tls-cert and --tls-key, or listen on localhost behind a proxy that serves TLS"
        ),
        None | Some(_) => {}
    }
}
