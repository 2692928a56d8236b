//! Whose things a caller may touch. A dispatcher may touch everyone's, and so may whoever need not prove who they are.

use rides_proto::ids::CarId;
use thiserror::Error;

use super::Principal;
use crate::{
    rides::model::{Actor, Crew, Ride},
    sessions::Role,
};

/// Why a caller may not.
#[derive(Clone, Copy, PartialEq, Eq, Error, Debug)]
pub enum Denied {
    /// The request is in somebody else's name.
    #[error("the token says that you are somebody else")]
    NotYou,
    /// The request is of a car that the caller does not drive.
    #[error("the token is not for this car")]
    NotYourCar,
}

impl Principal {
    /// Whose rides a request is about that names `claimed`, or nobody: a rider's are their own.
    pub fn rider(&self, claimed: String) -> Result<String, Denied> {
        match self {
            Self::Proven(session) if session.role != Role::Dispatcher => {
                let own = session.role == Role::Rider && (claimed.is_empty() || claimed == session.subject);
                if own { Ok(session.subject.clone()) } else { Err(Denied::NotYou) }
            }
            _ => Ok(claimed),
        }
    }

    /// Whether the caller may act as `crew`.
    pub fn crew(&self, crew: &Crew) -> Result<(), Denied> {
        self.car(crew.car)?;
        match self {
            Self::Proven(session) if session.role == Role::Driver && session.subject != crew.driver => {
                Err(Denied::NotYou)
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller may speak for `car`.
    pub fn car(&self, car: CarId) -> Result<(), Denied> {
        match self {
            Self::Proven(session) if session.role != Role::Dispatcher && session.car != Some(car) => {
                Err(Denied::NotYourCar)
            }
            _ => Ok(()),
        }
    }

    /// The one car that the caller may speak for. `None`: any.
    pub fn only_car(&self) -> Option<CarId> {
        self.session().and_then(|session| session.car)
    }

    /// As whom the caller acts who claims to be `claimed`, or says nothing.
    pub fn actor(&self, claimed: Option<Actor>) -> Result<Actor, Denied> {
        let own = match self.session().map(|session| session.role) {
            None | Some(Role::Rider) => Actor::Rider,
            Some(Role::Driver) => Actor::Driver,
            Some(Role::Dispatcher) => Actor::Dispatcher,
        };
        match self {
            Self::Proven(session) if session.role != Role::Dispatcher => {
                claimed.is_none_or(|claimed| claimed == own).then_some(own).ok_or(Denied::NotYou)
            }
            _ => Ok(claimed.unwrap_or(own)),
        }
    }

    /// Whether the caller may know that `ride` exists: riders have theirs, drivers what their car has or is offered.
    pub fn sees(&self, ride: &Ride) -> bool {
        let Self::Proven(session) = self else { return true };
        match session.role {
            Role::Rider => ride.booking.rider == session.subject,
            Role::Driver => ride.crew.as_ref().is_some_and(|crew| session.car == Some(crew.car)),
            Role::Dispatcher => true,
        }
    }

    /// Whether a driver may name `ride` in an order: it is theirs, or was offered to them.
    pub fn was_asked(&self, ride: &Ride) -> bool {
        self.sees(ride) || self.only_car().is_some_and(|car| ride.passed_over.contains(&car))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use rides_proto::ids::RideId;

    use super::*;
    use crate::{
        rides::{
            model::{Figures, RideState},
            testing::{booking, car, crew, noon},
        },
        sessions::Session,
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

    /// Those who may touch what is everyone's.
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
