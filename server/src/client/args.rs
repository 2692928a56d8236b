//! The subcommands and flags of the client.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{FalseyValueParser, NonEmptyStringValueParser},
};
use rides_proto::{geo::Bounds, ids::CarId, v1};

use super::place::{self, PlaceArg};

/// The notes at the end of `--help`: places, tokens, JSON and exit codes.
pub const AFTER_HELP: &str = "\
A place is a point (LAT,LNG, for example 60.17,24.94) or the name of a street.

A token comes from the file of --token-file or from the variable RIDES_TOKEN. It has no flag, because other users can see
the command line.

With --json, each message of the server is printed as one line of proto3 JSON.

Exit codes:
  0       success
  1       an error in the client, for example a street or a file that was not found
  2       an error in the command line
  64 + n  an error of the server, with gRPC status n:
            67 INVALID_ARGUMENT     71 PERMISSION_DENIED    78 UNAVAILABLE
            68 DEADLINE_EXCEEDED    72 RESOURCE_EXHAUSTED   80 UNAUTHENTICATED
            69 NOT_FOUND            73 FAILED_PRECONDITION";

/// The configuration of the client.
#[derive(Args, Clone, Debug)]
pub struct ClientConfig {
    /// The servers to call.
    #[command(flatten)]
    pub servers: ServerArgs,

    /// Print each message of the server as one line of proto3 JSON.
    #[arg(long, env = "RIDES_JSON", global = true, value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// The subcommand.
    #[command(subcommand)]
    pub action: Action,
}

/// The servers to call, and how to connect to them.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// URL of the server; for failover, URLs of servers with the same rides, separated by commas.
    #[arg(long, env = "RIDES_CONNECT", value_name = "URL", value_delimiter = ',', global = true,
          default_value = "http://127.0.0.1:8080", value_parser = crate::config::server_url)]
    pub connect: Vec<http::Uri>,

    /// PEM file of the CA that signs the servers' certificates [default: the CAs of this system].
    #[arg(long, env = "RIDES_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,

    /// File with a token; it is read again for each call, so it can be replaced.
    #[arg(long, env = "RIDES_TOKEN_FILE", value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,

    /// Deadline of a call, in seconds from 0.1 to 600; streams have none.
    #[arg(long, env = "RIDES_TIMEOUT", default_value = "10", value_name = "SECONDS", global = true, value_parser = timeout)]
    pub timeout: Duration,
}

/// A subcommand of the client.
#[derive(Subcommand, Clone, Debug)]
pub enum Action {
    /// Print the fare and the duration of a ride.
    Quote(TripArgs),
    /// Book a ride.
    Book(BookArgs),
    /// Print the events of a ride up to its end, also across restarts of the server.
    Watch(RideArg),
    /// List rides, newest first.
    List(ListArgs),
    /// Print one ride as it is now.
    Get(RideArg),
    /// Cancel a ride whose trip has not begun.
    Cancel(CancelArgs),
    /// Drive a simulated car: sign on, accept offers, drive rides; Ctrl-C signs off.
    Drive(DriveArgs),
    /// Show a live table of the fleet; q quits.
    Top(TopArgs),
}

/// The pickup and dropoff of a trip, and its type.
#[derive(Args, Clone, Debug)]
pub struct TripArgs {
    /// Pickup: LAT,LNG or a street.
    #[arg(value_name = "FROM", allow_hyphen_values = true)]
    pub from: PlaceArg,
    /// Dropoff: LAT,LNG or a street.
    #[arg(value_name = "TO", allow_hyphen_values = true)]
    pub to: PlaceArg,
    /// Type of the ride.
    #[arg(long, value_name = "TYPE", default_value = "regular")]
    pub r#type: RideTypeArg,
}

/// The arguments of `book`.
#[derive(Args, Clone, Debug)]
pub struct BookArgs {
    /// The trip.
    #[command(flatten)]
    pub trip: TripArgs,
    /// Name of the rider [default: the subject of the token, or without a token your user name].
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub rider: Option<String>,
    /// Name of another passenger; may be repeated.
    #[arg(long = "passenger", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub passengers: Vec<String>,
    /// Idempotency key: booking again with the same ID returns the same ride [default: a random one].
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub request_id: Option<String>,
    /// Print the events of the ride up to its end.
    #[arg(long)]
    pub watch: bool,
}

