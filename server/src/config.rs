//! The command line: every flag, its environment variable, its default and what values it takes.

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
    access::Policy,
    client::{self, ClientConfig},
    data_dir::DataDir,
    dispatch::DispatchOptions,
    edge::{BasePath, EmbeddedPage, Limits, Origin},
    fleet::FleetOptions,
    listen::Listen,
    rides::journal::sqlite::SqliteOptions,
    services::fields::MAX_NAME,
    sessions::{Refresh, Role, Source},
    sim::{self, Credentials},
};

/// Of a token's life, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// A live ride-hailing board over gRPC and gRPC-Web, on one port.
///
/// Serves when no subcommand is named.
#[derive(Parser, Clone, Debug)]
#[command(name = "rides-server", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve.
    #[command(flatten)]
    pub serve: Config,

    /// What to log to stderr: a level, or directives like `rides_server=debug,info`.
    #[arg(long, env = "RIDES_LOG", default_value = "info", value_name = "FILTER", value_parser = log_filter, global = true, help_heading = None::<&str>)]
    pub log: String,
}

impl Cli {
    /// Parses a command line, with the environment's variables for what it leaves out. An empty variable counts as unset.
    pub fn of<A: Into<OsString> + Clone>(line: impl IntoIterator<Item = A>) -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
        let mut command = without_variables(Self::command(), &is_empty);
        let mut matches = command.try_get_matches_from_mut(line)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// `command` and its subcommands, deaf to some variables.
fn without_variables(command: clap::Command, is_unset: &impl Fn(&OsStr) -> bool) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_env().is_some_and(is_unset) {
            true => arg.env(Resettable::<Variable>::Reset),
            false => arg,
        })
        .mut_subcommands(|command| without_variables(command, is_unset))
}

/// What the program can do besides serving.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Drive a simulated fleet, and book its rides, on a server elsewhere.
    Sim(SimConfig),
    /// Make a development CA, and certificates of the server and of drivers, in the data directory; say how to trust it.
    GenKey(GenKeyConfig),
    /// Look after the journal of rides: check it, rebuild its lists, export its events.
    Journal(JournalConfig),
    /// Print a token for a driver, a dispatcher or a rider, or revoke what was given out. A server may run meanwhile.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Token(TokenConfig),
    /// Call a server: ask for fares, book and follow rides, drive a car, watch the fleet.
    #[command(after_help = client::EXIT_CODES)]
    Client(ClientConfig),
    /// Print a script that completes this program's commands and flags in a shell.
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

