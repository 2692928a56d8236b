//! One simulated driver: what they do, and say, as time passes and the server speaks. Pure: time is an
//! argument, in simulated seconds, and whatever is said comes back as a list.

use std::sync::Arc;

use rand::{Rng as _, rngs::SmallRng};
use rides_proto::{geo::LatLng, ids::RideId};

use super::motion::{Drive, Pose};
use crate::city::City;

/// A driver takes this long to answer, in simulated seconds.
const THINKING_S: std::ops::Range<f64> = 0.8..3.0;
/// And passengers this long to get in.
const BOARDING_S: std::ops::Range<f64> = 4.0..9.0;
/// And a car without a ride rests this long between two drives.
const RESTING_S: std::ops::Range<f64> = 0.0..12.0;
/// How likely a driver is to decline an offer, and to miss it.
const DECLINES: f64 = 0.06;
const MISSES: f64 = 0.02;

/// What the server tells a driver.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Heard {
    /// Signed on, perhaps again. An assignment follows if the car has a ride.
    SignedOn,
    /// Would you?
    Offer { ride: RideId },
    /// The car has this ride, which has come this far.
    Ride { ride: RideId, stage: Stage, pickup: LatLng, dropoff: Option<LatLng> },
    /// It has it no more, or was refused something about it.
    Gone { ride: RideId },
}

/// How far a ride has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    ToPickup,
    AtPickup,
    OnTrip,
    Over,
}

/// What a driver says to the server.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Position(Pose),
    Accept(RideId),
    Decline(RideId),
    Arrive(RideId),
    PickUp(RideId),
    DropOff(RideId),
}

/// What a driver is busy with.
#[derive(Clone, PartialEq, Debug)]
enum Busy {
    /// Drives about, or rests until then.
    Cruising { rests_until: f64 },
    /// Drives to the pickup.
    ToPickup { ride: RideId },
    /// Waits for passengers until then; `said` once the server was told.
    Boarding { ride: RideId, until: f64, said: bool },
    /// Drives passengers.
    OnTrip { ride: RideId, said: bool },
}

/// A driver and their car.
pub(super) struct Driver {
    city: Arc<City>,
    rng: SmallRng,
    /// How fast this driver is, compared with the streets' speeds.
    pace: f64,
    drive: Drive,
    set_off_at: f64,
    busy: Busy,
    offer: Option<(RideId, f64, bool)>,
}

impl Driver {
    /// At a random place, about to drive somewhere.
    pub(super) fn new(city: Arc<City>, mut rng: SmallRng, now: f64) -> Self {
        let at = city.random_place(&mut rng).at;
        let pace = rng.random_range(0.72..0.95);
        let busy = Busy::Cruising { rests_until: now };
        Self { city, rng, pace, drive: Drive::parked(at, 0.0), set_off_at: now, busy, offer: None }
    }

    /// Where the car is.
    pub(super) fn pose(&self, now: f64) -> Pose {
        self.drive.pose(now - self.set_off_at)
    }

    /// Hears the server.
    pub(super) fn hear(&mut self, heard: Heard, now: f64) {
        match heard {
            Heard::SignedOn => {
                self.offer = None;
                self.cruise(now);
            }
            Heard::Offer { ride } => self.consider(ride, now),
            Heard::Ride { ride, stage, pickup, dropoff } => self.take_up(ride, stage, pickup, dropoff, now),
            Heard::Gone { ride } => {
                if self.offer.as_ref().is_some_and(|(offered, ..)| *offered == ride) {
                    self.offer = None;
                }
                if self.ride() == Some(&ride) {
                    self.cruise(now);
                }
            }
        }
    }

