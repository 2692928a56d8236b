//! `Fleet.Drive`: one car's working day.
//!
//! What the driver says becomes reports to the fleet and commands to the rides; what comes of it reaches the
//! driver as orders, the same way as everything else that happens to its ride. Only refusals are answered
//! here, and commands that took effect before, of which no order comes.

mod down;
mod said;

use std::{
    ops::ControlFlow,
    time::{Duration, SystemTime},
};

use futures_util::future::{Ready, ready};
use rides_proto::{
    ids::{CarId, RideId},
    v1::{DriveRequest, DriveResponse},
};
use tokio::time::{sleep_until, timeout};
use tonic::{Code, Request, Response, Status, Streaming, server::StreamingService};

use self::{
    down::{Down, Responses},
    said::{Deed, Said, SignOn},
};
use super::{principal::principal, status, trip};
use crate::{
    access::Principal,
    dispatch,
    fleet::{CarLink, Fleet, LinkId, Order, Report},
    rides::{
        RideError, Rides,
        machine::{Command, Refusal},
        model::Ride,
    },
};

/// A stream that says nothing for this long is no driver.
const SIGN_ON_WITHIN: Duration = Duration::from_secs(10);
/// A driver to whom nothing was said for this long gets a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The handler of `Fleet.Drive`.
#[derive(Clone)]
pub struct Drive {
    fleet: Fleet,
    rides: Rides,
}

impl StreamingService<DriveRequest> for Drive {
    type Response = DriveResponse;
    type ResponseStream = Responses;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    /// Answers at once, before the driver has said anything: many clients send only when they have headers.
    fn call(&mut self, request: Request<Streaming<DriveRequest>>) -> Self::Future {
        let (mut down, responses) = Down::open();
        let drive = self.clone();
        tokio::spawn(async move {
            let ending = match principal(&request) {
                Ok(driver) => drive.run(driver, request.into_inner(), &mut down).await,
                Err(unknown) => Err(unknown),
            };
            down.end(ending);
        });
        ready(Ok(Response::new(responses)))
    }
}

/// One driver, signed on.
struct Shift {
    driver: Principal,
    car: CarId,
    link: LinkId,
    fleet: Fleet,
    rides: Rides,
}

impl Drive {
    /// A handler that tells `fleet` where cars are, and `rides` what drivers do.
    pub fn new(fleet: Fleet, rides: Rides) -> Self {
        Self { fleet, rides }
    }

    /// The whole stream. `Ok`: the driver signed off.
    async fn run(
        self,
        driver: Principal,
        mut up: Streaming<DriveRequest>,
        down: &mut Down,
    ) -> Result<(), Status> {
        let SignOn { crew, at } = first(&mut up, down, &driver).await?;
        driver.crew(&crew)?;
        let car = crew.car;
        let link = self.fleet.sign_on(crew, at).await?;
        let shift = Shift { driver, car, link: link.link, fleet: self.fleet, rides: self.rides };
        let ending = shift.work(link, &mut up, down).await;
        match ending {
            Ok(()) => shift.fleet.sign_off(car, shift.link).await?,
            Err(_) => shift.fleet.link_lost(car, shift.link).await?,
        }
        ending
    }
}

