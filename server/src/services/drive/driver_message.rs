//! The messages of a driver, decoded and validated. Pure.

use std::time::SystemTime;

use rides_proto::{
    geo::LatLng,
    ids::RideId,
    v1::{
        DriveRequest,
        drive_request::{self as up, Message},
    },
};

use crate::{
    access::Principal,
    rides::model::CarAndDriver,
    services::{
        bad_request::{BadRequest, all, invalid},
        fields::{self, MAX_REASON},
    },
};

/// The maximum length of a ride's id, in characters. Ids of this server are much shorter.
const MAX_RIDE_ID: usize = 128;

/// One valid message of a driver.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum DriverMessage {
    SignOn(SignOn),
    Position {
        at: LatLng,
        heading_deg: Option<f64>,
        time: SystemTime,
    },
    /// A command about a ride.
    Ride(RideId, RideAction),
    /// The driver wants offers (`true`) or none.
    Duty(bool),
    SignOff,
}

/// The first message of a stream.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SignOn {
    pub(super) crew: CarAndDriver,
    pub(super) at: Option<LatLng>,
}

/// A driver's command about a ride.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum RideAction {
    Accept,
    Decline,
    Arrive,
    PickUp,
    DropOff,
    GiveBack { reason: String },
}

impl DriverMessage {
    /// Validates a message that `caller` sent and the server received at `now`. Fails with the bad fields if there
    /// are any.
    pub(super) fn read(
        request: DriveRequest,
        caller: &Principal,
        now: SystemTime,
    ) -> Result<Self, BadRequest> {
        let unknown = || invalid("message", "must be set to a message that this server knows");
        match request.message.ok_or_else(unknown)? {
            Message::SignOn(m) => sign_on(m, caller),
            Message::Position(m) => position(m, now),
            Message::Accept(m) => of("accept", m.ride_id, RideAction::Accept),
            Message::Decline(m) => of("decline", m.ride_id, RideAction::Decline),
            Message::Arrive(m) => of("arrive", m.ride_id, RideAction::Arrive),
            Message::PickUp(m) => of("pick_up", m.ride_id, RideAction::PickUp),
            Message::DropOff(m) => of("drop_off", m.ride_id, RideAction::DropOff),
            Message::GiveBack(m) => {
                let (ride, reason) = all((
                    ride("give_back", m.ride_id),
                    fields::text("give_back.reason", m.reason, MAX_REASON),
                ))?;
                Ok(Self::Ride(ride, RideAction::GiveBack { reason }))
            }
            Message::SetDuty(m) => Ok(Self::Duty(m.on_duty)),
            Message::SignOff(_) => Ok(Self::SignOff),
        }
    }
}

fn sign_on(sign_on: up::SignOn, caller: &Principal) -> Result<DriverMessage, BadRequest> {
    let (car, driver, at) = all((
        fields::car("sign_on.car_id", sign_on.car_id),
        fields::driver("sign_on.driver_id", sign_on.driver_id, caller),
        fields::optional_location("sign_on.location", sign_on.location),
    ))?;
    Ok(DriverMessage::SignOn(SignOn { crew: CarAndDriver { car, driver }, at }))
}

fn position(position: up::Position, now: SystemTime) -> Result<DriverMessage, BadRequest> {
    let (at, heading_deg, (), time) = all((
        fields::location("position.location", position.location),
        heading(position.heading_deg),
        check_speed(position.speed_mps),
        fields::time("position.time", position.time, now),
    ))?;
    Ok(DriverMessage::Position { at, heading_deg, time })
}

fn heading(deg: Option<f64>) -> Result<Option<f64>, BadRequest> {
    match deg.is_none_or(f64::is_finite) {
        true => Ok(deg),
        false => Err(invalid("position.heading_deg", "must be a number")),
    }
}

fn check_speed(mps: Option<f64>) -> Result<(), BadRequest> {
    match mps.is_none_or(|speed| speed.is_finite() && speed >= 0.0) {
        true => Ok(()),
        false => Err(invalid("position.speed_mps", "must be a number and not negative")),
    }
}

fn of(message: &str, ride_id: String, deed: RideAction) -> Result<DriverMessage, BadRequest> {
    Ok(DriverMessage::Ride(ride(message, ride_id)?, deed))
}

