//! The state machine of a driver. Pure.
//!
//! Inputs are messages of the server, the driver's replies to offers, and the time in seconds. Outputs are lists of
//! actions.

use rides_proto::{
    geo::LatLng,
    v1::{
        self, Ride, RideState,
        drive_request::{self as up, Message as Up},
        drive_response::{Message as Down, Offer, Refused},
    },
};

use super::path::{DrivePath, Pose};
use crate::{
    client::text::{distance, duration, money, stop, trip, wire_duration},
    server_connection::{DriverTask, DriverTaskStep},
    terminal_text::strip_controls,
};

/// The time that passengers take to get in, in seconds.
const BOARDING_S: f64 = 3.0;

/// An action for the caller.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Effect {
    /// Send a message to the server.
    Send(Up),
    /// Print a line for the driver.
    Print(String),
    /// Find a route, and pass it to [`DriverSession::sets_off`].
    FindRoute {
        /// The position of the car.
        from: LatLng,
        /// The destination.
        to: LatLng,
    },
    /// Sign off, because the last ride is done.
    SignOff,
}

/// The occupation of the car.
#[derive(Clone, PartialEq, Debug)]
enum Occupation {
    Free,
    /// The ride of this id is offered to the car.
    Offered(String),
    /// The car has a ride.
    With(DriverTask),
}

/// The state of a car and its driver.
pub(super) struct DriverState {
    /// In metres per second.
    speed: f64,
    /// `true` if the driver decides about offers; otherwise each is accepted at once.
    asks: bool,
    /// The number of rides after which the car signs off. `None`: it never does by itself.
    rides_left: Option<u32>,
    busy: Occupation,
    /// The route that the car follows.
    way: DrivePath,
    /// The time at which the car set off along `path`.
    set_off_at: f64,
    /// The destination, while the route to it is not known yet.
    planning: Option<LatLng>,
}

impl DriverState {
    /// Makes the state of a free car that stands at `at`.
    pub(super) fn new(at: LatLng, speed: f64, asks: bool, rides_left: Option<u32>) -> Self {
        let way = DrivePath::new(at, [], at);
        Self { speed, asks, rides_left, busy: Occupation::Free, way, set_off_at: 0.0, planning: None }
    }

    /// Returns the position and heading of the car.
    pub(super) fn pose(&self, now: f64) -> Pose {
        self.way.pose((now - self.set_off_at) * self.speed)
    }

    /// Handles a message of the server.
    pub(super) fn handle(&mut self, message: Down, now: f64) -> Vec<Effect> {
        match message {
            Down::SignedOn(signed_on) => {
                // The last messages before the stream broke may be lost. The server sends the ride of the car next, in
                // the state that it knows.
                self.stop(now);
                vec![Effect::Print(format!("signed on as number {} on the map", signed_on.car_number))]
            }
            Down::Offer(offer) => self.consider(&offer),
            Down::Assignment(v1::drive_response::Assignment { ride: Some(ride) })
            | Down::Update(v1::drive_response::RideUpdate { ride: Some(ride) }) => self.take_up(&ride, now),
            Down::OfferWithdrawn(gone) => self.lose(&gone.ride_id, &gone.reason, "offer withdrawn", now),
            Down::RideWithdrawn(gone) => self.lose(&gone.ride_id, &gone.reason, "ride withdrawn", now),
            Down::Refused(Refused { ride_id, reason, message, .. }) => {
                self.lose(&ride_id, &reason, &strip_controls(&message), now)
            }
            Down::Assignment(_) | Down::Update(_) | Down::Heartbeat(_) => Vec::new(),
        }
    }

    /// Returns the driver's reply to the current offer, or `None` if there is no offer any more.
    pub(super) fn reply(&self, yes: bool) -> Option<Effect> {
        let Occupation::Offered(ride_id) = &self.busy else { return None };
        let ride_id = ride_id.clone();
        Some(Effect::Send(match yes {
            true => Up::Accept(up::AcceptOffer { ride_id }),
            false => Up::Decline(up::DeclineOffer { ride_id }),
        }))
    }

    /// Sets off along `drive_stream` to `to`. Does nothing if the destination has changed since the search.
    pub(super) fn set_route(&mut self, line: Vec<LatLng>, to: LatLng, now: f64) {
        if self.planning.take_if(|waited_for| *waited_for == to).is_some() {
            self.way = DrivePath::new(self.pose(now).at, line, to);
            self.set_off_at = now;
        }
    }