impl Shift {
    /// From sign-on to the end of the stream.
    async fn work(
        &self,
        CarLink { number, mut orders, .. }: CarLink,
        up: &mut Streaming<DriveRequest>,
        down: &mut Down,
    ) -> Result<(), Status> {
        let ride = dispatch::take_up(&self.rides, &self.fleet, self.car).await?;
        down.signed_on(number.0, ride)?;
        loop {
            let heartbeat_at = down.last_sent() + HEARTBEAT;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => down.order(order)?,
                    None => return Err(down::not_reading()),
                },
                message = up.message() => match message.map_err(unreadable)? {
                    Some(message) => {
                        let said = Said::read(message, &self.driver, SystemTime::now())?;
                        if self.apply(said, down).await?.is_break() {
                            return Ok(());
                        }
                    }
                    None => return Err(not_signed_off()),
                },
                () = down.closed() => return Err(down::gone()),
                () = sleep_until(heartbeat_at) => down.heartbeat()?,
            }
        }
    }

    /// Does what the driver says; answers what cannot be done and what was done before. Breaks off when the driver signs
    /// off.
    async fn apply(&self, said: Said, down: &mut Down) -> Result<ControlFlow<()>, Status> {
        match said {
            Said::Position { at, heading_deg, time } => {
                self.fleet.report(vec![Report { car: self.car, at, heading_deg, time }]).await?;
            }
            Said::Duty(on_duty) => self.fleet.set_duty(self.car, self.link, on_duty).await?,
            Said::Of(ride, deed) => match self.command(&ride, deed).await.map_err(Status::from) {
                Ok(None) => {}
                Ok(Some(ride)) => down.order(Order::Update(ride))?,
                // Of what is only put off the driver would never hear again. On their next stream they do.
                Err(not_now) if not_now.code() == Code::Unavailable => return Err(not_now),
                Err(refused) => down.refused(ride.as_str(), &refused)?,
            },
            Said::SignOn(_) => down.refused("", &signed_on_already())?,
            Said::SignOff => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// `None`: it happens now, and the driver hears of it as an order. Otherwise it took effect before, and this is the
    /// ride as it is.
    async fn command(&self, ride: &RideId, deed: Deed) -> Result<Option<Ride>, RideError> {
        let car = self.car;
        let before = self.rides.get(ride).await?;
        if self.driver.only_car().is_some() && !self.driver.was_asked(&before) {
            return Err(RideError::NotFound);
        }
        // A ride that the car has left already cannot be declined or given back, whatever happens to it meanwhile.
        let has_left = matches!(deed, Deed::Decline | Deed::GiveBack { .. }) && before.held_by() != Some(car);
        let command = match deed {
            Deed::Accept => Command::Accept { car },
            Deed::Decline => Command::Decline { car },
            Deed::Arrive => Command::Arrive { car },
            Deed::PickUp => Command::PickUp { car },
            Deed::GiveBack { reason } => Command::GiveBack { car, reason },
            Deed::DropOff => {
                let now = SystemTime::now();
                let after = trip::end_trip(&self.rides, &self.fleet, ride, Some(car), None, now).await?;
                return Ok(unchanged(&before, after));
            }
        };
        let after = self.rides.command(ride, command).await?;
        match has_left {
            true => Err(RideError::Refused(Refusal::PassedOver)),
            false => Ok(unchanged(&before, after)),
        }
    }
}

/// The ride after a command that changed nothing.
fn unchanged(before: &Ride, after: Ride) -> Option<Ride> {
    (after.version == before.version).then_some(after)
}

/// The first message, which must be SignOn.
async fn first(up: &mut Streaming<DriveRequest>, down: &Down, driver: &Principal) -> Result<SignOn, Status> {
    let message = tokio::select! {
        message = timeout(SIGN_ON_WITHIN, up.message()) => message.map_err(|_elapsed| not_signed_on())?,
        () = down.closed() => return Err(down::gone()),
    };
    let message = message.map_err(unreadable)?.ok_or_else(not_signed_on)?;
    match Said::read(message, driver, SystemTime::now())? {
        Said::SignOn(sign_on) => Ok(sign_on),
        _ => Err(not_signed_on()),
    }
}

/// What cannot be decoded is the sender's fault; tonic calls it INTERNAL.
fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::Internal => status::with_reason(Code::InvalidArgument, status::MALFORMED, status.message()),
        _ => status,
    }
}

fn not_signed_on() -> Status {
    status::with_reason(Code::FailedPrecondition, "NOT_SIGNED_ON", "the first message must be sign_on")
}

fn not_signed_off() -> Status {
    status::with_reason(Code::Cancelled, "NOT_SIGNED_OFF", "the stream ended without sign_off")
}

fn signed_on_already() -> Status {
    let message = "this stream has signed on already";
    status::with_reason(Code::FailedPrecondition, "ALREADY_SIGNED_ON", message)
}

#[cfg(test)]
mod tests;