/// How to serve. Immutable once parsed.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The address to listen on: localhost:8080 for both loopback addresses, :8080 for all interfaces, or a host or address
    /// with a port. Port 0 picks a free one.
    #[arg(long, env = "RIDES_LISTEN", default_value = "localhost:8080", value_name = "HOST:PORT")]
    pub listen: Listen,

    /// Serve the page that was built into this directory [default: the page in the program, if there is one, else dist].
    #[arg(long, env = "RIDES_PAGE", value_name = "DIR")]
    pub page: Option<PathBuf>,

    /// The page in the program. No flag: the build puts it there.
    #[arg(skip)]
    pub embedded_page: Option<EmbeddedPage>,

    /// The path below which a proxy serves the board, for example /rides/. Needed only where the proxy leaves the path in
    /// place; requests without it are served too.
    #[arg(long, env = "RIDES_BASE_PATH", value_name = "PATH")]
    pub base_path: Option<BasePath>,

    /// Where rides are kept, or `:memory:` to forget them at the end [default: the platform's data folder, like
    /// ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<DataDir>,

    /// The city, as an OpenStreetMap extract (docs/maps.md) [default: central Helsinki, built in].
    #[arg(long, env = "RIDES_MAP", value_name = "FILE.osm.pbf")]
    pub map: Option<PathBuf>,

    /// How often viewers hear of moving cars, 0.5 to 30 times a second.
    #[arg(long, env = "RIDES_TICK", default_value = "4", value_name = "HZ", value_parser = tick_hz)]
    pub tick: f64,

    /// The simulated fleet.
    #[command(flatten)]
    pub sim: SimOptions,

    /// A viewer of the map that reads nothing for so long is let go, in seconds from 1 to 600. Over HTTP/1.1 the kernel
    /// does so itself after 25.
    #[arg(long, env = "RIDES_VIEWER_TIMEOUT", default_value = "20", value_name = "SECONDS", value_parser = viewer_timeout)]
    pub viewer_timeout: Duration,

    /// Cars in a viewport above which it is told their number per map cell instead, up to 100000.
    #[arg(long, env = "RIDES_VIEWER_CARS", default_value = "10000", value_name = "N", value_parser = viewer_cars)]
    pub viewer_cars: usize,

    /// The most that a viewer of the map is sent: above that it gets fewer, newer frames. 0: no ceiling.
    #[arg(long, env = "RIDES_VIEWER_BYTES_PER_SECOND", default_value = "500000", value_name = "N")]
    pub viewer_bytes_per_second: u32,

    /// Another origin whose pages may call this server, like https://rides.example, or capacitor://localhost for an app. May be
    /// repeated.
    #[arg(long, env = "RIDES_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<Origin>,

    /// Another name by which this server may be called, like rides.example. May be repeated. Where it is open to this
    /// machine alone without TLS, it goes by localhost, 127.0.0.1 and [::1], by these, and by the hosts of allowed
    /// origins; elsewhere by any name, unless there are some here.
    #[arg(long, env = "RIDES_ALLOW_HOST", value_name = "HOST", value_delimiter = ',', value_parser = host)]
    pub allow_host: Vec<String>,

    /// The highest fare of a booked ride, as a multiple of its quote, from 1 to 1000. The ride also keeps what the meter
    /// read.
    #[arg(long, env = "RIDES_MAX_FARE_FACTOR", default_value = "3", value_name = "X", value_parser = fare_factor)]
    pub max_fare_factor: f64,

    /// Whether callers must show a token [default: open where it listens on this machine only, else required].
    #[arg(long, env = "RIDES_AUTH", value_name = "POLICY")]
    pub auth: Option<Policy>,

    /// Whose tokens are good besides our own.
    #[command(flatten)]
    pub provider: ProviderConfig,

    /// How much anybody may take.
    #[command(flatten)]
    pub limits: Limits,

    /// How to serve TLS.
    #[command(flatten)]
    pub tls: TlsConfig,

    /// How the journal in the data directory is kept. No flag: nothing else is as safe.
    #[arg(skip)]
    pub journal: SqliteOptions,

    /// How patient dispatch is. No flag: drivers' apps and riders count on it.
    #[arg(skip)]
    pub dispatch: DispatchOptions,

    /// How long a car whose stream broke is waited for. No flag: the contract says it.
    #[arg(skip = FleetOptions::default().grace)]
    pub grace: Duration,
}

/// An identity provider whose tokens are good.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Identity provider")]
pub struct ProviderConfig {
    /// Take tokens that are signed (RS256, ES256 or EdDSA) with one of these keys: a JSON Web Key Set, in a file or at an
    /// https URL. It is read again every ten minutes, and when a token names a new key.
    #[arg(
        id = "auth_jwks",
        long = "auth-jwks",
        env = "RIDES_AUTH_JWKS",
        value_name = "FILE|URL",
        requires = "auth_issuer"
    )]
    pub keys: Option<Source>,

    /// Who must have given them out: `iss`.
    #[arg(
        id = "auth_issuer",
        long = "auth-issuer",
        env = "RIDES_AUTH_ISSUER",
        value_name = "ISSUER",
        value_parser = NonEmptyStringValueParser::new(),
        requires = "auth_jwks"
    )]
    pub issuer: Option<String>,

    /// For whom they must be: one of `aud`.
    #[arg(
        id = "auth_audience",
        long = "auth-audience",
        env = "RIDES_AUTH_AUDIENCE",
        value_name = "AUDIENCE",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "rides"
    )]
    pub audience: String,

    /// The claim that says rider, driver or dispatcher, alone or in a list. One inside another has a dot before it, like
    /// realm_access.roles.
    #[arg(
        id = "auth_role_claim",
        long = "auth-role-claim",
        env = "RIDES_AUTH_ROLE_CLAIM",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "role"
    )]
    pub role_claim: String,

    /// The claim that says which car a driver drives, by its number.
    #[arg(
        id = "auth_car_claim",
        long = "auth-car-claim",
        env = "RIDES_AUTH_CAR_CLAIM",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        default_value = "car"
    )]
    pub car_claim: String,

    /// Who signs the certificate of the URL, in PEM [default: whom this system trusts].
    #[arg(
        id = "auth_ca",
        long = "auth-ca",
        env = "RIDES_AUTH_CA",
        value_name = "FILE",
        requires = "auth_jwks"
    )]
    pub ca: Option<PathBuf>,

    /// How often keys are asked for. No flag: providers count on it.
    #[arg(skip)]
    pub refresh: Refresh,
}

/// How to serve TLS, and so HTTP/2 to browsers.
#[derive(Args, Clone, PartialEq, Eq, Default, Debug)]
#[command(next_help_heading = "TLS")]
pub struct TlsConfig {
    /// Serve TLS with this certificate chain, in PEM. It is read again when it changes.
    #[arg(
        id = "tls_cert",
        long = "tls-cert",
        env = "RIDES_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub cert: Option<PathBuf>,

