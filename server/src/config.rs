//! The command line: every flag with its environment variable, default and range.

use std::{
    env,
    ffi::{OsStr, OsString},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    builder::{NonEmptyStringValueParser, OsStr as Variable, Resettable},
};
use clap_complete::Shell;
use http::{Uri, uri::Authority};
use rides_proto::ids::CarId;
use tracing_subscriber::EnvFilter;

use crate::{
    access::AuthPolicy,
    client::{self, ClientConfig},
    data_dir::DataDir,
    dispatch::DispatchOptions,
    fleet::FleetOptions,
    listen::ListenAddress,
    rides::journal::sqlite::SqliteOptions,
    service_limits::ServiceLimits,
    services::fields::MAX_NAME,
    sessions::{KeySource, Refresh, Role},
    sim::{self, Credentials},
};
use grpc_edge::{BasePath, EmbeddedPage, Limits, Origin};

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

/// A live ride-hailing board over gRPC and gRPC-Web, on one port.
///
/// Starts the server if there is no subcommand.
#[derive(Parser, Clone, Debug)]
#[command(name = "rides-server", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The subcommand. `None` starts the server.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The configuration of the server.
    #[command(flatten)]
    pub serve: Config,

    /// Filter of the log on stderr: a level, or directives such as grpc_edge=debug,info.
    #[arg(long, env = "RIDES_LOG", default_value = "info", value_name = "FILTER", value_parser = log_filter, global = true, help_heading = None::<&str>)]
    pub log: String,
}

impl Cli {
    /// Returns the command line with the environment variable of each flag.
    pub fn with_variables() -> clap::Command {
        with_variables_of_limits(Self::command())
    }

    /// Parses a command line. Environment variables stand in for missing flags, and an empty variable counts as unset.
    ///
    /// # Errors
    /// If a flag is unknown or missing, or a value is not valid. `--help` and `--version` are errors of clap, too.
    pub fn try_parse<A: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = A>,
    ) -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = without_variables(Self::with_variables(), &is_empty);
        let mut matches = command.try_get_matches_from_mut(line)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// Returns `command` with a variable for each limit of `grpc-edge`, a crate that names no variables:
/// `RIDES_MAX_STREAMS` is that of `--max-streams`.
fn with_variables_of_limits(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| match arg.get_long() {
        Some(long) if arg.get_env().is_none() && arg.get_help_heading() == Some("Limits") => {
            let variable = format!("RIDES_{}", long.to_uppercase().replace('-', "_"));
            arg.env(variable)
        }
        _ => arg,
    })
}

/// Returns `command` without the environment variables that `is_unset` names, in its subcommands, too.
fn without_variables(command: clap::Command, is_unset: &impl Fn(&OsStr) -> bool) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_env().is_some_and(is_unset) {
            true => arg.env(Resettable::<Variable>::Reset),
            false => arg,
        })
        .mut_subcommands(|command| without_variables(command, is_unset))
}

/// The subcommands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run simulated cars and riders against another server.
    Sim(SimConfig),
    /// Create a development CA and its certificates in the data directory, and print how to trust it.
    GenKey(GenKeyConfig),
    /// Check the journal of rides, rebuild its lists, or export its events.
    Journal(JournalConfig),
    /// Print a token for a rider, driver or dispatcher, or revoke sessions.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Token(TokenConfig),
    /// Call a server: quote fares, book and follow rides, drive a car, watch the fleet.
    #[command(after_help = client::AFTER_HELP)]
    Client(ClientConfig),
    /// Print a script that completes subcommands and flags in a shell.
    Completion {
        /// Shell that runs the script.
        shell: Shell,
    },
}

/// The configuration of the server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Serving")]
pub struct Config {
    /// Address to listen on: localhost:PORT for loopback, :PORT for all interfaces, or HOST:PORT; 0 picks a free port.
    #[arg(long, env = "RIDES_LISTEN", default_value = "localhost:8080", value_name = "HOST:PORT")]
    pub listen: ListenAddress,

    /// Directory of the built page [default: the page in the program, or dist if there is none].
    #[arg(long, env = "RIDES_PAGE", value_name = "DIR")]
    pub page: Option<PathBuf>,