    /// Advances the time to `now`. The first action is always to send the position.
    pub(super) fn step(&mut self, now: f64) -> Vec<Effect> {
        let pose = self.pose(now);
        let there = self.planning.is_none() && self.left_m(now) <= 0.0;
        let mut todo = vec![Effect::Send(Up::Position(up::Position {
            location: Some(pose.at.into()),
            heading_deg: pose.heading_deg,
            speed_mps: Some(if there { 0.0 } else { self.speed }),
            time: None,
        }))];
        if let Occupation::With(errand) = &mut self.busy {
            todo.extend(errand.step(there, now).map(Effect::Send));
        }
        todo
    }

    /// Returns the status line.
    pub(super) fn status_line(&self, now: f64) -> String {
        let left_m = self.left_m(now).max(0.0);
        let time = std::time::Duration::from_secs_f64(left_m / self.speed);
        let (time, way) = (duration(time), distance(left_m as u32));
        match &self.busy {
            Occupation::Free => "free, waiting for an offer".to_owned(),
            Occupation::Offered(_) if self.asks => "accept? type y or n, then Enter".to_owned(),
            Occupation::Offered(_) => "accepting the offer".to_owned(),
            Occupation::With(errand) => match errand.leg() {
                DriverTaskStep::ToPickup => format!("{time} to the pickup ({way})"),
                DriverTaskStep::Boarding { .. } => "passengers get in".to_owned(),
                DriverTaskStep::OnTrip { .. } => format!("{time} to the drop-off ({way})"),
            },
        }
    }

    /// Returns the rest of the route in metres. Negative after the car has arrived.
    fn left_m(&self, now: f64) -> f64 {
        self.way.length_m() - (now - self.set_off_at) * self.speed
    }

    fn ride(&self) -> Option<&str> {
        match &self.busy {
            Occupation::Free => None,
            Occupation::Offered(ride) => Some(ride),
            Occupation::With(errand) => Some(errand.ride_id()),
        }
    }

    fn consider(&mut self, offer: &Offer) -> Vec<Effect> {
        self.busy = Occupation::Offered(offer.ride_id.clone());
        let told = format!(
            "offered: {} → {}, {}, {} away",
            stop(&offer.pickup_name, offer.pickup),
            stop(&offer.dropoff_name, offer.dropoff),
            money(offer.fare.as_ref()),
            duration(wire_duration(offer.pickup_eta)),
        );
        let answer = if self.asks { None } else { self.reply(true) };
        [Effect::Print(told)].into_iter().chain(answer).collect()
    }

    /// Starts or continues a ride that the server has assigned to the car, in the state that the server knows.
    fn take_up(&mut self, ride: &Ride, now: f64) -> Vec<Effect> {
        let Some(errand) = DriverTask::of(ride, now, BOARDING_S) else { return self.finish(ride, now) };
        if matches!(&self.busy, Occupation::With(current) if current.covers(&errand)) {
            return Vec::new();
        }
        let leg = errand.leg();
        self.stop(now);
        self.busy = Occupation::With(errand);
        match leg {
            DriverTaskStep::ToPickup => {
                let street = stop(&ride.pickup_name, ride.pickup);
                self.go_to(ride.pickup, format!("assigned: to {street}, for {}", passengers(ride)), now)
            }
            DriverTaskStep::Boarding { .. } => vec![Effect::Print("at the pickup".to_owned())],
            DriverTaskStep::OnTrip { .. } => {
                let street = stop(&ride.dropoff_name, ride.dropoff);
                self.go_to(ride.dropoff, format!("on trip: to {street}"), now)
            }
        }
    }

    /// Prints the fare of a completed ride. Signs off if it was the last.
    fn finish(&mut self, ride: &Ride, now: f64) -> Vec<Effect> {
        if ride.state() != RideState::Completed || self.ride() != Some(&ride.ride_id) {
            return Vec::new();
        }
        self.stop(now);
        let trip = trip(ride.distance_m, ride.duration);
        let told = Effect::Print(format!("completed: {} for {trip}", money(ride.fare.as_ref())));
        self.rides_left = self.rides_left.map(|left| left.saturating_sub(1));
        [told].into_iter().chain((self.rides_left == Some(0)).then_some(Effect::SignOff)).collect()
    }

    fn go_to(&mut self, to: Option<v1::Location>, told: String, now: f64) -> Vec<Effect> {
        let from = self.pose(now).at;
        self.planning = to.and_then(|to| LatLng::try_from(to).ok());
        let plan = self.planning.map(|to| Effect::FindRoute { from, to });
        [Effect::Print(told)].into_iter().chain(plan).collect()
    }