    /// Its private key, in PEM.
    #[arg(
        id = "tls_key",
        long = "tls-key",
        env = "RIDES_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub key: Option<PathBuf>,

    /// Serve TLS with a certificate of a development CA, made in the data directory.
    #[arg(id = "tls", long = "tls", env = "RIDES_TLS", value_name = "HOW", conflicts_with = "tls_cert")]
    pub made: Option<MadeBy>,

    /// Who signs drivers' certificates, in PEM. One that names car 7 has the URI rides:car:7 among its alternative
    /// names, and drives no other.
    #[arg(id = "client_ca", long = "client-ca", env = "RIDES_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Which drivers' certificates are revoked, in PEM: a list of each who signs them. It is read again when it changes,
    /// and ends what was opened with one that is on it.
    #[arg(
        id = "client_crl",
        long = "client-crl",
        env = "RIDES_CLIENT_CRL",
        value_name = "FILE",
        requires = "client_ca"
    )]
    pub client_crl: Option<PathBuf>,
}

/// Who makes the certificate.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum MadeBy {
    /// The server itself.
    SelfSigned,
}

/// What to make keys and certificates for.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct GenKeyConfig {
    /// Where to keep them [default: the platform's data folder, like ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<DataDir>,

    /// Another name or address of the server, beside localhost. May be repeated.
    #[arg(long, env = "RIDES_HOST", value_name = "NAME", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub host: Vec<String>,

    /// A car whose driver is to have a certificate. May be repeated.
    #[arg(long, env = "RIDES_CAR", value_name = "ID", value_delimiter = ',', value_parser = clap::value_parser!(i64).range(1..))]
    pub car: Vec<i64>,
}

/// A simulated fleet on a server elsewhere.
#[derive(Args, Clone, Debug)]
pub struct SimConfig {
    /// The server, like http://rides.example:8080.
    #[arg(long, env = "RIDES_CONNECT", value_name = "URL", value_parser = server_url)]
    pub connect: Uri,

    /// Who signs the server's certificate, in PEM [default: whom this system trusts].
    #[arg(long, env = "RIDES_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The city to drive in, which must be the server's [default: central Helsinki, built in].
    #[arg(long, env = "RIDES_MAP", value_name = "FILE.osm.pbf")]
    pub map: Option<PathBuf>,

    /// The id of the first car. The server's own simulation counts from 1, and no two cars can be one.
    #[arg(long, env = "RIDES_FIRST_CAR", default_value = "1000001", value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub first_car: i64,

    /// Holds a dispatcher's token, for a server that asks for one. Read again for each call, so that it can be renewed.
    #[arg(long, env = "RIDES_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The fleet.
    #[command(flatten)]
    pub sim: SimOptions,
}

/// What can be done about tokens besides printing one.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum TokenAction {
    /// End sessions before their time, with all tokens they have. A running server knows within a second.
    Revoke(RevokeConfig),
}

/// Whose sessions are to end.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
#[group(required = true, multiple = false)]
pub struct RevokeConfig {
    /// One session, by the id that Sessions.WhoAmI tells.
    #[arg(long, env = "RIDES_SESSION", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub session: Option<String>,

    /// All that this rider, driver or dispatcher has had until now.
    #[arg(long, env = "RIDES_SUBJECT", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub subject: Option<String>,
}

/// Whom a token is for. Who it is for is there, unless something else is to be done.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct TokenConfig {
    /// What to do instead of printing one.
    #[command(subcommand)]
    pub action: Option<TokenAction>,

    /// What they may be.
    #[arg(long, env = "RIDES_ROLE", value_name = "ROLE", required = true)]
    pub role: Option<Role>,

    /// Their id: the rider id of a rider's rides, the driver id of a driver. At most 64 characters.
    #[arg(long, env = "RIDES_SUBJECT", value_name = "NAME", value_parser = subject, required = true)]
    pub subject: Option<String>,

    /// The car that a driver drives.
    #[arg(long, env = "RIDES_CAR", value_name = "ID", value_parser = car, required_if_eq("role", "driver"))]
    pub car: Option<CarId>,

    /// How long it is good for: a number of seconds, minutes, hours or days up to 366d, like 90s, 30m, 12h or 7d
    /// [default: 12h].
    #[arg(long, env = "RIDES_EXPIRES", value_name = "TIME", value_parser = lifetime)]
    pub expires: Option<Duration>,

    /// The server's data directory [default: the platform's data folder, like ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<DataDir>,
}