    /// The page in the program. Not a flag: the build sets it.
    #[arg(skip)]
    pub embedded_page: Option<EmbeddedPage>,

    /// Prefix of all paths, for example /rides/; needed behind a proxy that does not remove it.
    #[arg(long, env = "RIDES_BASE_PATH", value_name = "PATH")]
    pub base_path: Option<BasePath>,

    /// Data directory, or :memory: to keep nothing [default: the platform's, for example ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<DataDir>,

    /// OpenStreetMap extract of the city, see docs/maps.md [default: central Helsinki, built in].
    #[arg(long, env = "RIDES_MAP", value_name = "FILE.osm.pbf")]
    pub map: Option<PathBuf>,

    /// Number of times per second that viewers get new positions, from 0.5 to 30.
    #[arg(long, env = "RIDES_TICK", default_value = "4", value_name = "HZ", value_parser = tick_hz)]
    pub tick: f64,

    /// The simulated fleet.
    #[command(flatten)]
    pub sim: SimOptions,

    /// End the stream of a map viewer that reads nothing for this long, in seconds from 1 to 600.
    #[arg(long, env = "RIDES_VIEWER_TIMEOUT", default_value = "20", value_name = "SECONDS", value_parser = viewer_timeout, help_heading = "Limits")]
    pub viewer_timeout: Duration,

    /// If a viewport has more cars than this, send only the number of cars in each map cell; from 1 to 100000.
    #[arg(long, env = "RIDES_VIEWER_CARS", default_value = "10000", value_name = "N", value_parser = viewer_cars, help_heading = "Limits")]
    pub viewer_cars: usize,

    /// Limit of bytes per second for a map viewer, which gets fewer, newer frames beyond it; 0 means no limit.
    #[arg(
        long,
        env = "RIDES_VIEWER_BYTES_PER_SECOND",
        default_value = "500000",
        value_name = "N",
        help_heading = "Limits"
    )]
    pub viewer_bytes_per_second: u32,

    /// Another origin whose pages may call this server, for example https://rides.example; may be repeated.
    #[arg(
        long,
        env = "RIDES_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub allow_origin: Vec<Origin>,

    /// Another host name under which this server may be called, for example rides.example; may be repeated.
    #[arg(long, env = "RIDES_ALLOW_HOST", value_name = "HOST", value_delimiter = ',', value_parser = host, help_heading = "Serving")]
    pub allow_host: Vec<String>,

    /// Highest fare of a booked ride, as a multiple of its quote, from 1 to 1000.
    #[arg(long, env = "RIDES_MAX_FARE_FACTOR", default_value = "3", value_name = "X", value_parser = fare_factor, help_heading = "Limits")]
    pub max_fare_factor: f64,

    /// Policy for calls without a token [default: open if the server listens on loopback only, else required].
    #[arg(long, env = "RIDES_AUTH", value_name = "POLICY", help_heading = "Tokens")]
    pub auth: Option<AuthPolicy>,

    /// The identity provider whose tokens are accepted, too.
    #[command(flatten)]
    pub provider: ProviderConfig,

    /// The limits of viewers, sign-outs and open rides.
    #[command(flatten)]
    pub service_limits: ServiceLimits,

    /// The limits of connections, calls and messages.
    #[command(flatten)]
    pub limits: Limits,

    /// The configuration of TLS.
    #[command(flatten)]
    pub tls: TlsConfig,

    /// The options of the journal. Not a flag: no other setting is as safe.
    #[arg(skip)]
    pub journal: SqliteOptions,

    /// The timeouts of dispatch. Not a flag: drivers' apps and riders rely on them.
    #[arg(skip)]
    pub dispatch: DispatchOptions,

    /// The time for which a car may come back after its stream broke. Not a flag: the contract defines it.
    #[arg(skip = FleetOptions::default().grace)]
    pub grace: Duration,
}