fn ride(message: &str, id: String) -> Result<RideId, BadRequest> {
    fields::name(&format!("{message}.ride_id"), id, MAX_RIDE_ID).map(RideId::new)
}

#[cfg(test)]
mod tests {
    use rides_proto::{ids::CarId, v1};
    use tonic::Status;
    use tonic_types::StatusExt as _;

    use super::*;

    fn say(message: Message) -> Result<DriverMessage, Status> {
        Ok(DriverMessage::read(
            DriveRequest { message: Some(message) },
            &Principal::Anonymous,
            SystemTime::now(),
        )?)
    }

    fn helsinki() -> Option<v1::Location> {
        Some(v1::Location { lat: 60.17, lng: 24.94 })
    }

    #[test]
    fn every_bad_field_is_named() {
        let sign_on = || up::SignOn { car_id: 1, driver_id: "Aino".into(), location: None };
        let position = || up::Position { location: helsinki(), ..Default::default() };
        let nowhere = Some(v1::Location { lat: f64::NAN, lng: 0.0 });
        let cases = [
            (Message::SignOn(up::SignOn { car_id: 0, ..sign_on() }), "sign_on.car_id"),
            (Message::SignOn(up::SignOn { driver_id: String::new(), ..sign_on() }), "sign_on.driver_id"),
            (Message::SignOn(up::SignOn { driver_id: "å".repeat(65), ..sign_on() }), "sign_on.driver_id"),
            (Message::SignOn(up::SignOn { location: nowhere, ..sign_on() }), "sign_on.location"),
            (Message::Position(up::Position::default()), "position.location"),
            (Message::Position(up::Position { location: nowhere, ..position() }), "position.location"),
            (
                Message::Position(up::Position { heading_deg: Some(f64::NAN), ..position() }),
                "position.heading_deg",
            ),
            (Message::Position(up::Position { speed_mps: Some(-1.0), ..position() }), "position.speed_mps"),
            (
                Message::Position(up::Position {
                    time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                    ..position()
                }),
                "position.time",
            ),
            (Message::Accept(up::AcceptOffer::default()), "accept.ride_id"),
            (Message::Arrive(up::Arrive { ride_id: "r".repeat(129) }), "arrive.ride_id"),
            (
                Message::GiveBack(up::GiveBack { ride_id: "r".into(), reason: "å".repeat(201) }),
                "give_back.reason",
            ),
        ];
        for (message, field) in cases {
            let status = say(message).expect_err(field);
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            let bad = status.get_details_bad_request().expect("details");
            assert_eq!(bad.field_violations[0].field, field);
        }
        assert!(
            DriverMessage::read(DriveRequest { message: None }, &Principal::Anonymous, SystemTime::now())
                .is_err()
        );
    }

    /// CLIENT-10
    #[test]
    fn all_bad_fields_of_a_message_are_named() {
        let nowhere = Some(v1::Location { lat: f64::NAN, lng: 0.0 });
        let time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        let position =
            up::Position { location: None, heading_deg: Some(f64::NAN), speed_mps: Some(-1.0), time };
        for (message, fields) in [
            (
                Message::SignOn(up::SignOn { car_id: 0, driver_id: String::new(), location: nowhere }),
                &["sign_on.car_id", "sign_on.driver_id", "sign_on.location"][..],
            ),
            (
                Message::Position(position),
                &["position.location", "position.heading_deg", "position.speed_mps", "position.time"],
            ),
            (
                Message::GiveBack(up::GiveBack { ride_id: String::new(), reason: "x".repeat(201) }),
                &["give_back.ride_id", "give_back.reason"],
            ),
        ] {
            let bad = say(message).expect_err("bad").get_details_bad_request().expect("details");
            assert_eq!(bad.field_violations.iter().map(|bad| &*bad.field).collect::<Vec<_>>(), fields);
        }
    }

    #[test]
    fn limits_count_characters() {
        let driver_id = "å".repeat(64);
        let sign_on = up::SignOn { car_id: 7, driver_id: driver_id.clone(), location: helsinki() };
        let DriverMessage::SignOn(said) = say(Message::SignOn(sign_on)).expect("well formed") else {
            panic!("not a sign-on");
        };
        assert_eq!(said.crew, CarAndDriver { car: CarId::new(7).expect("positive"), driver: driver_id });
        assert!(said.at.is_some());
    }
}