/// A journal, and what to do to it.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct JournalConfig {
    /// The directory that the journal is in [default: the platform's data folder, like ~/.local/share/rides].
    #[arg(long, env = "RIDES_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<DataDir>,

    /// What to do.
    #[command(subcommand)]
    pub action: JournalAction,
}

/// What can be done to a journal.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum JournalAction {
    /// Read all of it and say what is wrong. Exit code 1 when something is. A server may run meanwhile.
    Check,
    /// Make the lists of rides again from the events. No server may run meanwhile.
    Rebuild,
    /// Write every event to stdout, one JSON object a line. A server may run meanwhile.
    Export,
}

/// The simulated fleet and its riders.
#[derive(Args, Clone, Copy, PartialEq, Debug)]
pub struct SimOptions {
    /// Simulated cars, up to 100000. 0: no simulation.
    #[arg(long, env = "RIDES_CARS", default_value = "120", value_name = "N", value_parser = cars)]
    pub cars: u32,

    /// Rides that simulated riders book.
    #[arg(long, env = "RIDES_RIDERS_PER_MINUTE", default_value = "20", value_name = "N", value_parser = riders_per_minute)]
    pub riders_per_minute: f64,

    /// The speed of simulated cars, as a multiple of the real speed, from 0.1 to 20. A server elsewhere does not meter cars
    /// that are faster than 70 m/s: above 3, trips there are as long as planned.
    #[arg(long, env = "RIDES_SIM_SPEED", default_value = "1", value_name = "X", value_parser = sim_speed)]
    pub sim_speed: f64,

    /// Makes the simulation repeatable: the same number, the same cars and riders.
    #[arg(long, env = "RIDES_SEED", default_value = "1", value_name = "N")]
    pub seed: u64,
}

impl SimOptions {
    /// The same for the simulator, with cars numbered from `first_car`, and no tokens.
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
        .ok_or_else(|| "must be a time from 1s to 366d, like 12h".to_owned())
}

/// NaN lies in no range, and the ranges are finite, so infinities are out too.
pub(crate) fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

fn whole(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn host(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("there is no wildcard: name each host. A server that listens beyond this machine, or serves TLS, \
                    answers to any name when --allow-host is left out"
            .to_owned());
    }
    let authority = text.parse::<Authority>().ok().filter(|authority| authority.host() == text);
    authority
        .map(|_host| text.to_owned())
        .ok_or_else(|| "must be a name or an address without a port".to_owned())
}

pub(crate) fn server_url(text: &str) -> Result<Uri, String> {
    text.parse::<Uri>()
        .ok()
        .filter(|uri| {
            uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme))
                && uri.authority().is_some()
        })
        .ok_or_else(|| "must be a URL like http://127.0.0.1:8080".to_owned())
}

fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_filter| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::LONGEST_LIFE;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::of([&["rides-server"], args].concat())
    }

    /// A command, and all that are in it, each with the words that lead to it.
    fn commands(command: &clap::Command, words: &[&str]) -> Vec<(Vec<String>, clap::Command)> {
        let below = command.get_subcommands().filter(|command| command.get_name() != "help");
        let below = below.flat_map(|below| commands(below, &[words, &[below.get_name()]].concat()));
        let own = (words.iter().map(|&word| word.to_owned()).collect(), command.clone());
        std::iter::once(own).chain(below).collect()
    }

    fn built() -> clap::Command {
        let mut root = Cli::command();
        root.build();
        root
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
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
        let mut heard = 0;
        for (words, command) in commands(&Cli::command(), &[]) {
            heard += command.get_arguments().filter(|option| option.get_env().is_some()).count();
            let deaf = without_variables(command, &|_| true);
            let left: Vec<_> = deaf.get_arguments().filter_map(clap::Arg::get_env).collect();
            assert!(left.is_empty(), "{words:?}: {left:?}");
        }
        assert!(heard > 50, "{heard} options have variables");
        let deaf_to_one = without_variables(Cli::command(), &|name| name == "RIDES_MAP");
        let left =
            |name: &str| deaf_to_one.get_arguments().any(|option| option.get_env() == Some(name.as_ref()));
        assert!(left("RIDES_LISTEN") && left("RIDES_DATA_DIR") && !left("RIDES_MAP"));
    }

    #[test]
    fn an_option_that_is_given_and_empty_is_refused() {
        // Nothing is logged, or nothing is said.
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
        assert_eq!(cli.serve.listen, Listen::Loopbacks(8080));
        assert_eq!(cli.serve.limits, Limits::default());
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
        assert_eq!(long.expires, Some(LONGEST_LIFE));
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
            assert!(error.contains("no wildcard") && error.contains("left out"), "{error}");
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