/// An identity provider whose tokens are accepted.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Tokens")]
pub struct ProviderConfig {
    /// Accept tokens that are signed with a key in this JSON Web Key Set, a file or an https URL.
    #[arg(
        id = "auth_jwks",
        long = "auth-jwks",
        env = "RIDES_AUTH_JWKS",
        value_name = "FILE|URL",
        requires = "auth_issuer"
    )]
    pub keys: Option<KeySource>,

    /// Issuer (iss) of the tokens that --auth-jwks verifies.
    #[arg(
        id = "auth_issuer",
        long = "auth-issuer",
        env = "RIDES_AUTH_ISSUER",
        value_name = "ISSUER",
        value_parser = NonEmptyStringValueParser::new(),
        requires = "auth_jwks"
    )]
    pub issuer: Option<String>,

    /// Audience (aud) of the tokens that --auth-jwks verifies.
    #[arg(
        id = "auth_audience",
        long = "auth-audience",
        env = "RIDES_AUTH_AUDIENCE",
        value_name = "AUDIENCE",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "rides"
    )]
    pub audience: String,

    /// Claim with the role rider, driver or dispatcher; dots lead into nested claims, as in realm_access.roles.
    #[arg(
        id = "auth_role_claim",
        long = "auth-role-claim",
        env = "RIDES_AUTH_ROLE_CLAIM",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "role"
    )]
    pub role_claim: String,

    /// Claim with the number of the car that a driver drives.
    #[arg(
        id = "auth_car_claim",
        long = "auth-car-claim",
        env = "RIDES_AUTH_CAR_CLAIM",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "car"
    )]
    pub car_claim: String,

    /// PEM file of the CA that signs the certificate of the --auth-jwks URL [default: the CAs of this system].
    #[arg(
        id = "auth_ca",
        long = "auth-ca",
        env = "RIDES_AUTH_CA",
        value_name = "FILE",
        requires = "auth_jwks"
    )]
    pub ca: Option<PathBuf>,

    /// The intervals at which keys are fetched. Not a flag: providers rely on them.
    #[arg(skip)]
    pub refresh: Refresh,
}

/// The configuration of TLS, which browsers need for HTTP/2.
#[derive(Args, Clone, PartialEq, Eq, Default, Debug)]
#[command(next_help_heading = "TLS")]
pub struct TlsConfig {
    /// Serve TLS with this PEM certificate chain, which is read again when it changes.
    #[arg(
        id = "tls_cert",
        long = "tls-cert",
        env = "RIDES_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub cert: Option<PathBuf>,

    /// PEM file of the private key for --tls-cert.
    #[arg(
        id = "tls_key",
        long = "tls-key",
        env = "RIDES_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub key: Option<PathBuf>,

    /// Serve TLS with a certificate of a development CA, which is created in the data directory.
    #[arg(id = "tls", long = "tls", env = "RIDES_TLS", value_name = "HOW", conflicts_with = "tls_cert")]
    pub tls: Option<GeneratedCertificate>,

    /// PEM file of the CA that signs drivers' certificates, which name a car by a URI such as rides:car:7.
    #[arg(id = "client_ca", long = "client-ca", env = "RIDES_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// PEM file of the certificate revocation lists for --client-ca, which is read again when it changes.
    #[arg(
        id = "client_crl",
        long = "client-crl",
        env = "RIDES_CLIENT_CRL",
        value_name = "FILE",
        requires = "client_ca"
    )]
    pub client_crl: Option<PathBuf>,
}

/// The origin of a certificate that is created at the start.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeneratedCertificate {
    /// A certificate of the server's own development CA.
    SelfSigned,
}

/// The keys and certificates that `gen-key` creates.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct GenKeyConfig {
    /// Data directory for keys and certificates [default: the platform's, for example ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<DataDir>,

    /// Host name or address of the server, besides localhost; may be repeated.
    #[arg(long, env = "RIDES_HOST", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub host: Vec<String>,

    /// Car whose driver gets a certificate; may be repeated.
    #[arg(long, env = "RIDES_CAR", value_name = "ID", value_delimiter = ',', value_parser = clap::value_parser!(i64).range(1..))]
    pub car: Vec<i64>,
}

