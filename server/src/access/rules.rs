//! The rides and cars that a caller may use. A dispatcher may use all, and so may a caller that needs no token.

use rides_proto::ids::CarId;
use thiserror::Error;

use super::Principal;
use crate::{
    rides::model::{Actor, Crew, Ride},
    sessions::{Role, Session},
};

/// The reason why a request is refused with PERMISSION_DENIED.
#[derive(Clone, Copy, PartialEq, Eq, Error, Debug)]
pub enum Denied {
    /// The request is in the name of another user, or in another role.
    #[error("the token does not permit acting in this name or role")]
    NotYou,
    /// The request is for a car that the caller does not drive.
    #[error("the token or the client certificate is not for this car")]
    NotYourCar,
}

impl Principal {
    /// Returns the identity of a caller with the token of `session`, a client certificate for the car `certified`,
    /// both or neither.
    ///
    /// # Errors
    /// [`Denied::NotYourCar`] if the token is not for the car of the certificate.
    pub fn of(session: Option<Session>, certified: Option<CarId>) -> Result<Self, Denied> {
        match (session, certified) {
            (None, None) => Ok(Self::Unproven),
            (None, Some(car)) => Ok(Self::Certified(car)),
            (Some(session), Some(car)) if session.car != Some(car) => Err(Denied::NotYourCar),
            (Some(session), _) => Ok(Self::Proven(session)),
        }
    }

    /// Returns the rider of a request that names the rider `claimed`, which may be empty. A rider's request is always
    /// for the rider of the token.
    ///
    /// # Errors
    /// [`Denied::NotYou`] if the caller may not act for that rider.
    pub fn rider(&self, claimed: String) -> Result<String, Denied> {
        match self {
            Self::Proven(Session { role: Role::Rider, subject, .. }) => {
                let own = claimed.is_empty() || claimed == *subject;
                if own { Ok(subject.clone()) } else { Err(Denied::NotYou) }
            }
            _ if self.acts_for_anyone() => Ok(claimed),
            _ => Err(Denied::NotYou),
        }
    }

    /// Returns the caller's name: the subject of the token, or `claimed` without a token.
    pub fn name<'a>(&'a self, claimed: &'a str) -> &'a str {
        self.session().map_or(claimed, |session| &session.subject)
    }