/// The argument that names a ride.
#[derive(Args, Clone, Debug)]
pub struct RideArg {
    /// Id of the ride, as printed by "book" and "list".
    #[arg(value_name = "RIDE")]
    pub ride_id: String,
}

/// The arguments of `list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// List only rides of this rider.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub rider: Option<String>,
    /// List only rides in this state; may be repeated.
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<RideStateArg>,
    /// Maximum number of rides; 0 lists all.
    #[arg(short = 'n', long, value_name = "N", default_value = "20")]
    pub limit: usize,
}

/// The arguments of `cancel`.
#[derive(Args, Clone, Debug)]
pub struct CancelArgs {
    /// The ride.
    #[command(flatten)]
    pub ride: RideArg,
    /// Reason of the cancellation.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Party that cancels [default: the role of the token, or without a token the rider].
    #[arg(long = "as", value_name = "WHO")]
    pub by: Option<ActorArg>,
}

/// The arguments of `drive`.
#[derive(Args, Clone, Debug)]
pub struct DriveArgs {
    /// Id of the car [default: the car of the token].
    #[arg(long, value_name = "ID", value_parser = crate::config::car)]
    pub car: Option<CarId>,
    /// Name of the driver [default: the subject of the token, or without a token driver-ID].
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub driver: Option<String>,
    /// First position of the car: LAT,LNG or a street.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub at: PlaceArg,
    /// Speed of the car, in km/h from 1 to 500.
    #[arg(long, value_name = "KMH", default_value = "40", value_parser = speed)]
    pub speed: f64,
    /// Ask before an offer is accepted; otherwise each is accepted at once.
    #[arg(long)]
    pub ask: bool,
    /// Sign off after N rides [default: at Ctrl-C].
    #[arg(long, value_name = "N")]
    pub rides: Option<u32>,
}

/// The arguments of `top`.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// Show only cars inside SOUTH,WEST,NORTH,EAST, in degrees [default: the whole city].
    #[arg(long, value_name = "BOX", allow_hyphen_values = true, value_parser = place::bounds)]
    pub viewport: Option<Bounds>,
    /// Print one table and exit; this is also what happens without a terminal.
    #[arg(long)]
    pub once: bool,
}

/// The type of a ride.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RideTypeArg {
    /// A car for one party.
    Regular,
    /// A shared car, which costs less.
    Pool,
}

impl From<RideTypeArg> for v1::RideType {
    fn from(kind: RideTypeArg) -> Self {
        match kind {
            RideTypeArg::Regular => Self::Regular,
            RideTypeArg::Pool => Self::Pool,
        }
    }
}

/// The party that acts on a ride.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActorArg {
    /// The rider that booked the ride.
    Rider,
    /// The driver of the ride.
    Driver,
    /// The operator of the fleet.
    Dispatcher,
}

impl From<ActorArg> for v1::Actor {
    fn from(by: ActorArg) -> Self {
        match by {
            ActorArg::Rider => Self::Rider,
            ActorArg::Driver => Self::Driver,
            ActorArg::Dispatcher => Self::Dispatcher,
        }
    }
}

/// The state of a ride.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "documented in the contract")]
pub enum RideStateArg {
    Requested,
    Offered,
    Assigned,
    Arrived,
    OnTrip,
    Completed,
    Cancelled,
    Expired,
}

impl From<RideStateArg> for v1::RideState {
    fn from(state: RideStateArg) -> Self {
        match state {
            RideStateArg::Requested => Self::Requested,
            RideStateArg::Offered => Self::Offered,
            RideStateArg::Assigned => Self::Assigned,
            RideStateArg::Arrived => Self::Arrived,
            RideStateArg::OnTrip => Self::OnTrip,
            RideStateArg::Completed => Self::Completed,
            RideStateArg::Cancelled => Self::Cancelled,
            RideStateArg::Expired => Self::Expired,
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    crate::config::number(text, 0.1..=600.0).map(Duration::from_secs_f64)
}

fn speed(text: &str) -> Result<f64, String> {
    crate::config::number(text, 1.0..=500.0)
}
