//! The implementation of `Fleet.DriveHandler`, the stream of one driver.
//!
//! Messages of the driver become reports to the fleet and commands to the rides. The effects of a command reach the
//! driver as orders of the fleet, like all other changes of its ride. This module itself responds only to a refused
//! command, and to one that had taken effect before, since neither causes an order.

mod driver_message;
mod sender;

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
    driver_message::{DriverMessage, RideAction, SignOn},
    sender::{DriverSender, Responses},
};
use super::{principal::principal, status, trip};
use crate::{
    access::Principal,
    dispatch,
    fleet::{DriverConnection, DriverConnectionId, Fleet, Order, PositionReport},
    rides::{
        RideError, Rides,
        machine::{Command, Refusal},
        model::Ride,
    },
};
use grpc_edge::error::MALFORMED;

/// The time that a new stream has to send `sign_on`.
const SIGN_ON_WITHIN: Duration = Duration::from_secs(10);
/// The interval without other messages after which the driver gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The handler of `Fleet.DriveHandler`.
#[derive(Clone)]
pub struct DriveHandler {
    fleet: Fleet,
    rides: Rides,
}

impl StreamingService<DriveRequest> for DriveHandler {
    type Response = DriveResponse;
    type ResponseStream = Responses;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    /// Responds with headers at once, before the first message of the driver. Many clients send nothing until they have
    /// received headers.
    fn call(&mut self, request: Request<Streaming<DriveRequest>>) -> Self::Future {
        let (mut down, responses) = DriverSender::open();
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

/// The stream of a driver that has signed on.
struct DriverSession {
    driver: Principal,
    car: CarId,
    link: DriverConnectionId,
    fleet: Fleet,
    rides: Rides,
}

impl DriveHandler {
    /// Makes a handler that reports positions to `fleet` and sends the commands of drivers to `rides`.
    pub fn new(fleet: Fleet, rides: Rides) -> Self {
        Self { fleet, rides }
    }

    /// Serves the stream to its end. Returns `Ok` if the driver signed off, and otherwise the status of the stream.
    async fn run(
        self,
        driver: Principal,
        mut up: Streaming<DriveRequest>,
        down: &mut DriverSender,
    ) -> Result<(), Status> {
        let SignOn { crew, at } = first(&mut up, down, &driver).await?;
        driver.authorize_crew(&crew)?;
        let car = crew.car;
        let link = self.fleet.sign_on(crew, at).await?;
        let shift = DriverSession { driver, car, link: link.link, fleet: self.fleet, rides: self.rides };
        let ending = shift.work(link, &mut up, down).await;
        match ending {
            Ok(()) => shift.fleet.sign_off(car, shift.link).await?,
            Err(_) => shift.fleet.link_lost(car, shift.link).await?,
        }
        ending
    }
}

impl DriverSession {
    /// Serves the stream from sign-on to its end.
    async fn work(
        &self,
        DriverConnection { number, mut orders, .. }: DriverConnection,
        up: &mut Streaming<DriveRequest>,
        down: &mut DriverSender,
    ) -> Result<(), Status> {
        let ride = dispatch::resume_ride(&self.rides, &self.fleet, self.car).await?;
        down.signed_on(number.0, ride)?;
        loop {
            let heartbeat_at = down.last_sent() + HEARTBEAT;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => down.order(order)?,
                    None => return Err(sender::not_reading()),
                },
                message = up.message() => match message.map_err(unreadable)? {
                    Some(message) => {
                        let said = DriverMessage::read(message, &self.driver, SystemTime::now())?;
                        if self.apply(said, down).await?.is_break() {
                            return Ok(());
                        }
                    }
                    None => return Err(not_signed_off()),
                },
                () = down.closed() => return Err(sender::gone()),
                () = sleep_until(heartbeat_at) => down.heartbeat()?,
            }
        }
    }

    /// Applies one message. Responds to a command that is refused or had taken effect before. Returns `Break` when the
    /// driver signs off.
    async fn apply(&self, said: DriverMessage, down: &mut DriverSender) -> Result<ControlFlow<()>, Status> {
        match said {
            DriverMessage::Position { at, heading_deg, time } => {
                self.fleet.report(vec![PositionReport { car: self.car, at, heading_deg, time }]).await?;
            }
            DriverMessage::Duty(on_duty) => self.fleet.set_duty(self.car, self.link, on_duty).await?,
            DriverMessage::Ride(ride, deed) => match self.command(&ride, deed).await.map_err(Status::from) {
                Ok(None) => {}
                Ok(Some(ride)) => down.order(Order::Update(ride))?,
                // Ends the stream: the driver would never learn the outcome of a command that failed only for now. The
                // next stream of the driver begins with the state of its ride.
                Err(not_now) if not_now.code() == Code::Unavailable => return Err(not_now),
                Err(refused) => down.refused(ride.as_str(), &refused)?,
            },
            DriverMessage::SignOn(_) => down.refused("", &signed_on_already())?,
            DriverMessage::SignOff => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Sends a command of the driver to the rides. Returns `None` if it takes effect now; the driver then gets an
    /// order. Returns the ride if the command had taken effect before.
    async fn command(&self, ride: &RideId, deed: RideAction) -> Result<Option<Ride>, RideError> {
        let car = self.car;
        let before = self.rides.get(ride).await?;
        if self.driver.only_car().is_some() && !self.driver.was_offered(&before) {
            return Err(RideError::NotFound);
        }
        // A car that does not have the ride any more cannot decline it or give it back. Decided by the state before the
        // command: the rides task accepts a repeated command, and the ride may have changed in between.
        let has_left = matches!(deed, RideAction::Decline | RideAction::GiveBack { .. })
            && before.current_car() != Some(car);
        let command = match deed {
            RideAction::Accept => Command::Accept { car },
            RideAction::Decline => Command::Decline { car },
            RideAction::Arrive => Command::Arrive { car },
            RideAction::PickUp => Command::PickUp { car },
            RideAction::GiveBack { reason } => Command::GiveBack { car, reason },
            RideAction::DropOff => {
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

/// Returns the ride if the command between `before` and `after` changed nothing.
fn unchanged(before: &Ride, after: Ride) -> Option<Ride> {
    (after.version == before.version).then_some(after)
}

/// Reads the first message. Fails if it is not `sign_on`, or does not arrive within [`SIGN_ON_WITHIN`].
async fn first(
    up: &mut Streaming<DriveRequest>,
    down: &DriverSender,
    driver: &Principal,
) -> Result<SignOn, Status> {
    let message = tokio::select! {
        message = timeout(SIGN_ON_WITHIN, up.message()) => message.map_err(|_elapsed| not_signed_on())?,
        () = down.closed() => return Err(sender::gone()),
    };
    let message = message.map_err(unreadable)?.ok_or_else(not_signed_on)?;
    match DriverMessage::read(message, driver, SystemTime::now())? {
        DriverMessage::SignOn(sign_on) => Ok(sign_on),
        _ => Err(not_signed_on()),
    }
}

/// Returns the status for a message that cannot be decoded: INVALID_ARGUMENT in place of tonic's INTERNAL, because the
/// client is at fault.
fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::Internal => status::with_reason(Code::InvalidArgument, MALFORMED, status.message()),
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
    let message = "this stream has already signed on";
    status::with_reason(Code::FailedPrecondition, "ALREADY_SIGNED_ON", message)
}

#[cfg(test)]
mod tests;
