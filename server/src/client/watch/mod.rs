//! The subcommand `watch`: the events of a ride up to its end, also across restarts and failovers of servers.

mod timeline;

use rides_proto::v1::{WatchResponse, rides_client::RidesClient, watch_response::Message};
use tokio::time::sleep;
use tonic::Status;

use self::timeline::Timeline;
use super::{
    output::Output,
    servers::{Servers, end_reason},
};
use crate::server_connection::backoff;

/// Prints each event of the ride once, and returns after the last. If the stream breaks, it is opened again on any of
/// the servers, without a limit of attempts. Fails if the first stream cannot be opened, or if a later error cannot
/// be retried.
pub(super) async fn watch(ride_id: String, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let mut timeline = Timeline::of(ride_id);
    let mut attempt = 0;
    loop {
        match follow(&mut timeline, &mut attempt, servers, output).await {
            Err(error) if timeline.has_begun() => match error.downcast_ref::<Status>() {
                Some(status) if servers.may_resume(status) => {
                    attempt += 1;
                    let wait = backoff(attempt, status, &mut rand::rng());
                    let what = format!("{}; retrying", end_reason(status));
                    if attempt == 1 {
                        output.note(&what);
                    }
                    output.set_status(what);
                    sleep(wait).await;
                }
                _ => return Err(error),
            },
            ended => return ended,
        }
    }
}

/// Opens one stream and prints its events up to its end. Each message resets `attempt`.
async fn follow(
    timeline: &mut Timeline,
    attempt: &mut u32,
    servers: &Servers,
    output: &Output,
) -> anyhow::Result<()> {
    let open = async |channel, request| RidesClient::new(channel).watch(request).await;
    let mut messages = servers.open(|| timeline.cursor(), open).await?;
    while let Some(response) = messages.message().await? {
        *attempt = 0;
        if is_news(timeline, &response, output) {
            tell(timeline, &response, output)?;
        }
    }
    Ok(())
}

/// Applies a message to the timeline. Returns `true` if it is to be printed.
fn is_news(timeline: &mut Timeline, response: &WatchResponse, output: &Output) -> bool {
    match &response.message {
        Some(Message::Opened(opened)) => {
            if timeline.opened(opened.clone()) {
                output.note("the server has another journal: showing the ride from its beginning");
            }
            true
        }
        Some(Message::Event(event)) => timeline.apply(event),
        Some(Message::Progress(_) | Message::Heartbeat(_)) => true,
        None => false,
    }
}

fn tell(timeline: &Timeline, response: &WatchResponse, output: &Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.message("WatchResponse", response);
    }
    match &response.message {
        Some(Message::Event(event)) => {
            output.print(&timeline.line(event))?;
            output.set_status(timeline.waiting().to_owned());
        }
        Some(Message::Progress(progress)) => output.set_status(timeline.progress(progress)),
        Some(Message::Opened(_)) => output.set_status(timeline.waiting().to_owned()),
        Some(Message::Heartbeat(_)) | None => {}
    }
    Ok(())
}
