//! gRPC-Web in the page: the transport over `fetch`, the tap on it, and live connections.
//!
//! [`frames`] (bytes to frames) → [`body`] (frames to what tonic reads) → [`transport`] (a `tower::Service`
//! under generated clients). [`connection`] (pure) → [`live`] (the task around it) keeps a stream open, and
//! [`call`] is for single answers. Only [`fetch`] and the clock need a browser.

use rides_proto::v1::{city_client::CityClient, fleet_client::FleetClient, rides_client::RidesClient};

use crate::browser;

pub mod body;
pub mod call;
pub mod clock;
pub mod connection;
pub mod fetch;
pub mod frames;
pub mod live;
pub mod tap;
pub mod transport;

#[cfg(test)]
mod tests;

/// The transport of the page's clients.
pub type PageTransport = transport::Transport<fetch::BrowserFetch>;

/// Clients of the server that the page came from. Cheap to clone; clones share the tap.
#[derive(Clone)]
pub struct Api {
    transport: PageTransport,
}

impl Api {
    /// Clients with a tap of their own.
    pub fn new() -> Self {
        let tap = tap::Tap::new(browser::now);
        Self { transport: transport::Transport::new(fetch::BrowserFetch, tap) }
    }

    /// What the calls sent and received.
    pub fn tap(&self) -> &tap::Tap {
        self.transport.tap()
    }

    /// `rides.v1.Rides`.
    pub fn rides(&self) -> RidesClient<PageTransport> {
        RidesClient::new(self.transport.clone())
    }

    /// `rides.v1.Fleet`.
    pub fn fleet(&self) -> FleetClient<PageTransport> {
        FleetClient::new(self.transport.clone())
    }

    /// `rides.v1.City`.
    pub fn city(&self) -> CityClient<PageTransport> {
        CityClient::new(self.transport.clone())
    }
}

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}
