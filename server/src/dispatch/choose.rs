//! The choice of a car for a ride.

use std::time::Duration;

use rides_proto::ids::CarId;

use crate::{
    city::{City, Snapped},
    fleet::{Fleet, FleetClosed},
    rides::model::CarAndDriver,
};

/// The most cars that are considered for a ride: the nearest by straight-line distance. Driving time then gives the
/// order.
const NEAREST: usize = 16;

/// A free car that could take a ride.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The car and its driver.
    pub crew: CarAndDriver,
    /// The driving time to the pickup.
    pub pickup_eta: Duration,
}

/// Returns the free cars near a pickup without those in `passed_over`, the best one first.
pub async fn candidates(
    city: &City,
    fleet: &Fleet,
    pickup: &Snapped,
    passed_over: &[CarId],
) -> Result<Vec<Candidate>, FleetClosed> {
    let free = fleet.nearest_free(pickup.at, NEAREST + passed_over.len()).await?;
    let reachable = free.into_iter().filter_map(|car| {
        let pickup_eta = city.drive_time(&city.snap(car.at), pickup)?;
        Some(Candidate { crew: car.crew, pickup_eta })
    });
    Ok(rank(reachable, passed_over))
}

/// Sorts by the driving time to the pickup, then by car number, so that the order is deterministic.
fn rank(candidates: impl IntoIterator<Item = Candidate>, passed_over: &[CarId]) -> Vec<Candidate> {
    let mut ranked: Vec<_> =
        candidates.into_iter().filter(|candidate| !passed_over.contains(&candidate.crew.car)).collect();
    ranked.sort_by_key(|candidate| (candidate.pickup_eta, candidate.crew.car));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rides::testing::{car, crew};

    fn candidate(n: u8, seconds: u64) -> Candidate {
        Candidate { crew: crew(n), pickup_eta: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_soonest_is_asked_first_and_nobody_twice() {
        let free = [candidate(4, 90), candidate(3, 60), candidate(2, 60), candidate(1, 10)];
        let order = rank(free, &[car(1)]);
        assert_eq!(order, [candidate(2, 60), candidate(3, 60), candidate(4, 90)]);
        assert_eq!(rank([candidate(1, 10)], &[car(1)]), []);
    }
}