    fn lose(&mut self, ride_id: &str, reason: &str, what: &str, now: f64) -> Vec<Effect> {
        if self.ride() == Some(ride_id) {
            self.stop(now);
        }
        let reason = if reason.is_empty() { String::new() } else { format!(" ({})", strip_controls(reason)) };
        vec![Effect::Print(format!("{what}{reason}"))]
    }

    /// Stops the car where it is, and sets it free.
    fn stop(&mut self, now: f64) {
        let at = self.pose(now).at;
        self.way = DrivePath::new(at, [], at);
        (self.set_off_at, self.planning) = (now, None);
        self.busy = Occupation::Free;
    }
}

fn passengers(ride: &Ride) -> String {
    match ride.rider_id.as_str() {
        "" => "passengers".to_owned(),
        rider => strip_controls(rider),
    }
}

#[cfg(test)]
mod tests {
    use rides_proto::v1::drive_response as down;

    use super::*;

    const SPEED: f64 = 10.0;

    fn at(north: f64) -> LatLng {
        LatLng::new(60.0 + north / 111_195.0, 25.0).unwrap()
    }

    fn shift(asks: bool) -> DriverState {
        DriverState::new(at(0.0), SPEED, asks, Some(1))
    }

    fn offer() -> Down {
        Down::Offer(Offer { ride_id: "r".into(), ..Default::default() })
    }

    fn ride(state: RideState) -> Ride {
        let (pickup, dropoff) = (Some(at(100.0).into()), Some(at(200.0).into()));
        Ride { ride_id: "r".into(), state: state.into(), pickup, dropoff, ..Default::default() }
    }

    fn assignment(state: RideState) -> Down {
        Down::Assignment(down::Assignment { ride: Some(ride(state)) })
    }

    fn assigned() -> Down {
        assignment(RideState::Assigned)
    }

    fn update(state: RideState) -> Down {
        Down::Update(down::RideUpdate { ride: Some(ride(state)) })
    }

    /// Returns the actions without positions and texts for the driver.
    fn deeds(todo: Vec<Effect>) -> Vec<Effect> {
        todo.into_iter()
            .filter(|todo| !matches!(todo, Effect::Print(_) | Effect::Send(Up::Position(_))))
            .collect()
    }

    fn arrive() -> Effect {
        Effect::Send(Up::Arrive(up::Arrive { ride_id: "r".into() }))
    }

    fn pick_up() -> Effect {
        Effect::Send(Up::PickUp(up::PickUp { ride_id: "r".into() }))
    }

    fn drop_off() -> Effect {
        Effect::Send(Up::DropOff(up::DropOff { ride_id: "r".into() }))
    }

    #[test]
    fn a_ride_goes_from_offer_to_receipt_and_then_home() {
        let mut car = shift(false);
        let accept = Effect::Send(Up::Accept(up::AcceptOffer { ride_id: "r".into() }));
        assert_eq!(deeds(car.handle(offer(), 0.0)), [accept]);
        let plan = Effect::FindRoute { from: at(0.0), to: at(100.0) };
        assert_eq!(deeds(car.handle(assigned(), 0.0)), [plan]);
        assert_eq!(deeds(car.step(60.0)), [], "the route is not known yet");
        car.set_route(vec![], at(100.0), 60.0);
        assert_eq!(deeds(car.step(69.9)), []);
        assert!(car.pose(65.0).at.distance_m(at(50.0)) < 0.1);
        assert_eq!(deeds(car.step(70.1)), [arrive()]);
        assert_eq!(deeds(car.handle(update(RideState::Arrived), 70.2)), []);
        assert_eq!(deeds(car.step(73.2)), [pick_up()]);
        assert_eq!(deeds(car.step(74.0)), [], "once");
        assert_eq!(deeds(car.handle(update(RideState::OnTrip), 75.0)).len(), 1);
        car.set_route(vec![], at(200.0), 75.0);
        assert_eq!(deeds(car.step(85.1)), [drop_off()]);
        assert_eq!(deeds(car.handle(update(RideState::Completed), 85.2)), [Effect::SignOff]);
        assert!(car.pose(99.0).at.distance_m(at(200.0)) < 0.1, "the car has moved");
    }

