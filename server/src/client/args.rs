//! What a person may say to the client: its commands and their flags.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{FalseyValueParser, NonEmptyStringValueParser},
};
use rides_proto::{geo::Bounds, ids::CarId, v1};

use super::place::{self, Place};

/// What the exit codes mean, for `--help`.
pub const EXIT_CODES: &str = "\
Places are points like 60.17,24.94 or names of streets.

A token is read from --token-file or from the variable RIDES_TOKEN, and never from the command line, which others can see.

With --json, what the server answers is printed as it is, in proto3 JSON, one object a line.

Exit codes:
  0       done
  1       it could not be done here: no such street, no such file
  2       the command line is wrong
  64 + n  the server's answer is an error, with gRPC status n:
            67 INVALID_ARGUMENT     71 PERMISSION_DENIED    78 UNAVAILABLE
            68 DEADLINE_EXCEEDED    72 RESOURCE_EXHAUSTED   80 UNAUTHENTICATED
            69 NOT_FOUND            73 FAILED_PRECONDITION";

/// A call, and which servers to make it to.
#[derive(Args, Clone, Debug)]
pub struct ClientConfig {
    /// How to reach servers.
    #[command(flatten)]
    pub reach: Reach,

    /// Print what the server answers as JSON, one object a line.
    #[arg(long, env = "RIDES_JSON", global = true, value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// How to reach servers.
#[derive(Args, Clone, Debug)]
pub struct Reach {
    /// The server, like http://rides.example:8080. After a comma, those that stand in for it with the same rides: of
    /// several, calls go to the first that is not away and does not hang, and streams go on there.
    #[arg(long, env = "RIDES_CONNECT", value_name = "URL", value_delimiter = ',', global = true,
          default_value = "http://127.0.0.1:8080", value_parser = crate::config::server_url)]
    pub connect: Vec<http::Uri>,

    /// Who signs the servers' certificates, in PEM [default: whom this system trusts].
    #[arg(long, env = "RIDES_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,

    /// Holds a token, for servers that ask for one. Read again for each call, so that it can be renewed; a stream that
    /// ends with its token goes on with the new one.
    #[arg(long, env = "RIDES_TOKEN_FILE", value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,

    /// How long a call may take, in seconds from 0.1 to 600. Streams last as long as they last.
    #[arg(long, env = "RIDES_TIMEOUT", default_value = "10", value_name = "SECONDS", global = true, value_parser = timeout)]
    pub timeout: Duration,
}

/// What a client can do.
#[derive(Subcommand, Clone, Debug)]
pub enum Action {
    /// What a ride would cost, and how long it would take.
    Quote(Trip),
    /// Book a ride.
    Book(Booking),
    /// Follow a ride to its end, also over a restart of the server.
    Watch(RideArg),
    /// Rides, newest first.
    List(Listing),
    /// One ride as it is now.
    Get(RideArg),
    /// Cancel a ride that has not begun.
    Cancel(Cancelling),
    /// Be a car: sign on, take offers, drive rides. Ctrl-C signs off.
    Drive(Driving),
    /// The fleet as it moves, in a table: q quits.
    Top(Watching),
}

/// From where to where.
#[derive(Args, Clone, Debug)]
pub struct Trip {
    /// Where it begins: LAT,LNG or a street.
    #[arg(value_name = "FROM", allow_hyphen_values = true)]
    pub from: Place,
    /// Where it ends.
    #[arg(value_name = "TO", allow_hyphen_values = true)]
    pub to: Place,
    /// A car to oneself, or shared and cheaper.
    #[arg(long, value_name = "TYPE", default_value = "regular")]
    pub r#type: Kind,
}

/// A ride to be.
#[derive(Args, Clone, Debug)]
pub struct Booking {
    /// From where to where.
    #[command(flatten)]
    pub trip: Trip,
    /// Who rides [default: whoever the token is for, or you].
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub rider: Option<String>,
    /// Who comes along. May be repeated.
    #[arg(long = "passenger", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub passengers: Vec<String>,
    /// The same one again books no second ride [default: a new one].
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub request_id: Option<String>,
    /// Follow the ride to its end.
    #[arg(long)]
    pub watch: bool,
}

