//! Gives each opened ride its shepherd, and lets cars go that went away.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rides_proto::ids::{CarId, RideId};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    DispatchOptions,
    shepherd::{self, Tools},
};
use crate::{
    city::City,
    fleet::Fleet,
    rides::{
        RideError, Rides,
        machine::Command,
        model::{OfferEnd, RideState},
    },
};

/// How long to wait before trying again what the journal did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts dispatch. It ends when both `opened` and `gone` are closed and no ride is open.
pub fn spawn(
    city: Arc<City>,
    fleet: Fleet,
    rides: Rides,
    opened: mpsc::Receiver<RideId>,
    gone: mpsc::Receiver<CarId>,
    options: DispatchOptions,
) -> JoinHandle<()> {
    tokio::spawn(run(Tools { city, fleet, rides, options }, opened, gone))
}

/// Waits for nothing but its inputs, because the rides and the fleet wait for it: all that asks them
/// something back is a task of its own.
async fn run(tools: Tools, mut opened: mpsc::Receiver<RideId>, mut gone: mpsc::Receiver<CarId>) {
    let mut herd = JoinSet::new();
    let mut rides = HashMap::new();
    loop {
        tokio::select! {
            Some(ride) = opened.recv() => {
                let shepherd = herd.spawn(look_after(tools.clone(), ride.clone()));
                rides.insert(shepherd.id(), ride);
            }
            Some(car) = gone.recv() => { herd.spawn(let_go(tools.clone(), car)); }
            Some(ended) = herd.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                match (ended, rides.remove(&id)) {
                    (Err(error), Some(ride)) => {
                        tracing::error!(%error, %ride, "a shepherd died: another takes over");
                        let shepherd = herd.spawn(look_after_again(tools.clone(), ride.clone()));
                        rides.insert(shepherd.id(), ride);
                    }
                    (Err(error), None) => tracing::error!(%error, "a lost car's ride was not freed"),
                    (Ok(_), _) => {}
                }
            }
            else => return,
        }
    }
}

/// Not at once: what killed one shepherd may well kill the next.
async fn look_after_again(tools: Tools, ride: RideId) {
    sleep(AGAIN).await;
    look_after(tools, ride).await;
}

/// A new shepherd takes over from one that failed.
async fn look_after(tools: Tools, ride: RideId) {
    let mut told = None;
    loop {
        match shepherd::follow(&tools, &ride, &mut told).await {
            Ok(()) | Err(RideError::Closed) => return,
            Err(error) => tracing::warn!(%ride, %error, "trying again to look after a ride"),
        }
        sleep(AGAIN).await;
    }
}

/// Takes the ride, or the offer of it, from a car that went away, and has not come back while the journal took
/// nothing. Passengers stay in: a trip goes on.
async fn let_go(tools: Tools, car: CarId) {
    loop {
        match try_let_go(&tools, car).await {
            Ok(()) | Err(RideError::Refused(_) | RideError::Closed) => return,
            Err(error) => tracing::warn!(%car, %error, "trying again to free the ride of a lost car"),
        }
        sleep(AGAIN).await;
    }
}

async fn try_let_go(Tools { rides, fleet, .. }: &Tools, car: CarId) -> Result<(), RideError> {
    if fleet.car(car).await?.is_some_and(|view| view.crew.is_some()) {
        return Ok(());
    }
    let Some(ride) = rides.ride_of(car).await? else { return Ok(()) };
    let command = match ride.state {
        RideState::Offered => Command::EndOffer { car, why: OfferEnd::CarLost },
        RideState::OnTrip => return Ok(()),
        _ => Command::Unassign { car },
    };
    rides.command(&ride.id, command).await.map(drop)
}

#[cfg(test)]
mod tests;