    #[test]
    fn a_driver_who_wants_to_be_asked_is_asked_while_there_is_an_offer() {
        let mut car = shift(true);
        assert_eq!(car.reply(true), None);
        assert_eq!(deeds(car.handle(offer(), 0.0)), []);
        let decline = Effect::Send(Up::Decline(up::DeclineOffer { ride_id: "r".into() }));
        assert_eq!(car.reply(false), Some(decline));
        let gone = down::OfferWithdrawn { ride_id: "r".into(), reason: "TIMED_OUT".into() };
        assert_eq!(
            car.handle(Down::OfferWithdrawn(gone), 1.0),
            [Effect::Print("offer withdrawn (TIMED_OUT)".into())]
        );
        assert_eq!(car.reply(true), None);
    }

    fn signed_on(ride: &str) -> Down {
        Down::SignedOn(down::SignedOn { car_number: 1, ride_id: ride.into() })
    }

    #[test]
    fn a_car_that_lost_its_connection_goes_on_where_it_was() {
        let mut car = shift(false);
        car.handle(offer(), 0.0);
        car.handle(assigned(), 0.0);
        car.set_route(vec![], at(100.0), 0.0);
        car.handle(signed_on("r"), 5.0);
        let on = deeds(car.handle(assigned(), 5.0));
        let [Effect::FindRoute { from, to }] = &on[..] else { panic!("{on:?}") };
        assert!(from.distance_m(at(50.0)) < 0.1 && *to == at(100.0), "{on:?}");
        car.set_route(vec![], at(100.0), 5.0);
        assert_eq!(deeds(car.step(10.1)), [arrive()]);

        car.handle(signed_on(""), 11.0);
        assert_eq!(deeds(car.step(60.0)), [], "the car lost the ride while it was disconnected");
    }

    /// After a reconnect, the state of the ride in the server tells which messages were lost.
    #[test]
    fn what_the_server_did_not_hear_is_said_again() {
        let deed = |state: RideState, to: LatLng| {
            let mut car = shift(false);
            let mut says_it = |now: f64| {
                car.handle(signed_on("r"), now);
                car.handle(assignment(state), now);
                car.set_route(vec![], to, now);
                let all = [1.0, 30.0, 60.0].map(|later| deeds(car.step(now + later))).concat();
                all.first().cloned()
            };
            let first = says_it(0.0);
            assert!(first.is_some() && first == says_it(100.0), "{state:?}: {first:?}");
            first
        };
        assert_eq!(deed(RideState::Assigned, at(100.0)), Some(arrive()));
        assert_eq!(deed(RideState::Arrived, at(100.0)), Some(pick_up()));
        assert_eq!(deed(RideState::OnTrip, at(200.0)), Some(drop_off()));
    }

    #[test]
    fn a_way_that_nobody_waits_for_any_more_is_not_taken() {
        let mut car = shift(false);
        car.handle(offer(), 0.0);
        car.handle(assigned(), 0.0);
        let gone = down::RideWithdrawn { ride_id: "r".into(), reason: "CANCELLED".into() };
        car.handle(Down::RideWithdrawn(gone), 1.0);
        car.set_route(vec![], at(100.0), 2.0);
        assert!(car.pose(60.0).at.distance_m(at(0.0)) < 0.1, "the car has moved");

        car.handle(assignment(RideState::OnTrip), 60.0);
        car.set_route(vec![], at(100.0), 60.0);
        assert_eq!(deeds(car.step(90.0)), [], "the route to the dropoff is not known yet");
        car.set_route(vec![], at(200.0), 90.0);
        assert_eq!(deeds(car.step(120.0)), [drop_off()]);
    }

    #[test]
    fn a_ride_that_is_taken_away_is_driven_no_further() {
        let mut car = shift(false);
        car.handle(offer(), 0.0);
        car.handle(assigned(), 0.0);
        car.set_route(vec![], at(100.0), 0.0);
        let gone = down::RideWithdrawn { ride_id: "r".into(), reason: "CANCELLED".into() };
        car.handle(Down::RideWithdrawn(gone), 5.0);
        assert_eq!(deeds(car.step(60.0)), []);
        assert!(car.pose(60.0).at.distance_m(at(50.0)) < 0.1);
    }

    #[test]
    fn a_ride_off_the_street_is_driven_until_somebody_ends_it() {
        let mut car = shift(false);
        let street = Ride { dropoff: None, ..ride(RideState::OnTrip) };
        let assigned = Down::Assignment(down::Assignment { ride: Some(street) });
        assert_eq!(deeds(car.handle(assigned, 0.0)), []);
        assert_eq!(deeds(car.step(600.0)), []);
    }
}
