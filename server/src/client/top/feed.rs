//! The stream of frames, opened again when it breaks.

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
use crate::{client::servers::Servers, remote::backoff};

/// What the stream says, and what there is to say about it.
pub(super) enum News {
    /// A message of the stream, and how much later it was read than the promptest one.
    Frame { frame: WatchFleetResponse, late: Duration },
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

/// A frame that is later than this is not passed on. It was held up on the way, or in a client that was stopped, and so
/// are those after it: another stream begins with what is newest.
const LATEST: Duration = Duration::from_secs(2);

/// Passes on what the fleet inside `viewport` does. A slow viewer gets fewer, newer frames: the server sees to that once the
/// window of the stream is full, and this client drops what waits in the window.
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

/// Follows the fleet in one stream, and in another when its frames are late. A frame makes good all attempts before it.
async fn follow(
    viewport: Bounds,
    servers: &Servers,
    to: &mpsc::Sender<News>,
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
            if late > LATEST {
                break;
            }
            let news = News::Frame { frame, late };
            to.send(news).await.map_err(|_| Status::cancelled("nobody looks"))?;
        }
    }
}

/// The time at which the server made a frame, by its own clock.
fn made(frame: &WatchFleetResponse) -> Duration {
    let time = frame.time.and_then(|time| SystemTime::try_from(time).ok());
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default()
}