/// Which ride.
#[derive(Args, Clone, Debug)]
pub struct RideArg {
    /// Its id, as `book` and `list` say it.
    #[arg(value_name = "RIDE")]
    pub ride_id: String,
}

/// Which rides.
#[derive(Args, Clone, Debug)]
pub struct Listing {
    /// Only this rider's.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub rider: Option<String>,
    /// Only in this state. May be repeated.
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<State>,
    /// At most so many. 0: all there are.
    #[arg(short = 'n', long, value_name = "N", default_value = "20")]
    pub limit: usize,
}

/// Which ride, and why not.
#[derive(Args, Clone, Debug)]
pub struct Cancelling {
    /// Which ride.
    #[command(flatten)]
    pub ride: RideArg,
    /// For people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// As whom [default: the rider, or whoever the token is for].
    #[arg(long = "as", value_name = "WHO")]
    pub by: Option<By>,
}

/// A car's day.
#[derive(Args, Clone, Debug)]
pub struct Driving {
    /// The car's id [default: the token's].
    #[arg(long, value_name = "ID", value_parser = crate::config::car)]
    pub car: Option<CarId>,
    /// Who drives [default: whoever the token is for, or driver-ID].
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub driver: Option<String>,
    /// Where the car is: LAT,LNG or a street.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub at: Place,
    /// How fast it drives, in km/h from 1 to 500.
    #[arg(long, value_name = "KMH", default_value = "40", value_parser = speed)]
    pub speed: f64,
    /// Ask before taking an offer; else each is taken at once.
    #[arg(long)]
    pub ask: bool,
    /// Go home after so many rides [default: when told].
    #[arg(long, value_name = "N")]
    pub rides: Option<u32>,
}

/// Which part of the fleet, and how.
#[derive(Args, Clone, Debug)]
pub struct Watching {
    /// Only cars inside SOUTH,WEST,NORTH,EAST, in degrees [default: the whole city].
    #[arg(long, value_name = "BOX", allow_hyphen_values = true, value_parser = place::bounds)]
    pub viewport: Option<Bounds>,
    /// Print one table and end, as it also does where there is no terminal.
    #[arg(long)]
    pub once: bool,
}

/// A car to oneself, or shared.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A car to oneself.
    Regular,
    /// Cheaper; the driver may take others along.
    Pool,
}

impl From<Kind> for v1::RideType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Regular => Self::Regular,
            Kind::Pool => Self::Pool,
        }
    }
}

/// Who acts.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Who booked it.
    Rider,
    /// Who drives it.
    Driver,
    /// Who runs the fleet.
    Dispatcher,
}

impl From<By> for v1::Actor {
    fn from(by: By) -> Self {
        match by {
            By::Rider => Self::Rider,
            By::Driver => Self::Driver,
            By::Dispatcher => Self::Dispatcher,
        }
    }
}

/// Where a ride is in its life.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the contract says what they mean")]
pub enum State {
    Requested,
    Offered,
    Assigned,
    Arrived,
    OnTrip,
    Completed,
    Cancelled,
    Expired,
}

impl From<State> for v1::RideState {
    fn from(state: State) -> Self {
        match state {
            State::Requested => Self::Requested,
            State::Offered => Self::Offered,
            State::Assigned => Self::Assigned,
            State::Arrived => Self::Arrived,
            State::OnTrip => Self::OnTrip,
            State::Completed => Self::Completed,
            State::Cancelled => Self::Cancelled,
            State::Expired => Self::Expired,
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    crate::config::number(text, 0.1..=600.0).map(Duration::from_secs_f64)
}

fn speed(text: &str) -> Result<f64, String> {
    crate::config::number(text, 1.0..=500.0)
}
