//! Who is measured: how each is started, what is called, and what its messages mean.

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
    wire::{Call, Protocol},
};

/// A server to measure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Contender {
    /// rides-server.
    Ours,
    /// tonic and tonic-web, which encodes for each subscriber.
    Tonic,
    /// grpcio's asyncio server behind Envoy.
    EnvoyGrpcio,
    /// connect-node.
    ConnectNode,
    /// Bare hyper that sends the bytes of ours.
    HyperColumns,
    /// Bare hyper that sends the bytes of the others.
    HyperRows,
}

/// What the messages of a contender are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// `rides.v1.WatchFleetResponse`.
    Columns,
    /// `bench.v1.Tick`.
    Rows,
}

impl Contender {
    /// In the report.
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

    /// What its messages are.
    pub(crate) fn form(self) -> Form {
        match self {
            Self::Ours | Self::HyperColumns => Form::Columns,
            Self::Tonic | Self::EnvoyGrpcio | Self::ConnectNode | Self::HyperRows => Form::Rows,
        }
    }

    /// Whether it is given positions; the others move the cars themselves.
    pub(crate) fn is_fed(self) -> bool {
        self == Self::Ours
    }

    /// Whose bytes it sends, if not its own.
    pub(crate) fn replays(self) -> Option<Self> {
        match self {
            Self::HyperColumns => Some(Self::Ours),
            Self::HyperRows => Some(Self::Tonic),
            _ => None,
        }
    }

    /// The call of a viewer who sees all cars of [`downtown`].
    pub(crate) fn watch(self) -> Call {
        match self.form() {
            Form::Columns => watch_fleet(downtown().viewport(), true),
            Form::Rows => Call::new("/bench.v1.Board/Watch", Vec::new()),
        }
    }

    /// Starts it. `replay`: a file with what it is to send, see [`Contender::replays`].
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
            Self::Ours => Server::start(ours(&options.server), cores, &log),
            Self::Tonic => Server::start(peer(&["tonic"])?, cores, &log),
            Self::HyperColumns | Self::HyperRows => {
                let mut hyper = peer(&["hyper"])?;
                hyper.arg("--replay").arg(replay);
                Server::start(hyper, cores, &log)
            }
            Self::ConnectNode => {
                let dir = options.node.as_deref().context("it is not installed here")?;
                let mut node = Command::new("node");
                let version = match protocol {
                    Protocol::Http1 => "1",
                    Protocol::Http2 => "2",
                };
                node.arg(dir.join("server.mjs")).arg(version).arg(descriptors(&options.scratch)?);
                Server::start(node, cores, &log)
            }
            Self::EnvoyGrpcio => {
                let venv = options.python.as_deref().context("it is not installed here")?;
                let mut python = Command::new(venv.join("bin/python"));
                python.arg(venv.join("server.py")).arg(descriptors(&options.scratch)?);
                let server = Server::start(python, cores, &log)?;
                let addr = process::free_address()?;
                let config =
                    fs::read_to_string(venv.join("envoy.yaml")).context("no configuration for Envoy")?;
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

    /// Whether it answers [`who_am_i`].
    pub(crate) fn knows_who_calls(self) -> bool {
        matches!(self, Self::Ours | Self::Tonic)
    }

    /// Starts one that knows who calls: ours as it is beyond loopback, where everybody needs a token. And a token, which is
    /// good for ours; the other looks at none.
    pub(crate) fn start_guarded(self, options: &Options, cores: Cores) -> Result<(Server, String)> {
        let data_dir = options.scratch.join("sessions");
        let mut guarded = ours(&options.server);
        guarded.env(DATA_DIR, &data_dir).args(["--auth", "required"]);
        // It makes the key.
        let guarded = Server::start(guarded, cores, &Self::Ours.log(options)?)?;
        let token = token(&options.server, &data_dir)?;
        if self == Self::Ours {
            return Ok((guarded, token));
        }
        drop(guarded);
        Ok((self.start(options, cores, Protocol::Http1, Path::new(""))?, token))
    }

    fn log(self, options: &Options) -> Result<PathBuf> {
        let name = self.to_possible_value().context("no name")?;
        Ok(options.scratch.join(format!("{}.log", name.get_name())))
    }
}

/// `Fleet.Watch` of a viewport. With `moves`, as the page does, cars that only moved are told by the way they went.
pub(crate) fn watch_fleet(viewport: v1::Bounds, moves: bool) -> Call {
    let request = v1::WatchFleetRequest { viewport: Some(viewport), moves, ..Default::default() };
    Call::new("/rides.v1.Fleet/Watch", request.encode_to_vec())
}

/// The unary call that all of them answer alike, with a deadline, as every good client sets one.
pub(crate) fn check_health() -> Call {
    Call { timeout: Some("5S"), ..Call::new("/grpc.health.v1.Health/Check", Vec::new()) }
}

/// The unary call of ours that does least of those that not everybody may make.
pub(crate) fn who_am_i(token: String) -> Call {
    let (timeout, token) = (Some("5S"), Some(token));
    Call { timeout, token, ..Call::new("/rides.v1.Sessions/WhoAmI", Vec::new()) }
}

impl Form {
    /// How many cars a message tells of.
    ///
    /// # Errors
    /// When it is no message of this form.
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

/// Where ours has its data.
const DATA_DIR: &str = "RIDES_DATA_DIR";

/// Our server, without cars of its own, which forgets its rides.
pub(crate) fn rides_server(program: &Path) -> Command {
    let mut ours = Command::new(program);
    ours.args(["--listen", "127.0.0.1:0", "--cars", "0", "--log", "warn"]).env(DATA_DIR, ":memory:");
    ours
}

/// A rider's, by the key in `data_dir`.
fn token(program: &Path, data_dir: &Path) -> Result<String> {
    let mut token = Command::new(program);
    token.args(["token", "--role", "rider", "--subject", "rider-1"]).env(DATA_DIR, data_dir);
    let made = token.output().context("cannot ask for a token")?;
    ensure!(made.status.success(), "no token: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8_lossy(&made.stdout).trim().to_owned())
}

/// Nobody is exempt, so that what limits cost is measured too; and none of them is reached, though one gateway reports for
/// the whole fleet, and all connections are of one machine.
pub(crate) fn ours(program: &Path) -> Command {
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
    let mut peer = Command::new(env::current_exe().context("cannot tell where this program is")?);
    peer.arg("serve").args(arguments);
    Ok(peer)
}

/// What the peers in other languages know of the contract.
fn descriptors(scratch: &Path) -> Result<PathBuf> {
    let path = scratch.join("descriptors.bin");
    // Serialized messages strung together are one message: here, one set of files.
    fs::write(&path, [BOARD_DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET].concat())?;
    Ok(path)
}

/// The program in PyPI's package, itself and not the Python script that starts it.
fn envoy(venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    for python in fs::read_dir(&lib).with_context(|| format!("cannot list {}", lib.display()))? {
        let program = python?.path().join("site-packages/envoy/_bin/envoy");
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!("there is no Envoy in {}", lib.display())
}
