//! The events of a ride as the server sends them to a native client, to compare with those on the page.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use rides_proto::v1::{
    self, GetRequest, ListRequest, WatchRequest, ride_event::Event, rides_client::RidesClient,
    watch_response::Message,
};

use crate::server::{channel, request_with_token};

/// An event: its version, and the state of the ride after it, in the words of the page's `data-state`.
pub type TimelineEvent = (u64, String);

/// Returns every event of a finished ride, in order.
///
/// # Errors
/// When the server cannot be reached, the stream breaks, or the number of events is not the version that `Get` returns.
pub async fn of(server: SocketAddr, ride_id: &str) -> Result<Vec<TimelineEvent>> {
    seen_by(server, ride_id, None).await
}

/// Returns the same events, as the owner of `token` sees them.
///
/// # Errors
/// When [`of`] fails.
pub async fn seen_by(server: SocketAddr, ride_id: &str, token: Option<&str>) -> Result<Vec<TimelineEvent>> {
    let mut client = RidesClient::new(channel(server).await?);
    let watch = WatchRequest { ride_id: ride_id.to_owned(), ..Default::default() };
    let mut stream = client.watch(request_with_token(watch, token)?).await?.into_inner();
    let mut happened = Vec::new();
    while let Some(message) = stream.message().await? {
        if let Some(Message::Event(v1::RideEvent { version, event: Some(event), .. })) = message.message {
            happened.push((version, state_after(&event).to_owned()));
        }
    }
    let get = request_with_token(GetRequest { ride_id: ride_id.to_owned() }, token)?;
    let get = client.get(get).await?.into_inner();
    let version = get.ride.context("a Get response without a ride")?.version;
    ensure!(happened.len() as u64 == version, "{} events, and the ride is at {version}", happened.len());
    Ok(happened)
}

/// Returns the number of rides that the server lists on the first page.
///
/// # Errors
/// When the server cannot be reached.
pub async fn rides(server: SocketAddr) -> Result<usize> {
    let mut client = RidesClient::new(channel(server).await?);
    Ok(client.list(ListRequest::default()).await?.into_inner().rides.len())
}

fn state_after(event: &Event) -> &'static str {
    match event {
        Event::Requested(_) | Event::OfferEnded(_) | Event::Unassigned(_) => "requested",
        Event::Offered(_) => "offered",
        Event::Assigned(_) => "assigned",
        Event::Arrived(_) => "arrived",
        Event::Started(_) => "on-trip",
        Event::Completed(_) => "completed",
        Event::Cancelled(_) => "cancelled",
        Event::Expired(_) => "expired",
    }
}
