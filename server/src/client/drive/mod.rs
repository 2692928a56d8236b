//! The subcommand `drive`: one car that is driven from a terminal.

mod driver_state;
mod path;

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rides_proto::{
    convert::unpack_path,
    geo::LatLng,
    v1::{
        DriveResponse, QuoteRequest, Role, WhoAmIRequest, drive_request::SignOn, fleet_client::FleetClient,
        rides_client::RidesClient, sessions_client::SessionsClient,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin, stdin},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::driver_state::{DriverState, Effect};
use super::{
    args::DriveArgs,
    output::Output,
    servers::{Servers, end_reason},
};
use crate::{
    server_connection::{DriveSender, DriveStream, backoff},
    signals::StopSignals,
};

/// The interval between two positions.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Drives until the last ride is done or a signal arrives. If the stream breaks, it is opened again, and the car
/// continues its ride. Fails if the first stream cannot be opened, or if a later error cannot be retried.
pub(super) async fn drive(driving: DriveArgs, servers: &Servers, output: &Output) -> anyhow::Result<()> {
    let home = on_signal()?;
    let (car_id, driver_id) = car_and_driver(&driving, servers).await?;
    let at = LatLng::try_from(driving.at.locate(servers).await?)?;
    let mut car = Car {
        sign_on: SignOn { car_id, driver_id, location: None },
        shift: DriverState::new(at, driving.speed / 3.6, driving.ask, driving.rides),
        began: Instant::now(),
        planning: None,
        typed: driving.ask.then(|| BufReader::new(stdin()).lines()),
        servers,
        output,
        shutdown: home,
    };
    let mut attempt = 0;
    loop {
        let Err(error) = car.work(&mut attempt).await else { return Ok(()) };
        let status =
            error.downcast_ref::<Status>().filter(|status| car.has_begun() && servers.may_resume(status));
        let Some(status) = status else { return Err(error) };
        attempt += 1;
        let what = format!("{}; retrying", end_reason(status));
        if attempt == 1 {
            output.note(&what);
        }
        output.set_status(what);
        let wait = sleep(backoff(attempt, status, &mut rand::rng()));
        if car.shutdown.run_until_cancelled(wait).await.is_none() {
            return Ok(());
        }
    }
}

/// Returns a token that is cancelled by a signal.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut stop = StopSignals::listen().context("cannot listen for signals")?;
    let home = CancellationToken::new();
    let told = home.clone();
    tokio::spawn(async move {
        stop.next().await;
        told.cancel();
    });
    Ok(home)
}

/// Returns the ids of the car and of its driver: those of the arguments, otherwise those of the token. Fails if the
/// id of the car is in neither.
async fn car_and_driver(driving: &DriveArgs, servers: &Servers) -> anyhow::Result<(i64, String)> {
    let session = match servers.have_token() {
        true => {
            let ask = async |channel, request| SessionsClient::new(channel).who_am_i(request).await;
            servers
                .unary(WhoAmIRequest {}, ask)
                .await?
                .session
                .filter(|session| session.role() == Role::Driver)
        }
        false => None,
    };
    let named = session.as_ref().map(|session| session.car_id).filter(|id| *id > 0);
    let car_id = driving.car.map(|car| car.get()).or(named).context("no car is given: use --car ID")?;
    let driver_id = driving.driver.clone().or(session.map(|session| session.subject));
    Ok((car_id, driver_id.unwrap_or_else(|| format!("driver-{car_id}"))))
}

/// The search for a route. Its result is the points of the route and the destination that was searched for.
type RouteSearch = LocalBoxFuture<'static, (Vec<LatLng>, LatLng)>;

/// The car with its connection to the server and to the terminal.
struct Car<'a> {
    sign_on: SignOn,
    shift: DriverState,
    began: Instant,
    /// The search for a route that is under way.
    planning: Option<RouteSearch>,
    /// The lines that the driver types. `None` if the driver is not to be asked, or stdin has ended.
    typed: Option<Lines<BufReader<Stdin>>>,
    servers: &'a Servers,
    output: &'a Output,
    /// Cancelled when the car is to sign off.
    shutdown: CancellationToken,
}

