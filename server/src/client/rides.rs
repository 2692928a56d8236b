//! The subcommands that make unary calls: `quote`, `book`, `get`, `cancel` and `list`.

use std::{env, time::SystemTime};

use anyhow::Context as _;
use rides_proto::v1::{self, rides_client::RidesClient};
use terminal_size::{Width, terminal_size_of};
use uuid::Uuid;

use super::{
    args::{BookArgs, CancelArgs, ListArgs, TripArgs},
    output::Output,
    servers::Servers,
    table::{Cell, table},
    text,
};
use crate::terminal_text::strip_controls;

/// The maximum number of rides in one page of `Rides.List`.
const PAGE: usize = 200;

/// Prints a quote.
pub(super) async fn quote(trip: TripArgs, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let request = v1::QuoteRequest {
        pickup: Some(trip.from.locate(servers).await?),
        dropoff: Some(trip.to.locate(servers).await?),
        r#type: v1::RideType::from(trip.r#type).into(),
    };
    let ask = async |channel, request| RidesClient::new(channel).quote(request).await;
    let answer = servers.unary(request, ask).await?;
    output.response("QuoteResponse", &answer, text::quote)
}

/// Books a ride and prints it. Returns its id.
pub(super) async fn book(booking: BookArgs, servers: &Servers, output: &Output) -> anyhow::Result<String> {
    let request = v1::BookRequest {
        request_id: booking.request_id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        pickup: Some(booking.trip.from.locate(servers).await?),
        dropoff: Some(booking.trip.to.locate(servers).await?),
        r#type: v1::RideType::from(booking.trip.r#type).into(),
        rider_id: booking.rider.or_else(|| user(servers)).unwrap_or_default(),
        passenger_ids: booking.passengers,
    };
    let ask = async |channel, request| RidesClient::new(channel).book(request).await;
    let answer = servers.unary(request, ask).await?;
    output.response("BookResponse", &answer, |answer| ride(answer.ride.as_ref()))?;
    Ok(answer.ride.context("the response of the server has no ride")?.ride_id)
}

/// Prints one ride.
pub(super) async fn get(ride_id: String, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let ask = async |channel, request| RidesClient::new(channel).get(request).await;
    let answer = servers.unary(v1::GetRequest { ride_id }, ask).await?;
    output.response("GetResponse", &answer, |answer| ride(answer.ride.as_ref()))
}

/// Cancels a ride and prints it.
pub(super) async fn cancel(cancelling: CancelArgs, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let CancelArgs { ride: which, reason, by } = cancelling;
    let by = by.map_or(v1::Actor::Unspecified, Into::into).into();
    let ask = async |channel, request| RidesClient::new(channel).cancel(request).await;
    let answer = servers.unary(v1::CancelRequest { ride_id: which.ride_id, by, reason }, ask).await?;
    output.response("CancelResponse", &answer, |answer| ride(answer.ride.as_ref()))
}

/// Lists rides as a table or as JSON, one per line. It requests one page after the other.
pub(super) async fn list(listing: ListArgs, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let limit = if listing.limit == 0 { usize::MAX } else { listing.limit };
    let mut request = v1::ListRequest {
        rider_id: listing.rider.unwrap_or_default(),
        states: listing.states.into_iter().map(|state| v1::RideState::from(state).into()).collect(),
        ..Default::default()
    };
    let (mut rides, mut count) = (Vec::new(), 0);
    loop {
        request.page_size = PAGE.min(limit - count) as u32;
        let ask = async |channel, request| RidesClient::new(channel).list(request).await;
        let page = servers.unary(request.clone(), ask).await?;
        count += page.rides.len();
        match output.is_json() {
            true => page.rides.iter().try_for_each(|ride| output.message("Ride", ride))?,
            false => rides.extend(page.rides),
        }
        if page.next_page_token.is_empty() || count >= limit {
            break;
        }
        request.page_token = page.next_page_token;
        output.set_status(format!("{count} rides so far"));
    }
    if output.is_json() {
        return Ok(());
    }
    if rides.is_empty() {
        output.note("no rides");
        return Ok(());
    }
    let width = terminal_size_of(std::io::stdout()).map(|(Width(width), _)| width.into());
    Ok(output.print(&as_table(&rides, width, SystemTime::now()).join("\n"))?)
}

fn as_table(rides: &[v1::Ride], width: Option<usize>, now: SystemTime) -> Vec<String> {
    let row = |ride: &v1::Ride| {
        let age = text::since(ride.requested_at, now).map_or_else(|| "–".to_owned(), text::duration);
        let from = text::stop(&ride.pickup_name, ride.pickup);
        let way = match ride.dropoff {
            Some(_) => format!("{from} → {}", text::stop(&ride.dropoff_name, ride.dropoff)),
            None => from,
        };
        [
            Cell::plain(strip_controls(&ride.ride_id)),
            Cell::styled(text::ride_state(ride.state()), text::ride_style(ride.state())),
            Cell::plain(age),
            Cell::plain(if ride.car_id == 0 { "–".to_owned() } else { ride.car_id.to_string() }),
            Cell::plain(text::money(ride.fare.as_ref())),
            Cell::plain(strip_controls(&ride.rider_id)),
            Cell::plain(way),
        ]
    };
    let rows: Vec<_> = rides.iter().map(row).collect();
    table(["RIDE", "STATE", "BOOKED", "CAR", "FARE", "RIDER", "WAY"], &rows, width)
}

/// Returns the user name for a booking without `--rider`. Returns `None` if there is a token: the server then books
/// for the subject of the token.
fn user(servers: &Servers) -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let user = ["USER", "USERNAME"].into_iter().find_map(set);
    user.filter(|_| !servers.have_token())
}

fn ride(ride: Option<&v1::Ride>) -> String {
    text::ride(ride.unwrap_or(&v1::Ride::default()), SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rides_are_lines_that_fit() {
        let ride = v1::Ride {
            ride_id: "r".into(),
            state: v1::RideState::OnTrip.into(),
            rider_id: "ada".into(),
            car_id: 7,
            pickup_name: "Esplanadi".into(),
            dropoff_name: "Mannerheimintie".into(),
            dropoff: Some(v1::Location::default()),
            requested_at: Some(prost_types::Timestamp { seconds: 60, nanos: 0 }),
            fare: Some(v1::Money { currency: "EUR".into(), minor_units: 1240 }),
            ..Default::default()
        };
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(240);
        let lines = as_table(&[ride], Some(64), now);
        let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
        let expected = [
            "RIDE  STATE    BOOKED  CAR  FARE       RIDER  WAY",
            "r     on trip  3 min   7    12.40 EUR  ada    Esplanadi → Manne…",
        ];
        assert_eq!(lines.iter().map(plain).collect::<Vec<_>>(), expected);
    }
}