/// A simulated fleet against another server.
#[derive(Args, Clone, Debug)]
pub struct SimConfig {
    /// URL of the server, for example http://rides.example:8080.
    #[arg(long, env = "RIDES_CONNECT", value_name = "URL", value_parser = server_url)]
    pub connect: Uri,

    /// PEM file of the CA that signs the server's certificate [default: the CAs of this system].
    #[arg(long, env = "RIDES_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// OpenStreetMap extract of the city, the same as the server's [default: central Helsinki, built in].
    #[arg(long, env = "RIDES_MAP", value_name = "FILE.osm.pbf")]
    pub map: Option<PathBuf>,

    /// Id of the first car; the cars that the server itself simulates begin at 1.
    #[arg(long, env = "RIDES_FIRST_CAR", default_value = "1000001", value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub first_car: i64,

    /// File with a dispatcher's token, for a server that requires one; read again for each call.
    #[arg(long, env = "RIDES_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The cars and riders.
    #[command(flatten)]
    pub sim: SimOptions,
}

/// The subcommands of `token`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum TokenAction {
    /// Revoke sessions and all their tokens; a running server knows within a second.
    Revoke(RevokeConfig),
}

/// The sessions to revoke.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[group(required = true, multiple = false)]
pub struct RevokeConfig {
    /// Id of one session, as Sessions.WhoAmI returns it.
    #[arg(long, env = "RIDES_SESSION", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub session: Option<String>,

    /// Rider, driver or dispatcher: revoke all of its sessions that exist now.
    #[arg(long, env = "RIDES_SUBJECT", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub subject: Option<String>,
}

/// The arguments of `token`. `role` and `subject` are `Some` unless there is a subcommand.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct TokenConfig {
    /// The subcommand. `None` prints a token.
    #[command(subcommand)]
    pub action: Option<TokenAction>,

    /// Role of the token.
    #[arg(long, env = "RIDES_ROLE", value_name = "ROLE", required = true)]
    pub role: Option<Role>,

    /// Rider id, driver id or dispatcher that the token is for, at most 64 characters.
    #[arg(long, env = "RIDES_SUBJECT", value_name = "NAME", value_parser = subject, required = true)]
    pub subject: Option<String>,

    /// Car of the token, for the role driver only.
    #[arg(long, env = "RIDES_CAR", value_name = "ID", value_parser = car, required_if_eq("role", "driver"))]
    pub car: Option<CarId>,

    /// Lifetime of the token, from 1s to 366d, for example 90s, 30m, 12h or 7d [default: 12h].
    #[arg(long, env = "RIDES_EXPIRES", value_name = "TIME", value_parser = lifetime)]
    pub expires: Option<Duration>,

    /// Data directory of the server [default: the platform's, for example ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<DataDir>,
}

/// A journal, and the subcommand for it.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct JournalConfig {
    /// Data directory with the journal [default: the platform's, for example ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<DataDir>,

    /// The subcommand.
    #[command(subcommand)]
    pub action: JournalAction,
}

/// The subcommands of `journal`.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum JournalAction {
    /// Check the whole journal and print its problems, with exit code 1 if there are any; the server may be running.
    Check,
    /// Rebuild the stored lists of rides from the events; the server must not be running.
    Rebuild,
    /// Write every event to stdout as one JSON object per line; the server may be running.
    Export,
}

/// The simulated fleet and its riders.
#[derive(Args, Clone, Copy, PartialEq, Debug)]
#[command(next_help_heading = "Simulation")]
pub struct SimOptions {
    /// Number of simulated cars, up to 100000; 0 turns the simulation off.
    #[arg(long, env = "RIDES_CARS", default_value = "120", value_name = "N", value_parser = cars)]
    pub cars: u32,

    /// Rides per minute that simulated riders book, up to 100000.
    #[arg(long, env = "RIDES_RIDERS_PER_MINUTE", default_value = "20", value_name = "N", value_parser = riders_per_minute)]
    pub riders_per_minute: f64,

    /// Speed of simulated cars, as a multiple of the real speed, from 0.1 to 20.
    #[arg(long, env = "RIDES_SIM_SPEED", default_value = "1", value_name = "X", value_parser = sim_speed)]
    pub sim_speed: f64,

