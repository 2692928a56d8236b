//! The state machine of a simulated driver. Pure.
//!
//! Inputs are messages of the server and the time in simulated seconds. Outputs are the messages of the driver.

use std::sync::Arc;

use rand::{Rng as _, rngs::SmallRng};
use rides_proto::{
    geo::LatLng,
    v1::{
        Location, Ride,
        drive_request::{AcceptOffer, DeclineOffer, Message as Up},
        drive_response::{Assignment, Message as Down, RideUpdate},
    },
};

use super::motion::{MotionProfile, Pose};
use crate::{
    city::City,
    server_connection::{DriverTask, DriverTaskStep},
};

/// The time that a driver takes to reply to an offer, in simulated seconds.
const THINKING_S: std::ops::Range<f64> = 0.8..3.0;
/// The time that passengers take to get in, in simulated seconds.
const BOARDING_S: std::ops::Range<f64> = 4.0..9.0;
/// The time that a free car rests between two drives, in simulated seconds.
const RESTING_S: std::ops::Range<f64> = 0.0..12.0;
/// The probability that a driver declines an offer.
const DECLINES: f64 = 0.06;
/// The probability that a driver does not reply to an offer.
const MISSES: f64 = 0.02;

/// A driver and their car.
pub(super) struct Driver {
    city: Arc<City>,
    rng: SmallRng,
    /// The ratio of the car's speed to the speeds of the streets.
    speed_factor: f64,
    drive: MotionProfile,
    /// The time at which `drive` began.
    set_off_at: f64,
    /// The ride of the car. Without a ride the car drives to random places.
    errand: Option<DriverTask>,
    /// The time at which a free car begins its next drive.
    rests_until: f64,
    /// The reply to an offer: the id of the ride, the time of the reply, and its message.
    reply: Option<(String, f64, Up)>,
}

impl Driver {
    /// Makes a driver at a random place.
    pub(super) fn new(city: Arc<City>, mut rng: SmallRng, now: f64) -> Self {
        let at = city.random_place(&mut rng).at;
        let pace = rng.random_range(0.72..0.95);
        let drive = MotionProfile::parked(at, 0.0);
        Self {
            city,
            rng,
            speed_factor: pace,
            drive,
            set_off_at: now,
            errand: None,
            rests_until: now,
            reply: None,
        }
    }

    /// Returns the position, heading and speed of the car.
    pub(super) fn pose(&self, now: f64) -> Pose {
        self.drive.pose(now - self.set_off_at)
    }

    /// Handles a message of the server.
    pub(super) fn handle(&mut self, message: Down, now: f64) {
        match message {
            // If the car has a ride, the server sends it next, in the state that it knows.
            Down::SignedOn(_) => {
                self.reply = None;
                self.cruise(now);
            }
            Down::Offer(offer) => self.consider(offer.ride_id, now),
            Down::Assignment(Assignment { ride: Some(ride) })
            | Down::Update(RideUpdate { ride: Some(ride) }) => {
                self.take_up(ride, now);
            }
            Down::OfferWithdrawn(gone) => self.lose(&gone.ride_id, now),
            Down::RideWithdrawn(gone) => self.lose(&gone.ride_id, now),
            Down::Refused(refused) => {
                tracing::debug!(
                    ride = refused.ride_id,
                    reason = refused.reason,
                    "the server refused a message of a simulated driver: {}",
                    refused.message
                );
                self.lose(&refused.ride_id, now);
            }
            Down::Assignment(_) | Down::Update(_) | Down::Heartbeat(_) => {}
        }
    }

    /// Advances the time to `now`. Returns the position of the car and the driver's messages.
    pub(super) fn step(&mut self, now: f64) -> (Pose, Vec<Up>) {
        let pose = self.pose(now);
        let answer = self.reply.take_if(|(_, at, _)| now >= *at).map(|(.., answer)| answer);
        let is_there = now - self.set_off_at >= self.drive.duration_s();
        let deed = match &mut self.errand {
            Some(errand) => errand.step(is_there, now),
            None => {
                if is_there && now >= self.rests_until {
                    self.wander(now);
                }
                None
            }
        };
        (pose, answer.into_iter().chain(deed).collect())
    }

    /// Decides about an offer.
    fn consider(&mut self, ride_id: String, now: f64) {
        if self.rng.random_bool(MISSES) {
            return;
        }
        let answer_at = now + self.rng.random_range(THINKING_S);
        let answer = match self.rng.random_bool(DECLINES) {
            true => Up::Decline(DeclineOffer { ride_id: ride_id.clone() }),
            false => Up::Accept(AcceptOffer { ride_id: ride_id.clone() }),
        };
        self.reply = Some((ride_id, answer_at, answer));
    }

    /// Starts or continues a ride that the server has assigned to the car, in the state that the server knows.
    fn take_up(&mut self, mut ride: Ride, now: f64) {
        // A ride that began on the street has no dropoff, so the driver goes to a random place.
        let somewhere = || self.city.random_place(&mut self.rng).at.into();
        ride.dropoff = Some(ride.dropoff.unwrap_or_else(somewhere));
        let Some(errand) = DriverTask::of(&ride, now, self.rng.random_range(BOARDING_S)) else {
            if self.has(&ride.ride_id) {
                self.cruise(now);
            }
            return;
        };
        if self.errand.as_ref().is_some_and(|current| current.covers(&errand)) {
            return;
        }
        match errand.leg() {
            DriverTaskStep::ToPickup => self.go_to(place(ride.pickup), now),
            DriverTaskStep::Boarding { .. } => self.go_to(None, now),
            DriverTaskStep::OnTrip { .. } => self.go_to(place(ride.dropoff), now),
        }
        self.errand = Some(errand);
    }