impl Car<'_> {
    /// Returns `true` if a stream has been open.
    fn has_begun(&self) -> bool {
        self.sign_on.location.is_some()
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Opens one stream and serves it to its end. Returns `Ok` if the car signed off. Resets `attempt` when the
    /// stream has delivered a message.
    async fn work(&mut self, attempt: &mut u32) -> anyhow::Result<()> {
        let mut line = self.connect().await?;
        let mut reports = interval(REPORT_EVERY);
        reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let todo = tokio::select! {
                _ = reports.tick() => {
                    let now = self.now();
                    self.output.set_status(self.shift.status_line(now));
                    self.shift.step(now)
                }
                answer = line.receive() => {
                    let answer = answer?;
                    // The stream works, so the next backoff starts from the beginning.
                    *attempt = 0;
                    self.hear(answer)?
                }
                (way, to) = planned(&mut self.planning) => {
                    self.shift.set_route(way, to, self.now());
                    Vec::new()
                }
                yes = answered(&mut self.typed) => self.shift.reply(yes).into_iter().collect(),
                () = self.shutdown.cancelled() => vec![Effect::SignOff],
            };
            for todo in todo {
                match todo {
                    Effect::Send(message) => line.send(message).await,
                    Effect::Print(text) => self.tell(&text)?,
                    Effect::FindRoute { from, to } => {
                        self.planning = Some(plan(self.servers.clone(), from, to).boxed_local());
                    }
                    Effect::SignOff => {
                        line.sign_off().await?;
                        return Ok(self.tell("signed off")?);
                    }
                }
            }
        }
    }

    /// Opens a stream, with the sign-on as its first message.
    async fn connect(&mut self) -> Result<DriveStream, Status> {
        let location = Some(self.shift.pose(self.now()).at.into());
        let sign_on = SignOn { location, ..self.sign_on.clone() };
        let mut outbox = None;
        let requests = || {
            let (first, requests) = DriveSender::new(sign_on.clone());
            outbox = Some(first);
            requests
        };
        let open = async |channel, request| FleetClient::new(channel).drive(request).await;
        let answers = self.servers.open(requests, open).await?;
        let outbox = outbox.ok_or_else(|| Status::internal("the stream was opened without a request"))?;
        self.sign_on = sign_on;
        Ok(outbox.open(answers))
    }

    fn hear(&mut self, answer: DriveResponse) -> anyhow::Result<Vec<Effect>> {
        if self.output.is_json() {
            self.output.message("DriveResponse", &answer)?;
        }
        let now = self.now();
        Ok(answer.message.map(|message| self.shift.handle(message, now)).unwrap_or_default())
    }

    fn tell(&self, text: &str) -> std::io::Result<()> {
        if self.output.is_json() { Ok(()) } else { self.output.print(text) }
    }
}

/// Finds a route, which is that of a quote. Without one the points are empty, and the car drives in a straight line.
async fn plan(servers: Servers, from: LatLng, to: LatLng) -> (Vec<LatLng>, LatLng) {
    let request =
        QuoteRequest { pickup: Some(from.into()), dropoff: Some(to.into()), ..QuoteRequest::default() };
    let ask = async |channel, request| RidesClient::new(channel).quote(request).await;
    let route = servers.unary(request, ask).await.ok().and_then(|quote| quote.route);
    (route.and_then(|route| unpack_path(&route)).unwrap_or_default(), to)
}

/// Waits for the result of the search for a route. Never returns if there is no search.
async fn planned(planning: &mut Option<RouteSearch>) -> (Vec<LatLng>, LatLng) {
    let Some(way) = planning else { return std::future::pending().await };
    let way = way.await;
    *planning = None;
    way
}

/// Waits until the driver has typed yes or no. The end of stdin counts as no. Never returns if the driver is not asked.
async fn answered(typed: &mut Option<Lines<BufReader<Stdin>>>) -> bool {
    let Some(lines) = typed else { return std::future::pending().await };
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(yes) = is_yes(&line) {
            return yes;
        }
    }
    *typed = None;
    false
}

/// Parses yes or no. Returns `None` for other text, for example an empty line.
fn is_yes(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_alone_is_no_answer() {
        assert_eq!([" Y\n", "yes"].map(is_yes), [Some(true); 2]);
        assert_eq!(["n", "No "].map(is_yes), [Some(false); 2]);
        assert_eq!(["", " \n", "maybe"].map(is_yes), [None; 3]);
    }
}
