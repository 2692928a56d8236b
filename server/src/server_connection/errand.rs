//! The steps of a driver's ride that are left to do. Without I/O: time is an argument, in seconds.

use rides_proto::v1::{
    Ride, RideState,
    drive_request::{Arrive, DropOff, Message, PickUp},
};

/// A ride of a driver, between the assignment and the drop-off.
#[derive(Clone, PartialEq, Debug)]
pub struct DriverTask {
    ride_id: String,
    leg: DriverTaskStep,
    /// The time in seconds that passengers need to get in.
    boarding_s: f64,
}

/// The current part of the ride.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum DriverTaskStep {
    /// The car drives to the pickup.
    ToPickup,
    /// The car waits at the pickup until the passengers are in.
    Boarding {
        /// The time in seconds at which they are in.
        until: f64,
        /// `true` once `PickUp` was sent.
        said: bool,
    },
    /// The car drives to the drop-off.
    OnTrip {
        /// `true` once `DropOff` was sent, or if another client sends it.
        said: bool,
    },
}

impl DriverTask {
    /// Returns the errand of a ride as the server reports it, or `None` if its state needs no step of the driver. A
    /// ride that was not booked has no drop-off, and is ended by another client.
    pub fn of(ride: &Ride, now: f64, boarding_s: f64) -> Option<Self> {
        let leg = match ride.state() {
            RideState::Assigned => DriverTaskStep::ToPickup,
            RideState::Arrived => DriverTaskStep::Boarding { until: now + boarding_s, said: false },
            RideState::OnTrip => DriverTaskStep::OnTrip { said: ride.dropoff.is_none() },
            _ => return None,
        };
        Some(Self { ride_id: ride.ride_id.clone(), leg, boarding_s })
    }

    /// Returns the id of the ride.
    pub fn ride_id(&self) -> &str {
        &self.ride_id
    }

    /// Returns the current part of the ride.
    pub fn leg(&self) -> DriverTaskStep {
        self.leg
    }

    /// Returns `true` if `told` is the same ride in the same part or an earlier one, so that it brings nothing new.
    pub fn covers(&self, told: &Self) -> bool {
        self.ride_id == told.ride_id && self.leg.rank() >= told.leg.rank()
    }

    /// Returns the message to send at `now`. `is_there`: the car has reached the end of its current part. Each message
    /// is returned once.
    pub fn step(&mut self, is_there: bool, now: f64) -> Option<Message> {
        let ride_id = || self.ride_id.clone();
        match &mut self.leg {
            DriverTaskStep::ToPickup if is_there => {
                self.leg = DriverTaskStep::Boarding { until: now + self.boarding_s, said: false };
                Some(Message::Arrive(Arrive { ride_id: ride_id() }))
            }
            DriverTaskStep::Boarding { until, said } if now >= *until && !*said => {
                *said = true;
                Some(Message::PickUp(PickUp { ride_id: ride_id() }))
            }
            DriverTaskStep::OnTrip { said } if is_there && !*said => {
                *said = true;
                Some(Message::DropOff(DropOff { ride_id: ride_id() }))
            }
            _ => None,
        }
    }
}

impl DriverTaskStep {
    fn rank(self) -> u8 {
        match self {
            Self::ToPickup => 0,
            Self::Boarding { .. } => 1,
            Self::OnTrip { .. } => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: RideState) -> Option<DriverTask> {
        let dropoff = Some(rides_proto::v1::Location::default());
        let ride = Ride { ride_id: "r".into(), state: state.into(), dropoff, ..Ride::default() };
        DriverTask::of(&ride, 100.0, 5.0)
    }

    fn said(message: Option<Message>) -> &'static str {
        match message {
            Some(Message::Arrive(_)) => "arrive",
            Some(Message::PickUp(_)) => "pick up",
            Some(Message::DropOff(_)) => "drop off",
            other => other.map_or("", |_| "something else"),
        }
    }

    #[test]
    fn each_thing_is_said_in_its_time_and_once() {
        let mut errand = told(RideState::Assigned).unwrap();
        let steps =
            [(false, 101.0), (true, 102.0), (true, 103.0), (true, 106.9), (true, 107.0), (true, 108.0)];
        let heard = steps.map(|(is_there, now)| said(errand.step(is_there, now)));
        assert_eq!(heard, ["", "arrive", "", "", "pick up", ""]);
        let mut on_trip = told(RideState::OnTrip).unwrap();
        let heard = [false, true, true].map(|is_there| said(on_trip.step(is_there, 110.0)));
        assert_eq!(heard, ["", "drop off", ""]);
    }

    #[test]
    fn what_is_known_is_nothing_new() {
        let [assigned, arrived, on_trip] =
            [RideState::Assigned, RideState::Arrived, RideState::OnTrip].map(|state| told(state).unwrap());
        assert!(arrived.covers(&assigned) && arrived.covers(&arrived) && !arrived.covers(&on_trip));
        let another = DriverTask { ride_id: "another".into(), ..arrived.clone() };
        assert!(!another.covers(&assigned));
        assert!(
            [RideState::Offered, RideState::Completed, RideState::Cancelled]
                .iter()
                .all(|s| told(*s).is_none())
        );
    }

    #[test]
    fn a_ride_off_the_street_is_ended_by_somebody_else() {
        let ride = Ride { ride_id: "r".into(), state: RideState::OnTrip.into(), ..Ride::default() };
        assert_eq!(DriverTask::of(&ride, 0.0, 5.0).unwrap().step(true, 600.0), None);
    }
}