    /// Seed of the simulation: the same number gives the same cars and riders.
    #[arg(long, env = "RIDES_SEED", default_value = "1", value_name = "N")]
    pub seed: u64,
}

impl SimOptions {
    /// Returns the options of the simulator, with cars numbered from `first_car` and no tokens.
    pub fn fleet(self, first_car: i64) -> sim::SimOptions {
        let Self { cars, riders_per_minute, sim_speed: speed, seed } = self;
        let credentials = Credentials::None;
        sim::SimOptions { cars, first_car, riders_per_minute, speed, seed, credentials }
    }
}

fn tick_hz(text: &str) -> Result<f64, String> {
    number(text, 0.5..=30.0)
}

fn fare_factor(text: &str) -> Result<f64, String> {
    number(text, 1.0..=1_000.0)
}

fn sim_speed(text: &str) -> Result<f64, String> {
    number(text, 0.1..=20.0)
}

fn riders_per_minute(text: &str) -> Result<f64, String> {
    number(text, 0.0..=100_000.0)
}

fn viewer_timeout(text: &str) -> Result<Duration, String> {
    number(text, 1.0..=600.0).map(Duration::from_secs_f64)
}

fn viewer_cars(text: &str) -> Result<usize, String> {
    whole(text, 1..=100_000).map(|n| n as usize)
}

fn cars(text: &str) -> Result<u32, String> {
    whole(text, 0..=100_000)
}

pub(crate) fn car(text: &str) -> Result<CarId, String> {
    text.parse().ok().and_then(CarId::new).ok_or_else(|| "must be a positive whole number".to_owned())
}

fn subject(text: &str) -> Result<String, String> {
    let good = (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| format!("must have from 1 to {MAX_NAME} characters"))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let seconds = |(number, unit): (&str, &str)| {
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => DAY,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit)
    };
    text.split_at_checked(text.len().saturating_sub(1))
        .and_then(seconds)
        .filter(|seconds| (1..=366 * DAY).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "must be a duration from 1s to 366d, for example 12h".to_owned())
}

/// Parses a number in a finite range. NaN and infinities are in no such range.
pub(crate) fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

/// Parses a whole number from 1 to `MOST`.
pub(crate) fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {MOST}"))
}

fn whole(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn host(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err(
            "wildcards are not supported: list each host. A server that has TLS, requires tokens, or listens on \
             other addresses than loopback accepts every host if --allow-host is left out"
                .to_owned(),
        );
    }
    let authority = text.parse::<Authority>().ok().filter(|authority| authority.host() == text);
    authority
        .map(|_host| text.to_owned())
        .ok_or_else(|| "must be a host name or an address, without a port".to_owned())
}

pub(crate) fn server_url(text: &str) -> Result<Uri, String> {
    text.parse::<Uri>()
        .ok()
        .filter(|uri| {
            uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme))
                && uri.authority().is_some()
        })
        .ok_or_else(|| "must be a URL, for example http://127.0.0.1:8080".to_owned())
}

fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_filter| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::MAX_TOKEN_LIFETIME;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse([&["rides-server"], args].concat())
    }

    /// Returns a command and all its subcommands, each with its words on the command line.
    fn commands(command: &clap::Command, words: &[&str]) -> Vec<(Vec<String>, clap::Command)> {
        let below = command.get_subcommands().filter(|command| command.get_name() != "help");
        let below = below.flat_map(|below| commands(below, &[words, &[below.get_name()]].concat()));
        let own = (words.iter().map(|&word| word.to_owned()).collect(), command.clone());
        std::iter::once(own).chain(below).collect()
    }

    fn built() -> clap::Command {
        let mut root = Cli::with_variables();
        root.build();
        root
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::with_variables().debug_assert();
    }

    #[test]
    fn every_option_has_help_and_a_variable_of_its_name() {
        let root = built();
        let options =
            root.get_arguments().chain(root.get_subcommands().flat_map(clap::Command::get_arguments));
        for option in options.filter(|option| !["help", "version"].contains(&option.get_id().as_str())) {
            let name = option.get_id().as_str();
            if !option.is_positional() {
                assert!(option.get_help().is_some(), "{name} has no help");
                let variable = option.get_env().map(|env| env.to_string_lossy().into_owned());
                assert_eq!(variable, Some(format!("RIDES_{}", name.to_uppercase())));
            }
        }
    }

    #[test]
    fn an_empty_variable_is_an_unset_one_for_every_option_of_every_subcommand() {
        let mut with_variable = 0;
        for (words, command) in commands(&Cli::with_variables(), &[]) {
            with_variable += command.get_arguments().filter(|option| option.get_env().is_some()).count();
            let deaf = without_variables(command, &|_| true);
            let left: Vec<_> = deaf.get_arguments().filter_map(clap::Arg::get_env).collect();
            assert!(left.is_empty(), "{words:?}: {left:?}");
        }
        let limits = Cli::with_variables();
        let unnamed = limits
            .get_arguments()
            .filter(|arg| arg.get_help_heading() == Some("Limits") && arg.get_env().is_none());
        assert_eq!(
            unnamed.map(|arg| arg.get_id().to_string()).collect::<Vec<_>>(),
            [""; 0],
            "limits without a variable"
        );
        assert!(with_variable > 50, "only {with_variable} options have variables");
        let deaf_to_one = without_variables(Cli::with_variables(), &|name| name == "RIDES_MAP");
        let left =
            |name: &str| deaf_to_one.get_arguments().any(|option| option.get_env() == Some(name.as_ref()));
        assert!(left("RIDES_LISTEN") && left("RIDES_DATA_DIR") && !left("RIDES_MAP"));
    }

    #[test]
    fn an_option_that_is_given_and_empty_is_refused() {
        // An empty filter logs nothing, and an empty reason is none.
        let may_be_empty = ["log", "reason"];
        for (words, command) in commands(&built(), &[]) {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let options = command.get_arguments().filter(|option| option.get_action().takes_values());
            for option in options.filter_map(clap::Arg::get_long).filter(|name| !may_be_empty.contains(name))
            {
                let error =
                    parse(&[&words[..], &[&format!("--{option}=")]].concat()).unwrap_err().to_string();
                assert!(error.contains(&format!("'--{option}")), "{words:?} --{option}=: {error}");
            }
        }
    }

    #[test]
    fn a_revocation_says_both_ways_to_name_what_is_to_end() {
        let error = parse(&["token", "revoke"]).unwrap_err().to_string();
        assert!(error.contains("--session <ID>") && error.contains("--subject <NAME>"), "{error}");
        assert!(parse(&["token", "revoke", "--session=1", "--subject=ada"]).is_err());
        assert!(parse(&["token", "revoke", "--subject=ada"]).is_ok());
    }

    #[test]
    fn serving_needs_no_flags() {
        let cli = parse(&[]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen, ListenAddress::Loopbacks(8080));
        assert_eq!(cli.serve.limits, Limits::default());
        assert_eq!(cli.serve.service_limits, ServiceLimits::default());
        assert_eq!(cli.serve.sim, SimOptions { cars: 120, riders_per_minute: 20.0, sim_speed: 1.0, seed: 1 });
        assert_eq!(cli.serve.tick, 4.0);
    }

    #[test]
    fn a_data_directory_may_be_named_after_what_is_done_to_it() {
        for args in [["journal", "--data-dir=x", "check"], ["journal", "check", "--data-dir=x"]] {
            let Some(Command::Journal(journal)) = parse(&args).unwrap().command else { panic!("{args:?}") };
            let data_dir = Some(DataDir::At("x".into()));
            assert_eq!(journal, JournalConfig { data_dir, action: JournalAction::Check });
        }
        assert_eq!(parse(&["--data-dir=:memory:"]).unwrap().serve.data_dir, Some(DataDir::Memory));
    }

    #[test]
    fn the_simulator_needs_a_server() {
        assert!(parse(&["sim"]).is_err());
        assert!(parse(&["sim", "--connect", "elsewhere"]).is_err());
        let cli = parse(&["sim", "--connect", "http://127.0.0.1:9", "--cars", "3"]).unwrap();
        let Some(Command::Sim(sim)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(sim.sim.cars, 3);
    }

    #[test]
    fn a_token_is_for_somebody() {
        let token = |args: &[&str]| match parse(&[&["token"], args].concat()) {
            Ok(Cli { command: Some(Command::Token(token)), .. }) => Some(token),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        };
        let driver = token(&["--role=driver", "--car=7", "--subject=aino"]).unwrap();
        assert_eq!((driver.role, driver.car, driver.expires), (Some(Role::Driver), CarId::new(7), None));
        let long = token(&["--role=dispatcher", "--subject=eve", "--expires=366d"]).unwrap();
        assert_eq!(long.expires, Some(MAX_TOKEN_LIFETIME));
        for bad in [
            &["--role=driver", "--subject=aino"][..],
            &["--role=driver", "--subject=aino", "--car=0"],
            &["--role=boss", "--subject=aino"],
            &["--role=rider"],
            &["--role=rider", "--subject="],
            &["--role=rider", "--subject=a\nb"],
        ] {
            assert_eq!(token(bad), None, "{bad:?}");
        }
        for bad in ["0s", "367d", "12", "h", "", "1.5h", "-1h", "12 h", "99999999999999999999d", "5é"] {
            assert_eq!(token(&["--role=rider", "--subject=ada", "--expires", bad]), None, "{bad}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (flag, value, range) in [
            ("--tick", "0.4", "0.5 to 30"),
            ("--tick", "31", "0.5 to 30"),
            ("--tick", "NaN", "0.5 to 30"),
            ("--cars", "100001", "0 to 100000"),
            ("--cars", "-1", "0 to 100000"),
            ("--sim-speed", "inf", "0.1 to 20"),
            ("--sim-speed", "0", "0.1 to 20"),
            ("--riders-per-minute", "inf", "0 to 100000"),
            ("--riders-per-minute", "-1", "0 to 100000"),
            ("--max-fare-factor", "0.9", "1 to 1000"),
            ("--max-fare-factor", "NaN", "1 to 1000"),
            ("--max-fare-factor", "inf", "1 to 1000"),
            ("--max-open-rides", "0", "1 to 1000000"),
            ("--max-open-rides-per-address", "0", "1 to 1000000"),
            ("--max-open-rides-at-exempt-addresses", "0", "1 to 1000000"),
            ("--drain-timeout", "601", "0 to 600"),
            ("--viewer-timeout", "0", "1 to 600"),
            ("--viewer-cars", "0", "1 to 100000"),
            ("--max-streams", "0", "1..=100000"),
            ("--max-message-size", "1023", "1024 to 4194304"),
            ("--idle-timeout", "0", "0.1 to 86400"),
            ("--max-calls-per-second", "0", "1 to 1000000"),
            ("--max-sign-outs-per-hour", "7001", "1 to 7000"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(range), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn hosts_have_no_ports() {
        let args = ["--allow-host", "rides.example,[2001:db8::1]"];
        assert_eq!(parse(&args).unwrap().serve.allow_host, ["rides.example", "[2001:db8::1]"]);
        for bad in ["rides.example:8080", "https://rides.example", "", "you@rides.example", "rides example"] {
            assert_eq!(parse(&["--allow-host", bad]).unwrap_err().exit_code(), 2, "{bad}");
        }
        for wildcard in ["*", "*.rides.example"] {
            let error = parse(&["--allow-host", wildcard]).unwrap_err().to_string();
            assert!(error.contains("not supported") && error.contains("left out"), "{error}");
        }
    }

    #[test]
    fn origins_are_origins() {
        let args = ["--allow-origin", "https://rides.example:443,capacitor://localhost"];
        let allowed =
            ["https://rides.example", "capacitor://localhost"].map(|origin| origin.parse().unwrap());
        assert_eq!(parse(&args).unwrap().serve.allow_origin, allowed);
        for bad in ["rides.example", "https://rides.example/page", "*", "null"] {
            assert_eq!(parse(&["--allow-origin", bad]).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
