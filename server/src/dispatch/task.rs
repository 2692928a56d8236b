//! The task that starts a shepherd for each opened ride, and frees the rides of lost cars.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rides_proto::ids::{CarId, RideId};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    DispatchOptions,
    ride_supervisor::{self, DispatchHandles},
};
use crate::{
    city::City,
    fleet::Fleet,
    rides::{
        RideError, Rides,
        machine::Command,
        model::{OfferEndReason, RideState},
    },
};

/// The delay before a retry, for example while the journal takes no events.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Starts dispatch. The task ends when `opened` and `gone` are closed and no ride is open.
pub fn spawn(
    city: Arc<City>,
    fleet: Fleet,
    rides: Rides,
    opened: mpsc::Receiver<RideId>,
    gone: mpsc::Receiver<CarId>,
    options: DispatchOptions,
) -> JoinHandle<()> {
    tokio::spawn(run(DispatchHandles { city, fleet, rides, options }, opened, gone))
}

/// Receives and spawns, and waits for nothing else. The rides task waits for this one while `opened` is full, so a
/// call from here to the rides task could deadlock. All calls to rides and the fleet are in tasks of their own.
async fn run(tools: DispatchHandles, mut opened: mpsc::Receiver<RideId>, mut gone: mpsc::Receiver<CarId>) {
    let mut herd = JoinSet::new();
    let mut rides = HashMap::new();
    loop {
        tokio::select! {
            Some(ride) = opened.recv() => {
                let shepherd = herd.spawn(supervise(tools.clone(), ride.clone()));
                rides.insert(shepherd.id(), ride);
            }
            Some(car) = gone.recv() => { herd.spawn(free_ride(tools.clone(), car)); }
            Some(ended) = herd.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                match (ended, rides.remove(&id)) {
                    (Err(error), Some(ride)) => {
                        tracing::error!(%error, %ride, "shepherd panicked, another one takes over");
                        let shepherd = herd.spawn(supervise_after_delay(tools.clone(), ride.clone()));
                        rides.insert(shepherd.id(), ride);
                    }
                    (Err(error), None) => tracing::error!(%error, "ride of a lost car was not freed"),
                    (Ok(_), _) => {}
                }
            }
            else => return,
        }
    }
}

/// Starts a shepherd after a delay, because the cause of the panic may persist.
async fn supervise_after_delay(tools: DispatchHandles, ride: RideId) {
    sleep(RETRY_DELAY).await;
    supervise(tools, ride).await;
}

/// Runs a shepherd, and starts another one after each failure.
async fn supervise(tools: DispatchHandles, ride: RideId) {
    let mut told = None;
    loop {
        match ride_supervisor::follow(&tools, &ride, &mut told).await {
            Ok(()) | Err(RideError::Closed) => return,
            Err(error) => tracing::warn!(%ride, %error, "shepherd failed, retrying"),
        }
        sleep(RETRY_DELAY).await;
    }
}

/// Unassigns the ride of a car that has left the map, or ends the offer to it. Retries while the journal takes no
/// events, and stops if the car comes back. A trip goes on, because its passengers are in the car.
async fn free_ride(tools: DispatchHandles, car: CarId) {
    loop {
        match try_free_ride(&tools, car).await {
            Ok(()) | Err(RideError::Refused(_) | RideError::Closed) => return,
            Err(error) => tracing::warn!(%car, %error, "ride of a lost car was not freed, retrying"),
        }
        sleep(RETRY_DELAY).await;
    }
}

async fn try_free_ride(
    DispatchHandles { rides, fleet, .. }: &DispatchHandles,
    car: CarId,
) -> Result<(), RideError> {
    if fleet.car(car).await?.is_some_and(|view| view.crew.is_some()) {
        return Ok(());
    }
    let Some(ride) = rides.ride_of(car).await? else { return Ok(()) };
    let command = match ride.state {
        RideState::Offered => Command::EndOffer { car, why: OfferEndReason::CarLost },
        RideState::OnTrip => return Ok(()),
        _ => Command::Unassign { car },
    };
    rides.command(&ride.id, command).await.map(drop)
}

#[cfg(test)]
mod tests;
