//! The rides and cars that a caller may use. A dispatcher may use all, and so may a caller that needs no token.

use rides_proto::ids::CarId;
use thiserror::Error;

use super::Principal;
use crate::{
    rides::model::{Actor, CarAndDriver, Ride},
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
    pub fn new(session: Option<Session>, certified: Option<CarId>) -> Result<Self, Denied> {
        match (session, certified) {
            (None, None) => Ok(Self::Anonymous),
            (None, Some(car)) => Ok(Self::Certificate(car)),
            (Some(session), Some(car)) if session.car != Some(car) => Err(Denied::NotYourCar),
            (Some(session), _) => Ok(Self::Authenticated(session)),
        }
    }

    /// Returns the rider of a request that names the rider `claimed`, which may be empty. A rider's request is always
    /// for the rider of the token.
    ///
    /// # Errors
    /// [`Denied::NotYou`] if the caller may not act for that rider.
    pub fn authorize_rider(&self, claimed: String) -> Result<String, Denied> {
        match self {
            Self::Authenticated(Session { role: Role::Rider, subject, .. }) => {
                let own = claimed.is_empty() || claimed == *subject;
                if own { Ok(subject.clone()) } else { Err(Denied::NotYou) }
            }
            _ if self.may_act_for_all() => Ok(claimed),
            _ => Err(Denied::NotYou),
        }
    }

    /// Returns the caller's name: the subject of the token, or `claimed` without a token.
    pub fn name<'a>(&'a self, claimed: &'a str) -> &'a str {
        self.session().map_or(claimed, |session| &session.subject)
    }

    /// Checks that the caller may act as `authorize_crew`. A client certificate permits each driver of its car.
    ///
    /// # Errors
    /// The reason why the caller may not.
    pub fn authorize_crew(&self, crew: &CarAndDriver) -> Result<(), Denied> {
        self.authorize_car(crew.car)?;
        match self {
            Self::Authenticated(session)
                if session.role == Role::Driver && session.subject != crew.driver =>
            {
                Err(Denied::NotYou)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the caller may act for `authorize_car`.
    ///
    /// # Errors
    /// [`Denied::NotYourCar`] if the caller may not.
    pub fn authorize_car(&self, car: CarId) -> Result<(), Denied> {
        if self.may_act_for_all() || self.only_car() == Some(car) { Ok(()) } else { Err(Denied::NotYourCar) }
    }

    /// Returns the car of the caller's token or certificate. `None`: neither names a car.
    pub fn only_car(&self) -> Option<CarId> {
        match self {
            Self::Anonymous => None,
            Self::Certificate(car) => Some(*car),
            Self::Authenticated(session) => session.car,
        }
    }

    /// Returns the role in which the caller acts: `claimed`, or by default the caller's own.
    ///
    /// # Errors
    /// [`Denied::NotYou`] if the caller may not act in the role `claimed`.
    pub fn authorize_actor(&self, claimed: Option<Actor>) -> Result<Actor, Denied> {
        let own = match self.role() {
            None | Some(Role::Rider) => Actor::Rider,
            Some(Role::Driver) => Actor::Driver,
            Some(Role::Dispatcher) => Actor::Dispatcher,
        };
        let actor = claimed.unwrap_or(own);
        if actor == own || self.may_act_for_all() { Ok(actor) } else { Err(Denied::NotYou) }
    }

    fn may_act_for_all(&self) -> bool {
        matches!(self.role(), None | Some(Role::Dispatcher))
    }

    /// Returns `true` if the caller may know that `ride` exists. Riders see their own rides. Drivers see the ride that
    /// their car has or is offered.
    pub fn can_see(&self, ride: &Ride) -> bool {
        match self {
            Self::Authenticated(Session { role: Role::Rider, subject, .. }) => ride.booking.rider == *subject,
            _ => {
                self.may_act_for_all()
                    || ride.crew.as_ref().is_some_and(|crew| self.only_car() == Some(crew.car))
            }
        }
    }

    /// Returns `true` if a driver may name `ride` in a request: the ride is visible to the driver, or was offered to
    /// the car before.
    pub fn was_offered(&self, ride: &Ride) -> bool {
        self.can_see(ride) || self.only_car().is_some_and(|car| ride.passed_over.contains(&car))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use rides_proto::ids::RideId;

    use super::*;
    use crate::rides::{
        model::{RideState, TripSummary},
        testing::{booking, car, crew, noon},
    };

    fn proven(role: Role, subject: &str) -> Principal {
        Principal::Authenticated(Session::new(role, subject, SystemTime::UNIX_EPOCH))
    }

    fn driver_of(n: u8) -> Principal {
        let CarAndDriver { car, driver } = crew(n);
        Principal::Authenticated(Session::of_driver(&driver, car, SystemTime::UNIX_EPOCH))
    }

    fn requested_by(rider: &str) -> Ride {
        Ride {
            id: RideId::new("ride"),
            version: 1,
            state: RideState::Requested,
            booking: Arc::new(booking(rider)),
            crew: None,
            passed_over: Vec::new(),
            figures: TripSummary::default(),
            requested_at: noon(),
            started_at: None,
            updated_at: noon(),
            offer: None,
            cancelled: None,
        }
    }

    /// The callers that may use all rides and cars.
    fn trusted() -> [Principal; 2] {
        [Principal::Anonymous, proven(Role::Dispatcher, "eve")]
    }

    #[test]
    fn riders_book_and_list_for_themselves() {
        let ada = proven(Role::Rider, "ada");
        for (claimed, expected) in [("", Ok("ada")), ("ada", Ok("ada")), ("bob", Err(Denied::NotYou))] {
            assert_eq!(ada.authorize_rider(claimed.to_owned()), expected.map(str::to_owned));
            assert!(
                trusted().iter().all(|who| who.authorize_rider(claimed.to_owned()).as_deref() == Ok(claimed))
            );
        }
        assert_eq!(driver_of(7).authorize_rider(String::new()), Err(Denied::NotYou));
    }

    #[test]
    fn drivers_speak_for_their_own_car_and_in_their_own_name() {
        let driver = driver_of(7);
        assert_eq!(
            (driver.authorize_car(car(7)), driver.authorize_car(car(8))),
            (Ok(()), Err(Denied::NotYourCar))
        );
        assert_eq!(
            (driver.authorize_crew(&crew(7)), driver.authorize_crew(&crew(8))),
            (Ok(()), Err(Denied::NotYourCar))
        );
        let another = CarAndDriver { driver: "another".to_owned(), ..crew(7) };
        assert_eq!(driver.authorize_crew(&another), Err(Denied::NotYou));
        assert_eq!(proven(Role::Rider, "ada").authorize_car(car(7)), Err(Denied::NotYourCar));
        assert!(trusted().iter().all(|who| who.authorize_crew(&another).is_ok() && who.only_car().is_none()));
        assert_eq!(driver.only_car(), Some(car(7)));
    }

    #[test]
    fn a_certificate_is_a_driver_of_its_car_under_any_name() {
        let certified = Principal::new(None, Some(car(7))).unwrap();
        assert_eq!((certified.role(), certified.only_car()), (Some(Role::Driver), Some(car(7))));
        let another = CarAndDriver { driver: "another".to_owned(), ..crew(7) };
        assert_eq!(
            (certified.authorize_crew(&another), certified.authorize_crew(&crew(8))),
            (Ok(()), Err(Denied::NotYourCar))
        );
        assert_eq!(certified.authorize_actor(None), Ok(Actor::Driver));
        assert_eq!(certified.authorize_rider("ada".to_owned()), Err(Denied::NotYou));
        let mut ride = requested_by("ada");
        assert!(!certified.can_see(&ride));
        ride.crew = Some(crew(7));
        assert!(certified.can_see(&ride));
    }

    #[test]
    fn a_token_beside_a_certificate_is_of_the_same_car() {
        let Principal::Authenticated(seven) = driver_of(7) else { panic!("a token") };
        let both = |session: &Session, certified| Principal::new(Some(session.clone()), certified);
        assert_eq!(both(&seven, Some(car(7))), Ok(Principal::Authenticated(seven.clone())));
        assert_eq!(both(&seven, Some(car(8))), Err(Denied::NotYourCar));
        for role in [Role::Rider, Role::Dispatcher] {
            let session = Session::new(role, "eve", SystemTime::UNIX_EPOCH);
            assert_eq!(both(&session, Some(car(7))), Err(Denied::NotYourCar));
        }
    }

    #[test]
    fn nobody_acts_as_another() {
        let (ada, driver) = (proven(Role::Rider, "ada"), driver_of(7));
        assert_eq!(
            (ada.authorize_actor(None), driver.authorize_actor(None)),
            (Ok(Actor::Rider), Ok(Actor::Driver))
        );
        assert_eq!(driver.authorize_actor(Some(Actor::Driver)), Ok(Actor::Driver));
        for claimed in [Actor::Driver, Actor::Dispatcher] {
            assert_eq!(ada.authorize_actor(Some(claimed)), Err(Denied::NotYou));
            assert!(trusted().iter().all(|who| who.authorize_actor(Some(claimed)) == Ok(claimed)));
        }
        let [unproven, dispatcher] = trusted();
        assert_eq!(
            (unproven.authorize_actor(None), dispatcher.authorize_actor(None)),
            (Ok(Actor::Rider), Ok(Actor::Dispatcher))
        );
    }

    #[test]
    fn a_ride_is_its_riders_and_its_cars() {
        let mut ride = requested_by("ada");
        let (ada, bob) = (proven(Role::Rider, "ada"), proven(Role::Rider, "bob"));
        assert!(ada.can_see(&ride) && !bob.can_see(&ride) && !driver_of(7).can_see(&ride));
        assert!(trusted().iter().all(|who| who.can_see(&ride)));

        ride.crew = Some(crew(7));
        assert!(driver_of(7).can_see(&ride) && !driver_of(8).can_see(&ride));
        ride.passed_over = vec![car(8)];
        assert!(
            driver_of(8).was_offered(&ride)
                && !driver_of(8).can_see(&ride)
                && !driver_of(9).was_offered(&ride)
        );
    }
}
