//! The stream of frames, opened again when it breaks.

use rides_proto::{
    geo::Bounds,
    v1::{
        GetMapRequest, WatchFleetRequest, WatchFleetResponse, city_client::CityClient,
        fleet_client::FleetClient,
    },
};
use tokio::{sync::mpsc, time::sleep};
use tonic::Status;

use crate::{client::servers::Servers, remote::backoff};

/// What the stream says, and what there is to say about it.
pub(super) enum News {
    /// A message of it.
    Frame(WatchFleetResponse),
    /// It broke, and is opened again: why.
    Away(Status),
}

/// The name of the city, and its edges.
pub(super) async fn city(servers: &Servers) -> Result<(String, Option<Bounds>), Status> {
    let open = async |channel, request| CityClient::new(channel).get_map(request).await;
    let first = servers.open(GetMapRequest::default, open).await?.message().await?;
    let info = first.and_then(|message| message.info).unwrap_or_default();
    Ok((info.name, info.bounds.and_then(|bounds| bounds.try_into().ok())))
}

/// Passes on what the fleet inside `viewport` does. Who is slow gets fewer, newer frames: the server sees to it.
///
/// Ends where trying again is of no use, and if no stream was ever open; and says why.
pub(super) async fn feed(viewport: Bounds, servers: Servers, to: mpsc::Sender<News>) -> Status {
    let (mut attempt, mut has_begun) = (0, false);
    loop {
        let status = follow(viewport, &servers, &to, &mut attempt, &mut has_begun).await;
        let status = status.err().unwrap_or_else(|| Status::unavailable("the server ended the stream"));
        if !has_begun || !servers.may_resume(&status) {
            return status;
        }
        attempt += 1;
        let wait = backoff(attempt, &status, &mut rand::rng());
        if to.send(News::Away(status)).await.is_err() {
            return Status::cancelled("nobody looks");
        }
        sleep(wait).await;
    }
}

/// One stream. It makes good all attempts before it.
async fn follow(
    viewport: Bounds,
    servers: &Servers,
    to: &mpsc::Sender<News>,
    attempt: &mut u32,
    has_begun: &mut bool,
) -> Result<(), Status> {
    let request = || WatchFleetRequest { viewport: Some(viewport.into()), ..Default::default() };
    let open = async |channel, request| FleetClient::new(channel).watch(request).await;
    let mut frames = servers.open(request, open).await?;
    while let Some(frame) = frames.message().await? {
        (*attempt, *has_begun) = (0, true);
        to.send(News::Frame(frame)).await.map_err(|_| Status::cancelled("nobody looks"))?;
    }
    Ok(())
}
