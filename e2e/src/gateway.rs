//! Cars known only by their positions, as the gateway of another fleet reports them through `Rides.Track`.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rides_proto::v1::{Location, TrackRequest, rides_client::RidesClient};
use tokio_stream::iter;

use crate::server::channel;

/// Places cars 1, 2, … at these latitudes and longitudes.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn place_cars(server: SocketAddr, places: &[(f64, f64)]) -> Result<()> {
    let positions: Vec<_> = (1..)
        .zip(places)
        .map(|(car_id, (lat, lng))| {
            let location = Some(Location { lat: *lat, lng: *lng });
            TrackRequest { car_id, time: None, location }
        })
        .collect();
    let taken = RidesClient::new(channel(server).await?).track(iter(positions)).await?.into_inner().count;
    ensure!(taken == places.len() as u64, "{taken} of {} positions were taken", places.len());
    Ok(())
}