    /// Checks that the caller may act as `crew`. A client certificate permits each driver of its car.
    ///
    /// # Errors
    /// The reason why the caller may not.
    pub fn crew(&self, crew: &Crew) -> Result<(), Denied> {
        self.car(crew.car)?;
        match self {
            Self::Proven(session) if session.role == Role::Driver && session.subject != crew.driver => {
                Err(Denied::NotYou)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the caller may act for `car`.
    ///
    /// # Errors
    /// [`Denied::NotYourCar`] if the caller may not.
    pub fn car(&self, car: CarId) -> Result<(), Denied> {
        if self.acts_for_anyone() || self.only_car() == Some(car) { Ok(()) } else { Err(Denied::NotYourCar) }
    }

    /// Returns the car of the caller's token or certificate. `None`: neither names a car.
    pub fn only_car(&self) -> Option<CarId> {
        match self {
            Self::Unproven => None,
            Self::Certified(car) => Some(*car),
            Self::Proven(session) => session.car,
        }
    }

    /// Returns the role in which the caller acts: `claimed`, or by default the caller's own.
    ///
    /// # Errors
    /// [`Denied::NotYou`] if the caller may not act in the role `claimed`.
    pub fn actor(&self, claimed: Option<Actor>) -> Result<Actor, Denied> {
        let own = match self.role() {
            None | Some(Role::Rider) => Actor::Rider,
            Some(Role::Driver) => Actor::Driver,
            Some(Role::Dispatcher) => Actor::Dispatcher,
        };
        let actor = claimed.unwrap_or(own);
        if actor == own || self.acts_for_anyone() { Ok(actor) } else { Err(Denied::NotYou) }
    }

    fn acts_for_anyone(&self) -> bool {
        matches!(self.role(), None | Some(Role::Dispatcher))
    }

    /// Returns `true` if the caller may know that `ride` exists. Riders see their own rides. Drivers see the ride that
    /// their car has or is offered.
    pub fn sees(&self, ride: &Ride) -> bool {
        match self {
            Self::Proven(Session { role: Role::Rider, subject, .. }) => ride.booking.rider == *subject,
            _ => {
                self.acts_for_anyone()
                    || ride.crew.as_ref().is_some_and(|crew| self.only_car() == Some(crew.car))
            }
        }
    }

    /// Returns `true` if a driver may name `ride` in a request: the ride is visible to the driver, or was offered to
    /// the car before.
    pub fn was_asked(&self, ride: &Ride) -> bool {
        self.sees(ride) || self.only_car().is_some_and(|car| ride.passed_over.contains(&car))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use rides_proto::ids::RideId;

    use super::*;
    use crate::rides::{
        model::{Figures, RideState},
        testing::{booking, car, crew, noon},
    };

    fn proven(role: Role, subject: &str) -> Principal {
        Principal::Proven(Session::new(role, subject, SystemTime::UNIX_EPOCH))
    }

    fn driver_of(n: u8) -> Principal {
        let Crew { car, driver } = crew(n);
        Principal::Proven(Session::of_driver(&driver, car, SystemTime::UNIX_EPOCH))
    }

    fn requested_by(rider: &str) -> Ride {
        Ride {
            id: RideId::new("ride"),
            version: 1,
            state: RideState::Requested,
            booking: Arc::new(booking(rider)),
            crew: None,
            passed_over: Vec::new(),
            figures: Figures::default(),
            requested_at: noon(),
            started_at: None,
            updated_at: noon(),
            offer: None,
            cancelled: None,
        }
    }

    /// The callers that may use all rides and cars.
    fn trusted() -> [Principal; 2] {
        [Principal::Unproven, proven(Role::Dispatcher, "eve")]
    }

    #[test]
    fn riders_book_and_list_for_themselves() {
        let ada = proven(Role::Rider, "ada");
        for (claimed, expected) in [("", Ok("ada")), ("ada", Ok("ada")), ("bob", Err(Denied::NotYou))] {
            assert_eq!(ada.rider(claimed.to_owned()), expected.map(str::to_owned));
            assert!(trusted().iter().all(|who| who.rider(claimed.to_owned()).as_deref() == Ok(claimed)));
        }
        assert_eq!(driver_of(7).rider(String::new()), Err(Denied::NotYou));
    }

    #[test]
    fn drivers_speak_for_their_own_car_and_in_their_own_name() {
        let driver = driver_of(7);
        assert_eq!((driver.car(car(7)), driver.car(car(8))), (Ok(()), Err(Denied::NotYourCar)));
        assert_eq!((driver.crew(&crew(7)), driver.crew(&crew(8))), (Ok(()), Err(Denied::NotYourCar)));
        let another = Crew { driver: "another".to_owned(), ..crew(7) };
        assert_eq!(driver.crew(&another), Err(Denied::NotYou));
        assert_eq!(proven(Role::Rider, "ada").car(car(7)), Err(Denied::NotYourCar));
        assert!(trusted().iter().all(|who| who.crew(&another).is_ok() && who.only_car().is_none()));
        assert_eq!(driver.only_car(), Some(car(7)));
    }

    #[test]
    fn a_certificate_is_a_driver_of_its_car_under_any_name() {
        let certified = Principal::of(None, Some(car(7))).unwrap();
        assert_eq!((certified.role(), certified.only_car()), (Some(Role::Driver), Some(car(7))));
        let another = Crew { driver: "another".to_owned(), ..crew(7) };
        assert_eq!((certified.crew(&another), certified.crew(&crew(8))), (Ok(()), Err(Denied::NotYourCar)));
        assert_eq!(certified.actor(None), Ok(Actor::Driver));
        assert_eq!(certified.rider("ada".to_owned()), Err(Denied::NotYou));
        let mut ride = requested_by("ada");
        assert!(!certified.sees(&ride));
        ride.crew = Some(crew(7));
        assert!(certified.sees(&ride));
    }

    #[test]
    fn a_token_beside_a_certificate_is_of_the_same_car() {
        let Principal::Proven(seven) = driver_of(7) else { panic!("a token") };
        let both = |session: &Session, certified| Principal::of(Some(session.clone()), certified);
        assert_eq!(both(&seven, Some(car(7))), Ok(Principal::Proven(seven.clone())));
        assert_eq!(both(&seven, Some(car(8))), Err(Denied::NotYourCar));
        for role in [Role::Rider, Role::Dispatcher] {
            let session = Session::new(role, "eve", SystemTime::UNIX_EPOCH);
            assert_eq!(both(&session, Some(car(7))), Err(Denied::NotYourCar));
        }
    }

    #[test]
    fn nobody_acts_as_another() {
        let (ada, driver) = (proven(Role::Rider, "ada"), driver_of(7));
        assert_eq!((ada.actor(None), driver.actor(None)), (Ok(Actor::Rider), Ok(Actor::Driver)));
        assert_eq!(driver.actor(Some(Actor::Driver)), Ok(Actor::Driver));
        for claimed in [Actor::Driver, Actor::Dispatcher] {
            assert_eq!(ada.actor(Some(claimed)), Err(Denied::NotYou));
            assert!(trusted().iter().all(|who| who.actor(Some(claimed)) == Ok(claimed)));
        }
        let [unproven, dispatcher] = trusted();
        assert_eq!((unproven.actor(None), dispatcher.actor(None)), (Ok(Actor::Rider), Ok(Actor::Dispatcher)));
    }

    #[test]
    fn a_ride_is_its_riders_and_its_cars() {
        let mut ride = requested_by("ada");
        let (ada, bob) = (proven(Role::Rider, "ada"), proven(Role::Rider, "bob"));
        assert!(ada.sees(&ride) && !bob.sees(&ride) && !driver_of(7).sees(&ride));
        assert!(trusted().iter().all(|who| who.sees(&ride)));

        ride.crew = Some(crew(7));
        assert!(driver_of(7).sees(&ride) && !driver_of(8).sees(&ride));
        ride.passed_over = vec![car(8)];
        assert!(driver_of(8).was_asked(&ride) && !driver_of(8).sees(&ride) && !driver_of(9).was_asked(&ride));
    }
}