    /// Lets time pass until `now`; the position is always the first thing said.
    pub(super) fn step(&mut self, now: f64) -> Vec<Said> {
        let mut said = vec![Said::Position(self.pose(now))];
        said.extend(self.answer(now));
        let there = now - self.set_off_at >= self.drive.duration_s();
        match &mut self.busy {
            Busy::Cruising { rests_until } if there && now >= *rests_until => self.wander(now),
            Busy::ToPickup { ride } if there => {
                let ride = ride.clone();
                said.push(Said::Arrive(ride.clone()));
                let until = now + self.rng.random_range(BOARDING_S);
                self.busy = Busy::Boarding { ride, until, said: false };
            }
            Busy::Boarding { ride, until, said: told } if now >= *until && !*told => {
                *told = true;
                said.push(Said::PickUp(ride.clone()));
            }
            Busy::OnTrip { ride, said: told } if there && !*told => {
                *told = true;
                said.push(Said::DropOff(ride.clone()));
            }
            _ => {}
        }
        said
    }

    fn ride(&self) -> Option<&RideId> {
        match &self.busy {
            Busy::Cruising { .. } => None,
            Busy::ToPickup { ride } | Busy::Boarding { ride, .. } | Busy::OnTrip { ride, .. } => Some(ride),
        }
    }

    fn consider(&mut self, ride: RideId, now: f64) {
        if self.rng.random_bool(MISSES) {
            return;
        }
        let answer_at = now + self.rng.random_range(THINKING_S);
        let accepts = !self.rng.random_bool(DECLINES);
        self.offer = Some((ride, answer_at, accepts));
    }

    fn answer(&mut self, now: f64) -> Option<Said> {
        let (ride, _, accepts) = self.offer.take_if(|(_, answer_at, _)| now >= *answer_at)?;
        Some(if accepts { Said::Accept(ride) } else { Said::Decline(ride) })
    }

    /// Makes the ride this car's business, from wherever the ride and the car are now.
    fn take_up(&mut self, ride: RideId, stage: Stage, pickup: LatLng, dropoff: Option<LatLng>, now: f64) {
        let same = self.ride() == Some(&ride);
        match (stage, &self.busy) {
            (Stage::ToPickup, Busy::ToPickup { .. } | Busy::Boarding { .. }) if same => {}
            (Stage::AtPickup, Busy::Boarding { .. }) if same => {}
            (Stage::OnTrip, Busy::OnTrip { .. }) if same => {}
            (Stage::ToPickup, _) => {
                self.go_to(pickup, now);
                self.busy = Busy::ToPickup { ride };
            }
            (Stage::AtPickup, _) => {
                self.park(now);
                let until = now + self.rng.random_range(BOARDING_S);
                self.busy = Busy::Boarding { ride, until, said: false };
            }
            (Stage::OnTrip, _) => {
                let there = dropoff.unwrap_or_else(|| self.city.random_place(&mut self.rng).at);
                self.go_to(there, now);
                self.busy = Busy::OnTrip { ride, said: false };
            }
            (Stage::Over, _) if same => self.cruise(now),
            (Stage::Over, _) => {}
        }
    }

    /// Free again: goes on with the drive it is on, and then wanders.
    fn cruise(&mut self, now: f64) {
        self.busy = Busy::Cruising { rests_until: now };
    }

    fn wander(&mut self, now: f64) {
        let there = self.city.random_place(&mut self.rng).at;
        self.go_to(there, now);
        let rests_until = now + self.drive.duration_s() + self.rng.random_range(RESTING_S);
        self.busy = Busy::Cruising { rests_until };
    }

    fn park(&mut self, now: f64) {
        let pose = self.pose(now);
        self.drive = Drive::parked(pose.at, pose.heading_deg);
        self.set_off_at = now;
    }

