//! The stream of the fleet, which is opened again when it breaks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rides_proto::{
    geo::Bounds,
    v1::{
        GetMapRequest, WatchFleetRequest, WatchFleetResponse, city_client::CityClient,
        fleet_client::FleetClient,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tonic::Status;

use super::lateness::Lateness;
use crate::{client::servers::Servers, server_connection::backoff};

/// An event of the stream.
pub(super) enum FeedEvent {
    /// A message of the stream, and its lateness (see [`Lateness`]).
    Frame { frame: WatchFleetResponse, late: Duration },
    /// The stream broke with this status, and will be opened again.
    Disconnected(Status),
}

/// Returns the name of the city and the bounds of its map.
pub(super) async fn city(servers: &Servers) -> Result<(String, Option<Bounds>), Status> {
    let open = async |channel, request| CityClient::new(channel).get_map(request).await;
    let first = servers.open(GetMapRequest::default, open).await?.message().await?;
    let info = first.and_then(|message| message.info).unwrap_or_default();
    Ok((info.name, info.bounds.and_then(|bounds| bounds.try_into().ok())))
}

/// The maximum lateness of a frame. At a later frame the stream is opened again, which starts with the newest state.
/// The frames of the old stream were delayed by the network, or in a client that was stopped, and those after it are
/// late too.
const MAX_LATENESS: Duration = Duration::from_secs(2);

/// Sends the frames of the fleet inside `viewport` to `to`. If the display is slow, the server sends fewer, newer
/// frames when the flow control window of the stream is full, and this function drops late frames from the window.
///
/// Returns the status of the stream if it cannot be opened again, or if the first attempt to open it failed.
pub(super) async fn feed(viewport: Bounds, servers: Servers, to: mpsc::Sender<FeedEvent>) -> Status {
    let (mut attempt, mut has_begun) = (0, false);
    loop {
        let status = follow(viewport, &servers, &to, &mut attempt, &mut has_begun).await;
        let status = status.err().unwrap_or_else(|| Status::unavailable("the server ended the stream"));
        if !has_begun || !servers.may_resume(&status) {
            return status;
        }
        attempt += 1;
        let wait = backoff(attempt, &status, &mut rand::rng());
        if to.send(FeedEvent::Disconnected(status)).await.is_err() {
            return Status::cancelled("the display has closed");
        }
        sleep(wait).await;
    }
}

/// Follows the fleet in one stream, and in another when its frames are late. Each frame resets `attempt`.
async fn follow(
    viewport: Bounds,
    servers: &Servers,
    to: &mpsc::Sender<FeedEvent>,
    attempt: &mut u32,
    has_begun: &mut bool,
) -> Result<(), Status> {
    let request = || WatchFleetRequest { viewport: Some(viewport.into()), ..Default::default() };
    let open = async |channel, request| FleetClient::new(channel).watch(request).await;
    let began = Instant::now();
    loop {
        let mut frames = servers.open(request, open).await?;
        let mut lateness = Lateness::default();
        loop {
            let Some(frame) = frames.message().await? else { return Ok(()) };
            (*attempt, *has_begun) = (0, true);
            let late = lateness.of(made(&frame), began.elapsed());
            if late > MAX_LATENESS {
                break;
            }
            let news = FeedEvent::Frame { frame, late };
            to.send(news).await.map_err(|_| Status::cancelled("the display has closed"))?;
        }
    }
}

/// Returns the time at which the server made a frame, by the server's clock.
fn made(frame: &WatchFleetResponse) -> Duration {
    let time = frame.time.and_then(|time| SystemTime::try_from(time).ok());
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default()
}