    fn lose(&mut self, ride_id: &str, now: f64) {
        self.reply.take_if(|(offered, ..)| offered == ride_id);
        if self.has(ride_id) {
            self.cruise(now);
        }
    }

    fn has(&self, ride_id: &str) -> bool {
        self.errand.as_ref().is_some_and(|errand| errand.ride_id() == ride_id)
    }

    /// Sets the car free. It finishes its current drive, and then drives to random places.
    fn cruise(&mut self, now: f64) {
        self.errand = None;
        self.rests_until = now;
    }

    /// Begins a drive to a random place.
    fn wander(&mut self, now: f64) {
        let there = self.city.random_place(&mut self.rng).at;
        self.go_to(Some(there), now);
        self.rests_until = now + self.drive.duration_s() + self.rng.random_range(RESTING_S);
    }

    /// Begins a drive to `there`. Without a destination or a route the car stops.
    fn go_to(&mut self, there: Option<LatLng>, now: f64) {
        let pose = self.pose(now);
        // The graph of streets is strongly connected, so only a map without streets has no route.
        let route = there.and_then(|there| self.city.route(&self.city.snap(pose.at), &self.city.snap(there)));
        self.drive = match route {
            Some(route) => MotionProfile::along(&route, self.speed_factor, pose.heading_deg),
            None => MotionProfile::parked(pose.at, pose.heading_deg),
        };
        self.set_off_at = now;
    }
}

fn place(location: Option<Location>) -> Option<LatLng> {
    LatLng::try_from(location?).ok()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rides_proto::v1::{
        RideState,
        drive_response::{Offer, RideWithdrawn, SignedOn},
    };

    use super::*;

    fn driver() -> Driver {
        Driver::new(Arc::new(City::embedded()), SmallRng::seed_from_u64(7), 0.0)
    }

    fn somewhere(driver: &Driver, seed: u64) -> LatLng {
        driver.city.random_place(&mut SmallRng::seed_from_u64(seed)).at
    }

    fn update(state: RideState, pickup: LatLng, dropoff: LatLng) -> Down {
        let ride_id = "r".to_owned();
        let (pickup, dropoff) = (Some(pickup.into()), Some(dropoff.into()));
        let ride = Ride { ride_id, state: state.into(), pickup, dropoff, ..Default::default() };
        Down::Update(RideUpdate { ride: Some(ride) })
    }

    /// Steps four times per simulated second until the driver sends a message that matches `until`. Returns the time.
    /// Panics after an hour.
    fn drive_until(driver: &mut Driver, from: f64, until: impl Fn(&Up) -> bool) -> f64 {
        (1..14_400)
            .map(|i| from + f64::from(i) * 0.25)
            .find(|&now| driver.step(now).1.iter().any(&until))
            .expect("a message within an hour")
    }

    #[test]
    fn a_free_car_drives_about_without_jumping() {
        let mut driver = driver();
        let start = driver.pose(0.0).at;
        let (mut last, mut furthest) = (start, 0.0f64);
        for i in 1..2400 {
            let (pose, said) = driver.step(f64::from(i) * 0.25);
            assert_eq!(said, [], "a free car only reports");
            assert!(last.distance_m(pose.at) < 8.0, "jumped {} m", last.distance_m(pose.at));
            furthest = furthest.max(start.distance_m(pose.at));
            last = pose.at;
        }
        assert!(furthest > 100.0, "went only {furthest} m in ten minutes");
    }

    #[test]
    fn a_ride_goes_from_offer_to_drop_off() {
        let mut driver = driver();
        let (pickup, dropoff) = (somewhere(&driver, 1), somewhere(&driver, 2));
        let update = |state| update(state, pickup, dropoff);

        driver.handle(Down::Offer(Offer { ride_id: "r".to_owned(), ..Default::default() }), 0.0);
        let now = drive_until(&mut driver, 0.0, |said| matches!(said, Up::Accept(_)));
        driver.handle(update(RideState::Assigned), now);
        let now = drive_until(&mut driver, now, |said| matches!(said, Up::Arrive(_)));
        assert!(driver.pose(now).at.distance_m(pickup) < 1.0);
        driver.handle(update(RideState::Arrived), now);
        let now = drive_until(&mut driver, now, |said| matches!(said, Up::PickUp(_)));
        driver.handle(update(RideState::OnTrip), now);
        let now = drive_until(&mut driver, now, |said| matches!(said, Up::DropOff(_)));
        assert!(driver.pose(now).at.distance_m(dropoff) < 1.0);
        driver.handle(update(RideState::Completed), now);
        assert_eq!(driver.errand, None);
    }

    #[test]
    fn a_withdrawn_ride_sets_the_driver_free() {
        let mut driver = driver();
        let here = driver.pose(0.0).at;
        driver.handle(update(RideState::Assigned, here, here), 0.0);
        assert!(driver.has("r"));
        let gone = |ride_id: &str| {
            Down::RideWithdrawn(RideWithdrawn { ride_id: ride_id.to_owned(), ..Default::default() })
        };
        driver.handle(gone("another"), 1.0);
        assert!(driver.has("r"));
        driver.handle(gone("r"), 1.0);
        assert_eq!(driver.errand, None);
    }

    #[test]
    fn a_car_that_signs_on_again_takes_up_its_ride_where_it_was() {
        let mut driver = driver();
        let place = somewhere(&driver, 3);
        driver.handle(Down::SignedOn(SignedOn::default()), 5.0);
        driver.handle(update(RideState::OnTrip, place, place), 5.0);
        let now = drive_until(&mut driver, 5.0, |said| matches!(said, Up::DropOff(_)));
        assert!(driver.pose(now).at.distance_m(place) < 1.0);
    }
}