    fn go_to(&mut self, there: LatLng, now: f64) {
        let pose = self.pose(now);
        let (from, to) = (self.city.snap(pose.at), self.city.snap(there));
        self.drive = match self.city.route(&from, &to) {
            Some(route) => Drive::along(&route, self.pace, pose.heading_deg),
            // The graph is strongly connected, so this is a map without streets: stay.
            None => Drive::parked(pose.at, pose.heading_deg),
        };
        self.set_off_at = now;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn driver() -> Driver {
        Driver::new(Arc::new(City::embedded()), SmallRng::seed_from_u64(7), 0.0)
    }

    /// Steps 4 times a simulated second until `until` is said; fails after an hour.
    fn drive_until(driver: &mut Driver, from: f64, until: impl Fn(&Said) -> bool) -> f64 {
        (1..14_400)
            .map(|i| from + f64::from(i) * 0.25)
            .find(|&now| driver.step(now).iter().any(&until))
            .expect("said within an hour")
    }

    #[test]
    fn a_free_car_drives_about_without_jumping() {
        let mut driver = driver();
        let start = driver.pose(0.0).at;
        let (mut last, mut furthest) = (start, 0.0f64);
        for i in 1..2400 {
            let said = driver.step(f64::from(i) * 0.25);
            let [Said::Position(pose)] = said.as_slice() else { panic!("a free car only reports: {said:?}") };
            assert!(last.distance_m(pose.at) < 8.0, "jumped {} m", last.distance_m(pose.at));
            furthest = furthest.max(start.distance_m(pose.at));
            last = pose.at;
        }
        assert!(furthest > 100.0, "went only {furthest} m in ten minutes");
    }

    #[test]
    fn a_ride_goes_from_offer_to_drop_off() {
        let mut driver = driver();
        let ride = RideId::new("r");
        let mut rng = SmallRng::seed_from_u64(1);
        let pickup = driver.city.random_place(&mut rng).at;
        let dropoff = driver.city.random_place(&mut rng).at;
        let heard = |stage| Heard::Ride { ride: ride.clone(), stage, pickup, dropoff: Some(dropoff) };

        driver.hear(Heard::Offer { ride: ride.clone() }, 0.0);
        let now = drive_until(&mut driver, 0.0, |said| *said == Said::Accept(ride.clone()));
        driver.hear(heard(Stage::ToPickup), now);
        let now = drive_until(&mut driver, now, |said| *said == Said::Arrive(ride.clone()));
        assert!(driver.pose(now).at.distance_m(pickup) < 1.0);
        driver.hear(heard(Stage::AtPickup), now);
        let now = drive_until(&mut driver, now, |said| *said == Said::PickUp(ride.clone()));
        driver.hear(heard(Stage::OnTrip), now);
        let now = drive_until(&mut driver, now, |said| *said == Said::DropOff(ride.clone()));
        assert!(driver.pose(now).at.distance_m(dropoff) < 1.0);
        driver.hear(heard(Stage::Over), now);
        assert_eq!(driver.ride(), None);
    }

    #[test]
    fn a_withdrawn_ride_sets_the_driver_free() {
        let mut driver = driver();
        let ride = RideId::new("r");
        let pickup = driver.pose(0.0).at;
        driver.hear(Heard::Ride { ride: ride.clone(), stage: Stage::ToPickup, pickup, dropoff: None }, 0.0);
        assert_eq!(driver.ride(), Some(&ride));
        driver.hear(Heard::Gone { ride: RideId::new("another") }, 1.0);
        assert_eq!(driver.ride(), Some(&ride));
        driver.hear(Heard::Gone { ride }, 1.0);
        assert_eq!(driver.ride(), None);
    }

    #[test]
    fn a_car_that_signs_on_again_takes_up_its_ride_where_it_was() {
        let mut driver = driver();
        let ride = RideId::new("r");
        let place = driver.city.random_place(&mut SmallRng::seed_from_u64(3)).at;
        driver.hear(Heard::SignedOn, 5.0);
        driver.hear(
            Heard::Ride { ride: ride.clone(), stage: Stage::OnTrip, pickup: place, dropoff: Some(place) },
            5.0,
        );
        let now = drive_until(&mut driver, 5.0, |said| *said == Said::DropOff(ride.clone()));
        assert!(driver.pose(now).at.distance_m(place) < 1.0);
    }
}
